"""Robots in simulators of other people: each runs as a driver, in an interpreter of its own where versions clash."""
