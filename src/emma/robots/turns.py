"""Joints that turn without end: their angles unwrapped, the shortest way.

Drivers publish such an angle within one turn, or counted on and on. Here it continues from where it was last seen, in
the turn of the home pose at first; commands go back into the driver's own count.
"""

import numpy as np

from emma.arrays import Array
from emma.robots.spec import RobotSpec

TURN = 2.0 * np.pi


class Turns:
    """The turns of one robot's continuous joints. Not thread-safe."""

    def __init__(self, spec: RobotSpec) -> None:
        self._endless = np.array([joint.continuous for joint in spec.joints])
        self._home = np.array(spec.home or [0.0] * len(spec.joints))
        self._last: Array | None = None
        # Driver's count minus ours, whole turns.
        self._ahead: Array = np.zeros(len(spec.joints))

    def unwrap(self, published: Array) -> Array:
        """(J,) a measured state, the continuous joints in the turn nearest to where they were last."""
        if not self._endless.any():
            return published
        near = self._nearest(published, self._home if self._last is None else self._last)
        self._last, self._ahead = near, TURN * np.rint((published - near) / TURN)
        return near

    def beside(self, commanded: Array) -> Array:
        """(J,) commands as published, the continuous joints in the turn nearest to the last state."""
        if self._last is None or not self._endless.any():
            return commanded
        return self._nearest(commanded, self._last)

    def wind(self, position: Array) -> Array:
        """(J,) targets in our count -> in the driver's, whole turns apart."""
        return position + self._ahead if self._endless.any() else position

    def forget(self) -> None:
        """Begin again in the turn of the home pose."""
        self._last = None

    def _nearest(self, angles: Array, to: Array) -> Array:
        turns = np.where(self._endless, np.rint((to - angles) / TURN), 0.0)
        return np.asarray(angles + TURN * turns, dtype=np.asarray(angles).dtype)
