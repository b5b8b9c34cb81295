"""Which views there are and which are missing: over the picture, tilt and distance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emma.calibrate.detect import Corners
from emma.calibrate.pinhole import BoardPose

COLUMNS, ROWS = 6, 4
# A board that is tilted less tells focal length and distance badly apart.
TILT_DEG = 20.0
SIDES = ("left", "right", "top", "bottom")
# Nearest to furthest board; with less, focal length and distortion are hard to tell apart.
DISTANCES = 1.5
MIN_VIEWS = 12
# Share of the fields of the picture that corners must have been in.
FILLED = 0.85
WORDS = {"left": "the left edge", "right": "the right edge", "top": "the top edge", "bottom": "the bottom edge"}


@dataclass(frozen=True)
class Coverage:
    """fields: (ROWS, COLUMNS) corners in each field of the picture; tilts: side that is nearer -> views.

    distances_m: nearest and furthest board, in units of the board's own square size when the camera is not known.
    """

    views: int
    fields: np.ndarray
    tilts: dict[str, int]
    distances_m: tuple[float, float]

    @property
    def filled(self) -> float:
        """Share of the fields in which there was a corner."""
        return float((self.fields > 0).mean())

    @property
    def missing(self) -> tuple[str, ...]:
        """What still has to be shown to the camera, the most useful first. Empty: enough."""
        wanted = []
        if self.filled < FILLED:
            wanted.append(f"bring the board to the {self._emptiest()} of the picture")
        for side in SIDES:
            if self.tilts.get(side, 0) < 1:
                wanted.append(f"tilt the board by 20 to 45 degrees, {WORDS[side]} nearer to the camera")
        near, far = self.distances_m
        if self.views and far < DISTANCES * near:
            wanted.append(f"show the board nearer and further away: {near:.2f} to {far:.2f} m so far")
        if self.views < MIN_VIEWS:
            wanted.append(f"{MIN_VIEWS - self.views} more views")
        return tuple(wanted)

    def draw(self) -> list[str]:
        """Lines for a terminal: the picture's fields from empty to full, then tilts and distances."""
        shades = " .:*#"
        marks = np.minimum(np.ceil(self.fields / 8), len(shades) - 1).astype(int)
        lines = ["+" + "--" * COLUMNS + "+"]
        lines += ["|" + "".join(shades[m] * 2 for m in row) + "|" for row in marks]
        lines.append(lines[0])
        tilts = ", ".join(f"{side} {self.tilts.get(side, 0)}" for side in SIDES)
        near, far = self.distances_m
        lines.append(f"views {self.views}; nearer edge: {tilts}; distance {near:.2f} to {far:.2f} m")
        return lines

    def _emptiest(self) -> str:
        empty = np.argwhere(self.fields == 0)
        row, column = empty[np.abs(empty - [(ROWS - 1) / 2, (COLUMNS - 1) / 2]).sum(1).argmax()]
        vertical = "top" if row < ROWS / 3 else "bottom" if row >= ROWS * 2 / 3 else "middle"
        horizontal = "left" if column < COLUMNS / 3 else "right" if column >= COLUMNS * 2 / 3 else "centre"
        return f"{vertical} {horizontal}"


def coverage(corners: Sequence[Corners], poses: Sequence[BoardPose], size: tuple[int, int]) -> Coverage:
    """What the views cover of a picture of size (width, height)."""
    fields = np.zeros((ROWS, COLUMNS), int)
    tilts = dict.fromkeys(SIDES, 0)
    distances = []
    for seen, pose in zip(corners, poses, strict=True):
        cells = np.floor(seen.pixels / size * [COLUMNS, ROWS]).astype(int)
        cells = cells[(cells >= 0).all(1) & (cells < [COLUMNS, ROWS]).all(1)]
        np.add.at(fields, (cells[:, 1], cells[:, 0]), 1)
        distances.append(float(np.linalg.norm(pose.camera_from_board[:3, 3])))
        for side in tilted(pose.camera_from_board):
            tilts[side] += 1
    return Coverage(len(corners), fields, tilts, (min(distances, default=0.0), max(distances, default=0.0)))


def tilted(camera_from_board: np.ndarray) -> list[str]:
    """Which edges of the board, as the picture shows it, are clearly nearer to the camera."""
    normal = camera_from_board[:3, 2] * np.sign(camera_from_board[2, 2])
    # Along the picture's x the depth of the plane changes by -nx / nz.
    slope = -normal[:2] / max(normal[2], 1e-6)
    limit = np.tan(np.radians(TILT_DEG)) * 0.8
    sides = [("left" if slope[0] > 0 else "right")] if abs(slope[0]) > limit else []
    return sides + ([("top" if slope[1] > 0 else "bottom")] if abs(slope[1]) > limit else [])
