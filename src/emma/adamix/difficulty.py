"""How hard an episode is: action prediction error, smoothness, joint limits.

The three metrics are those that EMMA names for AdaMix (arXiv 2509.22407); their formulas are not published, so they
are set here. Each is a list of components, larger = harder, all of them per frame first:

    error       MSE of the policy's chunk against the demonstration, in normalised action units
    smoothness  |acceleration| and |jerk| of the motion, differences over frames, each joint in its own standard
                deviation (units 1/s^2 and 1/s^3): acceleration and jerk cost as in Flash and Hogan (1985)
    limits      share of frames beyond a joint limit, and depth beyond it as a share of the joint's range
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np

# Metric -> components; a metric is the mean of its components after min-max.
METRICS: Mapping[str, tuple[str, ...]] = {
    "error": ("error",),
    "smoothness": ("acceleration", "jerk"),
    "limits": ("beyond", "depth"),
}
COMPONENTS = tuple(name for names in METRICS.values() for name in names)
# A joint that hardly moves would have its noise blown up when measured in its own spread. rad or m.
MIN_SPREAD = 0.005


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """frames: (F,) frame numbers that were judged; values: component -> (F,) float64, larger = harder."""

    frames: np.ndarray
    values: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if set(self.values) != set(COMPONENTS) or any(len(v) != len(self.frames) for v in self.values.values()):
            raise ValueError(f"expected one value a frame for each of {COMPONENTS}")

    def by_episode(self, episode_of: np.ndarray, episodes: int) -> dict[str, np.ndarray]:
        """component -> (episodes,) means over each episode's judged frames; NaN for one without any.

        Accelerations and jerks are root mean squares, so that short bursts count. episode_of: (all frames,).
        """
        of = episode_of[self.frames]
        count = np.bincount(of, minlength=episodes).astype(np.float64)
        count[count == 0] = np.nan
        means = {}
        for name, values in self.values.items():
            power = 2 if name in METRICS["smoothness"] else 1
            sums = np.bincount(of, weights=values**power, minlength=episodes)
            means[name] = (sums / count) ** (1 / power)
        return means

    def table(self) -> np.ndarray:
        """(F, C) the components in the order of COMPONENTS."""
        return np.stack([self.values[name] for name in COMPONENTS], axis=1)

    @classmethod
    def from_table(cls, frames: np.ndarray, table: np.ndarray) -> Self:
        return cls(frames=frames, values={name: table[:, i] for i, name in enumerate(COMPONENTS)})

    @classmethod
    def of(cls, frames: np.ndarray, error: np.ndarray, motion: Mapping[str, np.ndarray]) -> Self:
        """From the error of each frame and `motion` from `chunk_motion` or `motion_of`."""
        values = {"error": error, **motion}
        return cls(frames=frames, values={name: np.asarray(values[name], np.float64) for name in COMPONENTS})


@dataclass(frozen=True, kw_only=True)
class JointScale:
    """What joints are measured by. spread: (J,) standard deviations; lower, upper: (J,) limits, infinite where
    unknown; rough: (J,) bool, joints whose smoothness counts (a gripper that snaps shut is as it should be)."""

    fps: float
    spread: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    rough: np.ndarray


def chunk_error(predicted: np.ndarray, demonstrated: np.ndarray, padded: np.ndarray) -> np.ndarray:
    """(B,) mean squared error over the actions of each chunk that are in the episode.

    predicted, demonstrated: (B, K, A) in normalised units; the shorter K counts; padded: (B, K) bool.
    """
    steps = min(predicted.shape[1], demonstrated.shape[1])
    counted = ~padded[:, :steps]
    squares = np.square(predicted[:, :steps] - demonstrated[:, :steps], dtype=np.float64).mean(-1)
    return np.asarray((squares * counted).sum(1) / np.maximum(counted.sum(1), 1))


def motion_of(path: np.ndarray, scale: JointScale) -> dict[str, np.ndarray]:
    """Smoothness and limits of one path (T, J) in joint units: component -> (T,)."""
    scaled = (path[:, scale.rough] / np.maximum(scale.spread[scale.rough], MIN_SPREAD)).astype(np.float64)
    over = np.maximum(scale.lower - path, path - scale.upper).clip(min=0.0)
    reach = scale.upper - scale.lower
    depth = np.where(np.isfinite(reach), over / np.where(np.isfinite(reach), reach, 1.0), 0.0)
    return {
        "acceleration": _rough(scaled, 2, scale.fps),
        "jerk": _rough(scaled, 3, scale.fps),
        # Rounding to float32 must not count as a violation of a limit that a joint rests at.
        "beyond": (depth > 1e-5).any(1).astype(np.float64),
        "depth": depth.max(1, initial=0.0),
    }


def chunk_motion(chunks: np.ndarray, padded: np.ndarray, scale: JointScale) -> dict[str, np.ndarray]:
    """The same of predicted chunks (B, K, J) in joint units, one value a chunk: component -> (B,).

    padded: (B, K) bool, actions after the episode's end, which do not count.
    """
    rows: dict[str, list[float]] = {name: [] for name in COMPONENTS if name != "error"}
    for chunk, beyond_end in zip(chunks, padded, strict=True):
        motion = motion_of(chunk[: max(1, int((~beyond_end[: len(chunk)]).sum()))], scale)
        for name, values in motion.items():
            power = 2 if name in METRICS["smoothness"] else 1
            rows[name].append(float(np.mean(values**power) ** (1 / power)))
    return {name: np.array(values) for name, values in rows.items()}


def demonstration_motion(paths: list[np.ndarray], starts: np.ndarray, scale: JointScale) -> dict[str, np.ndarray]:
    """Smoothness and limits of demonstrations: the worst of several paths (N, J), commands and measured joints.

    starts: (E + 1,) first frame of each episode, N at the end. Returns component -> (N,).
    """
    out = {name: np.zeros(int(starts[-1])) for name in COMPONENTS if name != "error"}
    for first, end in pairwise(starts):
        for path in paths:
            for name, values in motion_of(path[first:end], scale).items():
                out[name][first:end] = np.maximum(out[name][first:end], values)
    return out


def _rough(path: np.ndarray, order: int, fps: float) -> np.ndarray:
    """(T,) root mean square over joints of the `order`-th difference per second^order, its ends repeated."""
    if len(path) <= order or path.shape[1] == 0:
        return np.zeros(len(path))
    size = np.sqrt(np.square(np.diff(path, order, axis=0) * fps**order).mean(1))
    return np.pad(size, (order // 2, order - order // 2), mode="edge")
