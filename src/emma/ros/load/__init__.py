"""A robot's traffic without a robot: what recorders are measured and tested with."""
