"""Where the simulated cameras are: at their calibrated places, or a little off, another way in each episode."""

import numpy as np

from emma.gl import mujoco
from emma.sim.domains.domain import Domain

# Keeps these draws apart from the others of a seed.
_CAMERAS = 3


class CameraPlaces:
    """Moves the cameras of one model. Every pose is set from the model's first one, so a return is exact."""

    def __init__(self, model: "mujoco.MjModel") -> None:
        self._model = model
        self._pos, self._quat = model.cam_pos.copy(), model.cam_quat.copy()

    def apply(self, domain: Domain, seed: int) -> None:
        """Put every camera `domain.cameras_moved_m` and `cameras_turned_deg` away from its place, as `seed` draws."""
        model = self._model
        model.cam_pos[:], model.cam_quat[:] = self._pos, self._quat
        if domain.cameras_moved_m == 0.0 and domain.cameras_turned_deg == 0.0:
            return
        drawn = np.random.default_rng([seed, _CAMERAS]).normal(size=(model.ncam, 2, 3))
        ways = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)
        turn = np.empty(4)
        for index, (way, axis) in enumerate(ways):
            model.cam_pos[index] += domain.cameras_moved_m * way
            mujoco.mju_axisAngle2Quat(turn, axis, np.deg2rad(domain.cameras_turned_deg))
            mujoco.mju_mulQuat(model.cam_quat[index], self._quat[index], turn)
