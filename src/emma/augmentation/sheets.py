"""Pictures of a report: strips of one clip at several moments, all views, and sheets of strips with titles."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from emma.datasets.features import IMAGES
from emma.datasets.files import decoded, encoded_images
from emma.datasets.source import SourceDataset
from emma.errors import EmmaError

# Larger pictures are made this high.
_TILE_HEIGHT = 120
_GAP, _MARGIN, _TITLE = 3, 12, 22
_PAPER, _INK, _ACCEPTED, _REJECTED, _SOURCE = "#ffffff", "#1d2430", "#1a7f4b", "#c0392b", "#3565a8"
COLOURS = {"source": _SOURCE, "accepted": _ACCEPTED, "rejected": _REJECTED, "generated": _ACCEPTED}


def moments(length: int, count: int) -> list[int]:
    """`count` frames spread over an episode, first and last among them."""
    return sorted({round(i) for i in np.linspace(0, length - 1, min(count, length))})


def pictures(source: SourceDataset, index: int, count: int) -> dict[str, np.ndarray]:
    """Camera -> (K, H, W, 3) uint8: an episode at some moments; nothing else of it is decoded."""
    at = moments(source.length(index), count)
    if source.video:
        frames = source.read(index).frames
        return {camera: frames[camera][at] for camera in source.cameras}
    keys = [IMAGES + camera for camera in source.cameras]
    file = source.file(index)
    wanted = [("episode_index", "=", index), ("frame_index", "in", at)]
    rows = pq.read_table(file, columns=keys, filters=wanted)
    return {
        camera: np.stack([decoded(data) for data in encoded_images(rows[key])])
        for camera, key in zip(source.cameras, keys, strict=True)
    }


def strip(clip: Mapping[str, np.ndarray]) -> np.ndarray:
    """(H, W, 3) uint8: a row of moments, the views of each side by side."""
    tiles: list[np.ndarray] = []
    for t in range(len(next(iter(clip.values())))):
        if tiles:
            tiles.append(np.full((tiles[0].shape[0], _GAP * 2, 3), 255, np.uint8))
        tiles += [_tile(images[t]) for images in clip.values()]
    return np.concatenate(tiles, axis=1)


def sheet(title: str, rows: Sequence[tuple[str, str, np.ndarray]]) -> bytes:
    """PNG of titled strips below each other. rows: kind (a key of COLOURS), title, strip."""
    width = max(row.shape[1] for _, _, row in rows) + 2 * _MARGIN
    height = _MARGIN * 2 + _TITLE + sum(row.shape[0] + _TITLE + _MARGIN for _, _, row in rows)
    page = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN), title, _INK, ImageFont.load_default(16))
    top = _MARGIN * 2 + _TITLE
    for kind, text, row in rows:
        draw.rectangle((_MARGIN - 7, top, _MARGIN - 4, top + _TITLE + row.shape[0]), fill=COLOURS[kind])
        draw.text((_MARGIN, top), _cut(f"{kind}: {text}" if text else kind, width), _INK, ImageFont.load_default(12))
        page.paste(Image.fromarray(row), (_MARGIN, top + _TITLE))
        top += row.shape[0] + _TITLE + _MARGIN
    return png(np.asarray(page))


def png(image: np.ndarray) -> bytes:
    """PNG of (H, W, 3) uint8 RGB."""
    done, data = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise EmmaError("cannot draw a sheet", found=f"{image.dtype} {image.shape}", expected="a picture")
    return bytes(data)


def _tile(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if height <= _TILE_HEIGHT:
        return image
    return cv2.resize(image, (round(width * _TILE_HEIGHT / height), _TILE_HEIGHT), interpolation=cv2.INTER_AREA)


def _cut(text: str, width: int) -> str:
    letters = width // 6
    return text if len(text) <= letters else f"{text[: letters - 3]}..."
