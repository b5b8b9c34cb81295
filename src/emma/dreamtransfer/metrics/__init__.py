"""Measures of generated clips, one idea per file: arrays in, numbers out. docs/reference/dream-metrics.md has formulas.

Pictures are (T, H, W, 3) uint8 RGB, depth is (T, H, W) uint16 mm with 0 unknown; a mapping is camera -> array.
"""
