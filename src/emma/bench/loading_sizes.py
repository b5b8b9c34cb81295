"""What both loaders are asked for."""

CAMERAS = ("front", "left", "right")
BATCH = 8
# Of an action chunk, as LeRobot's ACT has by default.
CHUNK = 100
