"""Where the desk arm's cameras are at a measured state: its calibration and forward kinematics."""

from collections.abc import Mapping

import numpy as np

from emma.dreamtransfer.geometry import CalibratedPoses
from emma.gl import mujoco
from emma.robots.spec import RobotSpec
from emma.sim.scene import ARM_JOINTS, build_model

HAND = "hand"


def desk_arm_poses(spec: RobotSpec) -> CalibratedPoses:
    """CameraPoses of the desk arm, from its calibration folder."""
    return CalibratedPoses.load(spec, HandPoses())


class HandPoses:
    """The hand's pose in the base frame for states (T, 7)."""

    def __init__(self) -> None:
        self._model = build_model()
        self._data = mujoco.MjData(self._model)
        self._qpos = [self._model.joint(name).qposadr[0] for name in ARM_JOINTS]
        self._hand = self._model.body(HAND).id

    def __call__(self, state: np.ndarray) -> Mapping[str, np.ndarray]:
        poses = np.tile(np.eye(4), (len(state), 1, 1))
        for pose, joints in zip(poses, state, strict=True):
            self._data.qpos[self._qpos] = joints[: len(ARM_JOINTS)]
            mujoco.mj_kinematics(self._model, self._data)
            pose[:3, :3] = self._data.xmat[self._hand].reshape(3, 3)
            pose[:3, 3] = self._data.xpos[self._hand]
        return {HAND: poses}
