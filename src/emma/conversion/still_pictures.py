"""Cameras that show one picture while the robot moves: a driver that hangs and goes on stamping."""

import numpy as np

from emma.observation import Observation
from emma.robots.spec import RobotSpec

# One picture for so long, while a joint moves by this share of its range, is no view of a scene.
STILL_S = 1.0
MOVED_SHARE = 0.02


class StillPictures:
    """Watches the frames of one episode, in their order."""

    def __init__(self, spec: RobotSpec) -> None:
        self._range = np.array([joint.upper - joint.lower for joint in spec.joints])
        self._last: dict[str, np.ndarray] = {}
        self._since: dict[str, tuple[int, np.ndarray]] = {}
        self._longest: dict[str, float] = {}

    def add(self, observation: Observation) -> None:
        for camera, picture in observation.images.items():
            if camera not in self._last or not np.array_equal(self._last[camera], picture):
                self._last[camera] = picture
                self._since[camera] = (observation.stamp_ns, observation.state)
                continue
            began_ns, state = self._since[camera]
            seconds = (observation.stamp_ns - began_ns) / 1e9
            if seconds >= STILL_S and (np.abs(observation.state - state) > MOVED_SHARE * self._range).any():
                self._longest[camera] = max(seconds, self._longest.get(camera, 0.0))

    def notes(self) -> tuple[str, ...]:
        return tuple(
            f"camera {camera} shows one picture for {seconds:.1f} s while the robot moves: check its driver"
            for camera, seconds in self._longest.items()
        )
