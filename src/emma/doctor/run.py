"""All checks in the order in which they are read: Python, ROS 2, machine."""

from emma.doctor import machine, python, ros
from emma.doctor.check import Check


def examine() -> list[Check]:
    """Look at everything. The slow ones run beside one another, each in a process of its own."""
    nodes, torch, render = ros.start_rclpy(), python.start_torch(), machine.start_render()
    needed = [ros.middleware(), ros.domain(), ros.logs()]
    return [
        python.python(),
        python.package(),
        python.packages(),
        python.data(),
        python.gpu(torch),
        ros.rclpy(nodes, causes=needed),
        *needed,
        ros.discovery(),
        ros.sourced(),
        ros.colcon(),
        machine.rendering(render),
        machine.disk(),
        machine.shared_memory(),
        machine.clock(),
    ]
