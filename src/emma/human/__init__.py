"""Recordings of human hands as demonstrations: readers, one hand frame, cleaning, import as a dataset."""
