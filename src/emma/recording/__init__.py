"""One episode at a time from raw messages to a bag."""
