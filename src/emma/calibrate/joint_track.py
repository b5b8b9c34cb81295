"""The joints' way through a recording: position, velocity, and where in its backlash each joint stands."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import uniform_filter1d

# Window of a straight line through the readings, s: long against an encoder's noise, short against a motion.
WINDOW_S = 0.08
# The play that is assumed at first, rad or m: geared servos have 2 to 10 mrad.
PLAY = 6e-3
LEAST_PLAY = 1e-3
# Backlash acts at motions of a tenth of a second and more; more readings only take time.
RATE_HZ = 120.0
# The extremes of an encoder's noise would push the link: so many seconds of readings are averaged.
SMOOTH_S = 0.05


@dataclass(frozen=True)
class Track:
    """times_s (T,) rising; joints (T, J) as measured."""

    times_s: np.ndarray
    joints: np.ndarray

    def __post_init__(self) -> None:
        if self.joints.ndim != 2 or self.times_s.shape != (len(self.joints),) or len(self.joints) < 2:
            raise ValueError(f"times {self.times_s.shape} and joints {self.joints.shape}")
        if (np.diff(self.times_s) <= 0).any():
            raise ValueError("times do not rise")

    def lines(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Joints (V, J) and velocities (V, J) per second at times (V,), by a line through the readings around each."""
        joints, velocities = [], []
        first = np.searchsorted(self.times_s, times_s - WINDOW_S / 2)
        last = np.searchsorted(self.times_s, times_s + WINDOW_S / 2)
        for time, begin, end in zip(times_s, first, last, strict=True):
            if end - begin < 3:
                begin = max(0, min(begin - 1, len(self.times_s) - 3))
                end = min(begin + 3, len(self.times_s))
            t = self.times_s[begin:end] - time
            near = self.joints[begin:end]
            centred = t - t.mean()
            velocity = centred @ near / (centred @ centred)
            joints.append(near.mean(0) - velocity * t.mean())
            velocities.append(velocity)
        return np.stack(joints), np.stack(velocities)

    def sides(self, times_s: np.ndarray, play: np.ndarray) -> np.ndarray:
        """(V, J) in -1 to 1: link minus motor in halves of the play (J,) at times (V,).

        A link stays until one side of the gap pushes it, so it trails behind its motor. 0 before a joint has moved.
        """
        times, motor = self._motor
        half = np.maximum(np.abs(play), LEAST_PLAY) / 2
        link, sides = motor[0].copy(), np.zeros_like(motor)
        for row, out in zip(motor, sides, strict=True):
            np.maximum(link, row - half, out=link)
            np.minimum(link, row + half, out=link)
            out[:] = link - row
        sides /= half
        nearest = np.clip(np.searchsorted(times, times_s), 0, len(times) - 1)
        return np.asarray(sides[nearest])

    @cached_property
    def _motor(self) -> tuple[np.ndarray, np.ndarray]:
        step = float(np.median(np.diff(self.times_s)))
        width = max(1, round(SMOOTH_S / step))
        smooth = uniform_filter1d(self.joints.astype(np.float64), width, axis=0, mode="nearest")
        every = max(1, int(1 / (step * RATE_HZ)))
        return self.times_s[::every], smooth[::every]
