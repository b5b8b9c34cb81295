"""What a robot is: RobotSpec and how it is read."""

from typing import Final

# The robot that is meant where none is named.
DEFAULT_ROBOT: Final = "desk_arm"
