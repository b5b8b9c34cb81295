"""emma: a ROS 2 robot workstation that improves itself."""

__version__ = "0.1.0"
