"""The message types that nodes use are the same in every distribution that doctor accepts, hash by hash."""

import ast
from pathlib import Path

import pytest
from rosbags.typesys import Stores, get_typestore

from emma.doctor.ros import DISTROS

SOURCE = Path(__file__).resolve().parents[2] / "src" / "emma"
# Services and lifecycle messages are compared by ROS itself; the type store has what can be recorded.
KINDS = ("msg",)


def used() -> list[str]:
    """`sensor_msgs/msg/Image` for every `from sensor_msgs.msg import Image` in the package."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[2] in KINDS:
                found |= {node.module.replace(".", "/") + f"/{alias.name}" for alias in node.names}
    return sorted(found)


@pytest.mark.parametrize("distro", DISTROS)
def test_message_types_are_those_of_the_wheels(distro: str) -> None:
    ours, theirs = get_typestore(Stores.ROS2_KILTED), get_typestore(Stores[f"ROS2_{distro.upper()}"])
    names = used()
    assert {"sensor_msgs/msg/Image", "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"} <= set(names)
    different = [name for name in names if theirs.hash_rihs01(name) != ours.hash_rihs01(name)]
    assert not different, f"{different} differ between {distro} and the wheels"
