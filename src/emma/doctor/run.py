"""All checks in the order in which they are read: Python, ROS 2, machine."""

from emma.doctor import cameras, gpu, machine, python, ros
from emma.doctor.check import Check


def examine() -> list[Check]:
    """Look at everything. The slow ones run beside one another, each in a process of its own."""
    nodes, render = ros.start_rclpy(), machine.start_render()
    computed = gpu.start_torch(), gpu.start_onnxruntime(), gpu.start_tensorrt()
    needed = [ros.middleware(), ros.domain(), ros.logs()]
    return [
        python.python(),
        python.package(),
        python.packages(),
        python.data(),
        cameras.calibrations(),
        *gpu.examine(*computed),
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
