"""Finds the board's corners in a picture, or names why it cannot."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from emma.calibrate.board import DICTIONARIES, Board
from emma.calibrate.saddle import refine
from emma.errors import EmmaError

# A pose of a plane from fewer corners is not trusted.
MIN_CORNERS = 8
# Corners that all lie on one line give no pose: smallest over largest spread on the board.
MIN_SPREAD = 0.1
# So many markers are not seen by chance.
FEW_MARKERS = 4
# Stands for the distance from a corner to its neighbour where none is in its row or column.
ALONE_PX = 1e3
REFINE = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-4)


@dataclass(frozen=True)
class Corners:
    """Corners found in one picture. ids (N,) int; pixels (N, 2) column and row; points (N, 3) m on the board.

    blur_px: width of the edges between black and white, a measure of focus and motion.
    """

    ids: np.ndarray
    pixels: np.ndarray
    points: np.ndarray
    blur_px: float = 0.0

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def usable(self) -> bool:
        """Enough corners, and not on one line."""
        if len(self) < MIN_CORNERS:
            return False
        spread = np.linalg.svd(self.points[:, :2] - self.points[:, :2].mean(0), compute_uv=False)
        return bool(spread[1] > MIN_SPREAD * spread[0])

    def only(self, kept: np.ndarray) -> "Corners":
        """Some of the corners."""
        return Corners(self.ids[kept], self.pixels[kept], self.points[kept], self.blur_px)


class Detector:
    """Finds one board. Not thread-safe."""

    def __init__(self, board: Board) -> None:
        self.board = board
        parameters = cv2.aruco.CharucoParameters()
        parameters.minMarkers = 2
        markers = cv2.aruco.DetectorParameters()
        # The default of 0.03 loses the markers of a board that is far away in a large picture.
        markers.minMarkerPerimeterRate = 0.015
        self._detector = cv2.aruco.CharucoDetector(board.charuco, parameters, markers)

    def find(self, image: np.ndarray) -> Corners | None:
        """Corners in a picture (H, W) or RGB (H, W, 3) uint8; None where too few are seen."""
        gray = as_gray(image)
        pixels, ids, _, _ = self._detector.detectBoard(gray)
        if ids is None or len(ids) < MIN_CORNERS:
            return None
        ids, pixels = ids.reshape(-1), np.asarray(pixels, np.float32).reshape(-1, 2)
        pixels = self._refine(gray, ids, pixels)
        height, width = gray.shape
        # Not for NaN either: a corner that is no saddle is half hidden or none.
        inside = (pixels > 1).all(1) & (pixels < [width - 2, height - 2]).all(1)
        found = Corners(
            ids[inside],
            pixels[inside].astype(np.float64),
            self.board.points[ids[inside]],
            _edge_width(gray, pixels[inside]),
        )
        return found if found.usable else None

    def _refine(self, gray: np.ndarray, ids: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Sub-pixel corners, in windows that the next corner and the markers stay out of."""
        points = self.board.points[ids, :2] / self.board.square_m
        apart = np.abs(points[:, None] - points[None])
        # Along rows and columns: a tilted board is foreshortened in one of them.
        aligned = (apart.min(axis=-1) < 0.5) & (apart.max(axis=-1) > 0.5)
        lengths = np.linalg.norm(pixels[:, None] - pixels[None], axis=-1) / np.maximum(apart.sum(axis=-1), 0.5)
        steps = np.where(aligned, lengths, ALONE_PX).min(axis=1)
        steps[steps == ALONE_PX] = steps.min()
        gaps = steps * (1 - self.board.marker_m / self.board.square_m) / 2
        half = int(np.clip(np.percentile(gaps, 20) * 1.1, 2, 9))
        start = cv2.cornerSubPix(gray, pixels.reshape(-1, 1, 2).copy(), (half, half), (-1, -1), REFINE).reshape(-1, 2)
        return refine(gray, start, np.clip(gaps, 2, 6).astype(int))


def as_gray(image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of a grey or RGB picture."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _edge_width(gray: np.ndarray, pixels: np.ndarray) -> float:
    """Pixels over which black turns to white around the corners: contrast over the steepest slope, median."""
    widths = []
    for column, row in np.rint(pixels).astype(int):
        patch = gray[max(0, row - 6) : row + 7, max(0, column - 6) : column + 7].astype(np.float32)
        if min(patch.shape) < 7:
            continue
        slope = np.hypot(
            cv2.Sobel(patch, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(patch, cv2.CV_32F, 0, 1, scale=1 / 8)
        )
        steepest = float(np.percentile(slope, 97))
        if steepest > 1:
            widths.append(float(np.percentile(patch, 95) - np.percentile(patch, 5)) / steepest)
    return float(np.median(widths)) if widths else np.inf


def explain(image: np.ndarray, board: Board) -> EmmaError:
    """Why no board was found in a picture that should show one: mirrored, another board, cut off, or nothing."""
    gray = as_gray(image)
    markers = _markers(gray, board.dictionary)
    if len(markers) < FEW_MARKERS:
        flipped = _markers(np.ascontiguousarray(gray[:, ::-1]), board.dictionary)
        if len(flipped) >= FEW_MARKERS:
            return EmmaError(
                "the board is mirrored",
                found=f"{len(flipped)} markers only in the mirrored picture",
                expected="a print that is not mirrored, and a camera that does not mirror",
                fix="switch off mirroring in the camera's driver, or print board.pdf again without mirroring",
            )
        for name in DICTIONARIES:
            if name != board.dictionary and len(other := _markers(gray, name)) >= FEW_MARKERS:
                return EmmaError(
                    "this is another board",
                    found=f"{len(other)} markers of {name}",
                    expected=str(board),
                    fix="name the board that is used: --board board.yaml",
                )
        if len(markers) == 0:
            return EmmaError(
                "no board in the picture",
                found=f"no marker in {gray.shape[1]} x {gray.shape[0]} pixels, brightness {gray.mean():.0f} of 255",
                expected=str(board),
                fix="bring the board nearer and into focus, without glare",
            )
    foreign = [int(m) for m in markers if m >= board.columns * board.rows // 2]
    if foreign:
        return EmmaError(
            "this is a larger board, or another one",
            found=f"markers {', '.join(map(str, foreign[:6]))}",
            expected=f"{board.columns * board.rows // 2} markers: {board}",
            fix="name the board that is used: --board board.yaml",
        )
    return EmmaError(
        "the board is cut off or too far away",
        found=f"{len(markers)} markers, fewer than {MIN_CORNERS} corners between them",
        expected=f"{MIN_CORNERS} corners of the board in the picture",
        fix="show more of the board. If its columns and rows are right, try legacy: true in board.yaml",
    )


def _markers(gray: np.ndarray, dictionary: str) -> np.ndarray:
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, dictionary)))
    ids = detector.detectMarkers(gray)[1]
    return np.zeros(0, int) if ids is None else ids.reshape(-1)
