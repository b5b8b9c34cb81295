"""A picture that shows whether hands and video belong together: keypoints drawn on frames."""

from pathlib import Path

import cv2
import numpy as np

from emma.datasets.encode import encode_png
from emma.files import atomic_write_bytes
from emma.human.formats import frames_of
from emma.human.hand_frame import BONES, hand_frame
from emma.human.recording import Recording

COLOURS = {"left": (80, 160, 255), "right": (255, 140, 40)}
AXES = ((255, 60, 60), (60, 220, 60), (60, 60, 255))
AXIS_M = 0.04
COLUMNS, WIDTH = 3, 640


def draw_check(recording: Recording, out: Path, count: int = 6, lag_s: float = 0.0) -> None:
    """Write a sheet of `count` frames with both hands and their frames (x red, y green, z blue) as a PNG."""
    video = recording.video_times_s
    start, end = max(video[0], recording.times_s[0]), min(video[-1], recording.times_s[-1])
    times = np.linspace(start, end, count + 2)[1:-1]
    indices = np.searchsorted(video, times + 1e-6, side="right") - 1
    scale = WIDTH / recording.video_size[0]
    size = (WIDTH, round(recording.video_size[1] * scale))
    tiles = []
    for index, image in zip(indices, frames_of(recording, indices, size), strict=True):
        tile = image.copy()
        row = int(np.abs(recording.times_s - lag_s - video[index]).argmin())
        for side in recording.points:
            _draw_hand(tile, recording, side, row, scale)
        label = f"frame {index}  {video[index]:.2f} s"
        cv2.putText(tile, label, (8, size[1] - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    while len(tiles) % COLUMNS:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    atomic_write_bytes(out, encode_png(np.vstack(rows)))


def _draw_hand(tile: np.ndarray, recording: Recording, side: str, row: int, scale: float) -> None:
    pixels = recording.project(side, row) * scale
    for a, b in BONES:
        if np.isfinite(pixels[[a, b]]).all():
            cv2.line(tile, _at(pixels[a]), _at(pixels[b]), COLOURS[side], 2, cv2.LINE_AA)
    for point in pixels[np.isfinite(pixels).all(axis=1)]:
        cv2.circle(tile, _at(point), 3, COLOURS[side], -1, cv2.LINE_AA)
    pose = hand_frame(recording.points[side][row : row + 1], side)[0]
    if not np.isfinite(pose).all():
        return
    camera, ends = recording.camera[row], [pose[:3, 3], *(pose[:3, 3] + AXIS_M * pose[:3, i] for i in range(3))]
    local = (np.stack(ends) - camera[:3, 3]) @ camera[:3, :3]
    if (local[:, 2] <= 0).any():
        return
    drawn = local @ recording.intrinsics.T
    drawn = drawn[:, :2] / drawn[:, 2:] * scale
    for i, colour in enumerate(AXES):
        cv2.arrowedLine(tile, _at(drawn[0]), _at(drawn[i + 1]), colour, 2, cv2.LINE_AA)


def _at(pixel: np.ndarray) -> tuple[int, int]:
    x, y = np.clip(pixel, -10_000, 10_000)
    return round(float(x)), round(float(y))
