"""What both loaders are asked for."""

CAMERAS = ("front", "left", "right")
BATCH = 8
# Of an action chunk, as LeRobot's ACT has by default.
CHUNK = 100
# The same for stored images: LeRobot decodes the pictures of every row of a chunk, so that one sample of a hundred rows
# takes seconds.
IMAGE_CHUNK = 8
