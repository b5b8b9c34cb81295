"""Cameras that go on sending the same picture: fresh stamps, dead content."""

from dataclasses import dataclass

import numpy as np

from emma.observation import Observation

# A picture may stay the same while the robot rests. Once a joint has moved this far (rad or m) it may not: every camera
# sees the arm, or at least has noise.
MOVED = 0.02


@dataclass
class _Picture:
    image: np.ndarray
    state: np.ndarray
    since_ns: int


class FrozenCameras:
    """Tells for each camera how long its picture has stayed the same although the robot moved."""

    def __init__(self) -> None:
        self._pictures: dict[str, _Picture] = {}

    def update(self, observation: Observation) -> dict[str, float]:
        """Camera -> seconds since its picture last changed; cameras that are well are left out."""
        frozen = {}
        for camera, image in observation.images.items():
            last = self._pictures.get(camera)
            if last is None or not np.array_equal(last.image, image):
                self._pictures[camera] = _Picture(image, observation.state, observation.stamp_ns)
            elif np.abs(observation.state - last.state).max() > MOVED:
                frozen[camera] = (observation.stamp_ns - last.since_ns) / 1e9
        return frozen
