"""The desk: its MuJoCo model, its object classes and where things go. Geometry lives in assets/desk_arm.xml."""

from importlib.resources import files
from typing import Final

import numpy as np

from emma.gl import mujoco

TARGETS: Final = ("bin", "plate")
# (x, y) of each target's centre on the table, m; half the width within which a cube counts as placed, m.
TARGET_XY: Final = {"bin": (0.27, -0.22), "plate": (0.27, 0.22)}
TARGET_HALF_WIDTH: Final = {"bin": 0.057, "plate": 0.060}
# A cube resting in a target has its centre below this height, m (half a cube is 0.02).
TARGET_HEIGHT: Final = 0.045
# Outlines on the table, m: half the edge of the bin with its walls, radius of the plate with its rim.
BIN_HALF: Final = 0.063
PLATE_RADIUS: Final = 0.067

CUBE_HALF: Final = 0.02
CUBE_X: Final = (0.21, 0.35)
CUBE_Y: Final = (-0.10, 0.10)
CUBE_YAW: Final = (-0.15, 0.15)

GRIPPER_OPEN: Final = 0.035
GRIPPER_CLOSED: Final = 0.0

ARM_JOINTS: Final = ("j1", "j2", "j3", "j4", "j5", "j6")
FINGERS: Final = ("finger_left", "finger_right")

# Class ids of segmentation images: the index in this tuple.
CLASSES: Final = ("background", "floor", "table", "arm", "gripper", "cube", "bin", "plate")

_CLASS_OF_BODY: Final = {
    "base": "arm",
    "link1": "arm",
    "link2": "arm",
    "link3": "arm",
    "link4": "arm",
    "link5": "arm",
    "hand": "gripper",
    "finger_left": "gripper",
    "finger_right": "gripper",
    "cube": "cube",
    "bin": "bin",
    "plate": "plate",
}
_CLASS_OF_GEOM: Final = {"floor": "floor", "wall": "background", "table": "table"}


def build_model() -> "mujoco.MjModel":
    """A new MuJoCo model of the desk. Each simulator owns one, because appearance is written into it."""
    return mujoco.MjModel.from_xml_string(files("emma.sim").joinpath("assets/desk_arm.xml").read_text())


def class_of_geom(model: "mujoco.MjModel") -> np.ndarray:
    """(ngeom,) uint8: the class id of every geom."""
    names = [
        _CLASS_OF_GEOM.get(model.geom(i).name) or _CLASS_OF_BODY[model.body(model.geom_bodyid[i]).name]
        for i in range(model.ngeom)
    ]
    return np.array([CLASSES.index(name) for name in names], dtype=np.uint8)
