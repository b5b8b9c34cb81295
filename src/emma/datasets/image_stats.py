"""Statistics of one episode's images in LeRobot's form, exact and from one pass over the frames."""

import numpy as np

from emma.arrays import Array

# LeRobot's quantiles and names (compute_stats.DEFAULT_QUANTILES); not imported, so that workers start without torch.
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
# LeRobot thins images out from this size on, to about the other (compute_stats.auto_downsample_height_width).
THINNED_FROM, THINNED_TO = 300, 150


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

    def add(self, image: Array) -> None:
        """Count one image (H, W) or (H, W, C)."""
        longest = max(image.shape[:2])
        step = longest // THINNED_TO if longest >= THINNED_FROM else 1
        planes = np.atleast_3d(image[::step, ::step]).transpose(2, 0, 1)
        for histogram, plane in zip(self._histogram, planes, strict=True):
            histogram += np.bincount(plane.ravel(), minlength=self._levels)
        self._frames += 1

    def result(self) -> dict[str, Array]:
        """min, max, mean, std and quantiles, each (C, 1, 1), and count (1,): the number of images."""
        values = np.arange(self._levels, dtype=np.float64) / self._scale
        rows: dict[str, list[float]] = {key: [] for key in ("min", "max", "mean", "std", *QUANTILES)}
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
