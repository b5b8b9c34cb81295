"""Calibration of cameras and of where they are, with errors that are estimated and checked."""
