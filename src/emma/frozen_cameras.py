"""Cameras that go on sending the same picture: fresh stamps, dead content."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emma.arrays import Array

# A picture may stay the same while the robot rests. Once a joint has moved this far (rad or m) it may not: every camera
# sees the arm, or at least has noise.
MOVED = 0.02


@dataclass(frozen=True)
class _Picture:
    fingerprint: int
    state: Array
    since_ns: int


class FrozenCameras:
    """For how long the picture of each camera has stayed the same although the robot moved."""

    def __init__(self) -> None:
        self._pictures: dict[str, _Picture] = {}

    def update(self, fingerprints: Mapping[str, int], state: Array, stamp_ns: int) -> dict[str, float]:
        """Camera -> seconds since its picture last changed; cameras that are well are left out.

        fingerprints: camera -> checksum of its newest picture; state: (J,) measured pose; stamp_ns: of the moment.
        """
        frozen = {}
        for camera, fingerprint in fingerprints.items():
            last = self._pictures.get(camera)
            if last is None or last.fingerprint != fingerprint:
                self._pictures[camera] = _Picture(fingerprint, state, stamp_ns)
            elif np.abs(state - last.state).max() > MOVED:
                frozen[camera] = (stamp_ns - last.since_ns) / 1e9
        return frozen
