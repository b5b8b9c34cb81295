"""ROS 2 nodes: the only folder that imports rclpy. Thin: parameters, topics, services; the work is in lower layers."""

from typing import Final

# What `emma node NAME` starts; each is a module here with main() -> exit code.
NODES: Final = (
    *("sim", "policy", "recorder", "scripted_operator"),
    *("teleop", "keys", "console", "web_console", "learner"),
)
