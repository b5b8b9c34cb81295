"""The ChArUco board: what is printed, and where its corners are."""

import io
import math
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emma.errors import EmmaError
from emma.files import atomic_write_bytes, atomic_write_text
from emma.robots.yaml_file import read_yaml

DICTIONARIES = tuple(sorted(name for name in dir(cv2.aruco) if name.startswith("DICT_")))
PRINT_DPI = 600
MM_PER_INCH = 25.4
RULER_MM = 100
MARGIN_MM = 12.0
# Corners of fewer squares give no reliable pose.
SMALLEST = 3


@dataclass(frozen=True, kw_only=True)
class Board:
    """A ChArUco board of columns x rows squares. square_m, marker_m: measured edges in metres.

    legacy: the pattern of OpenCV before 4.6, whose even boards begin with a white square.
    """

    columns: int = 8
    rows: int = 6
    square_m: float = 0.03
    marker_m: float = 0.0225
    dictionary: str = "DICT_5X5_100"
    legacy: bool = False

    def __post_init__(self) -> None:
        def refuse(key: str, expected: str) -> EmmaError:
            return EmmaError(f"the board's {key} is not valid", found=getattr(self, key), expected=expected)

        for key in ("columns", "rows"):
            if not SMALLEST <= getattr(self, key) <= 40:
                raise refuse(key, f"{SMALLEST} to 40 squares")
        if not (math.isfinite(self.square_m) and 0.002 <= self.square_m <= 0.5):
            raise EmmaError(
                "the board's square_m is not valid",
                found=f"{self.square_m:g} m",
                expected="0.002 to 0.5 m",
                fix="give the measured edge of one square in metres: 30 mm is 0.03",
            )
        if not (math.isfinite(self.marker_m) and 0.3 * self.square_m <= self.marker_m < self.square_m):
            raise refuse("marker_m", f"0.3 to 1 times the square ({self.square_m:g} m)")
        if self.dictionary not in DICTIONARIES:
            raise refuse("dictionary", f"one of {', '.join(DICTIONARIES)}")
        needed, held = self.columns * self.rows // 2, self._dictionary().bytesList.shape[0]
        if needed > held:
            raise EmmaError(
                "the board needs more markers than its dictionary has",
                found=f"{needed} markers, {held} in {self.dictionary}",
                expected="a dictionary with enough markers",
                fix="choose one that ends in _250 or _1000, or fewer squares",
            )

    @cached_property
    def charuco(self) -> cv2.aruco.CharucoBoard:
        """The board as OpenCV has it."""
        size = (self.columns, self.rows)
        board = cv2.aruco.CharucoBoard(size, self.square_m, self.marker_m, self._dictionary())
        board.setLegacyPattern(self.legacy)
        return board

    @cached_property
    def points(self) -> np.ndarray:
        """(N, 3) m: the inner corners by id, z = 0; x along columns, y along rows."""
        return np.asarray(self.charuco.getChessboardCorners(), np.float64)

    @property
    def centre(self) -> np.ndarray:
        """(3,) m: the middle of the board."""
        return np.array([self.columns * self.square_m / 2, self.rows * self.square_m / 2, 0.0])

    def __str__(self) -> str:
        return (
            f"{self.columns} x {self.rows} squares of {self.square_m * 1000:g} mm,"
            f" markers of {self.marker_m * 1000:g} mm, {self.dictionary}"
        )

    def image(self, pixels_per_square: int) -> np.ndarray:
        """(H, W) uint8: the pattern without a margin. A corner lies between two pixels."""
        return np.asarray(
            self.charuco.generateImage((self.columns * pixels_per_square, self.rows * pixels_per_square), None, 0, 1)
        )

    def scaled(self, factor: float) -> "Board":
        """The same board with other edges."""
        values = asdict(self) | {"square_m": self.square_m * factor, "marker_m": self.marker_m * factor}
        return Board(**values)

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """Write `board.yaml`, `board.png` and `board.pdf` to print at 100 %; returns their paths."""
        files = folder / "board.yaml", folder / "board.png", folder / "board.pdf"
        lines = "".join(
            f"{key}: {str(value).lower() if value in (True, False) else value}\n" for key, value in asdict(self).items()
        )
        atomic_write_text(
            files[0], f"# ChArUco board. Measure one square of the print and put it in square_m.\n{lines}"
        )
        page = self._page()
        for path, kind in ((files[1], "PNG"), (files[2], "PDF")):
            data = io.BytesIO()
            page.save(data, kind, resolution=PRINT_DPI, dpi=(PRINT_DPI, PRINT_DPI))
            atomic_write_bytes(path, data.getvalue())
        return files

    def _page(self) -> Image.Image:
        """A page with the pattern, a ruler and what it is, in print resolution."""
        dots = PRINT_DPI / MM_PER_INCH
        square = round(self.square_m * 1000 * dots)
        pattern = Image.fromarray(self.image(square)).resize(
            (round(self.columns * self.square_m * 1000 * dots), round(self.rows * self.square_m * 1000 * dots)),
            Image.Resampling.NEAREST,
        )
        margin, foot = round(MARGIN_MM * dots), round(16 * dots)
        width = max(pattern.width, round(RULER_MM * dots)) + 2 * margin
        page = Image.new("L", (width, pattern.height + 2 * margin + foot), 255)
        page.paste(pattern, (margin, margin))
        draw, top = ImageDraw.Draw(page), margin + pattern.height + round(4 * dots)
        for millimetre in range(RULER_MM + 1):
            length = 4 if millimetre % 10 == 0 else 2
            x = margin + round(millimetre * dots)
            draw.line((x, top, x, top + round(length * dots)), fill=0, width=max(1, round(0.15 * dots)))
        text = f"{self}. Print at 100 %: the ruler is {RULER_MM} mm long. Glue it to something flat."
        draw.text((margin, top + round(6 * dots)), text, fill=0, font=ImageFont.load_default(size=2.6 * dots))
        return page.convert("1", dither=Image.Dither.NONE)

    def _dictionary(self) -> Any:
        return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, self.dictionary))


def load_board(path: Path) -> Board:
    """The board that `board.yaml` describes. Raises EmmaError."""
    path = path / "board.yaml" if path.is_dir() else path
    raw = read_yaml(path)
    known: dict[str, Any] = {field.name: type(getattr(Board, field.name)) for field in fields(Board)}
    if not isinstance(raw, dict) or (unknown := set(raw) - set(known)):
        found = type(raw).__name__ if not isinstance(raw, dict) else ", ".join(map(str, sorted(unknown)))
        raise EmmaError(f"{path} is no board", found=found, expected=", ".join(known))
    for key, value in raw.items():
        right = isinstance(value, known[key]) or (known[key] is float and type(value) is int)
        if not right or (isinstance(value, bool) and known[key] is not bool):
            raise EmmaError(f"{path}: bad value for {key}", found=repr(value), expected=known[key].__name__)
    try:
        return Board(**{key: known[key](value) for key, value in raw.items()})
    except EmmaError as error:
        raise EmmaError(f"{path}: {error.problem}", found=error.found, expected=error.expected, fix=error.fix) from None
