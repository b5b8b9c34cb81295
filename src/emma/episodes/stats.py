"""Statistics of one episode in LeRobot's form, exact and from one pass over the frames."""

import numpy as np
from lerobot.datasets.compute_stats import DEFAULT_QUANTILES, auto_downsample_height_width, get_feature_stats

# LeRobot's names: q01, q10, q50, q90, q99.
QUANTILES = {f"q{int(q * 100):02d}": q for q in DEFAULT_QUANTILES}


class ImageStats:
    """Histogram of every value per channel: all statistics follow from it, in constant memory.

    LeRobot samples about 100 images an episode and estimates quantiles from 5,000 bins; here every image counts,
    thinned out like LeRobot's when it is large. `scale` divides the results: 255 for RGB (to [0, 1]), 1 for depth.
    """

    def __init__(self, channels: int, dtype: type[np.unsignedinteger], scale: float) -> None:
        self._levels = np.iinfo(dtype).max + 1
        self._histogram = np.zeros((channels, self._levels), np.int64)
        self._scale = scale
        self._frames = 0

    def add(self, image: np.ndarray) -> None:
        """Count one image (H, W) or (H, W, C)."""
        planes = auto_downsample_height_width(np.atleast_3d(image).transpose(2, 0, 1))
        for histogram, plane in zip(self._histogram, planes, strict=True):
            histogram += np.bincount(plane.ravel(), minlength=self._levels)
        self._frames += 1

    def result(self) -> dict[str, np.ndarray]:
        """min, max, mean, std and quantiles, each (C, 1, 1), and count (1,): the number of images."""
        values = np.arange(self._levels, dtype=np.float64) / self._scale
        rows = {key: [] for key in ("min", "max", "mean", "std", *QUANTILES)}  # type: dict[str, list[float]]
        for histogram in self._histogram:
            total = histogram.sum()
            present = np.flatnonzero(histogram)
            mean = float(values @ histogram) / total
            rows["min"].append(values[present[0]])
            rows["max"].append(values[present[-1]])
            rows["mean"].append(mean)
            rows["std"].append(float(np.sqrt(((values - mean) ** 2) @ histogram / total)))
            cumulative = np.cumsum(histogram)
            for key, q in QUANTILES.items():
                rows[key].append(values[np.searchsorted(cumulative, q * total)])
        stats = {key: np.array(row).reshape(-1, 1, 1) for key, row in rows.items()}
        return {**stats, "count": np.array([self._frames])}


def vector_stats(values: np.ndarray) -> dict[str, np.ndarray]:
    """LeRobot's statistics of an (N, D) or (N,) array; float64 for every N, since tables must agree in type."""
    stats = get_feature_stats(values, axis=0, keepdims=values.ndim == 1)
    return {key: value if key == "count" else np.asarray(value, np.float64) for key, value in stats.items()}
