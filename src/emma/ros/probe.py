"""What rclpy is here, as one line of JSON: a process of its own, so that `emma doctor` survives a broken one."""

import importlib.metadata
import json
import sys

import numpy as np
import rclpy
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import Image


def main() -> int:
    """Start a node, hand an array to a message and back, and say with what."""
    rclpy.init(args=[])
    try:
        node = rclpy.create_node("emma_doctor")
        node.create_publisher(Image, "~/image", 1)
        # An array through a message: what breaks first where message libraries and NumPy do not fit.
        image = Image(data=np.arange(16, dtype=np.uint8).tobytes())
        assert np.frombuffer(image.data, np.uint8).sum() == 120
        found = {
            "rclpy": importlib.metadata.version("ros-rclpy"),
            "path": rclpy.__file__,
            "numpy": np.__version__,
            "numpy_path": np.__file__,
            "middleware": get_rmw_implementation_identifier(),
        }
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
