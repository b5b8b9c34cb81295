"""A LeRobotDataset as it lies on the disk: what every part that reads one does first, and with every column."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from emma.arrays import Array
from emma.errors import EmmaError


def dataset_root(path: Path | str) -> Path:
    """The folder of the dataset at `path`, resolved. Raises EmmaError if there is none."""
    root = Path(path).resolve()
    if not (root / "meta" / "info.json").is_file():
        raise EmmaError(
            f"{path} is not a LeRobotDataset",
            found="no meta/info.json" if root.is_dir() else "no such folder",
            expected="a LeRobotDataset v3 folder",
            fix="make one with `emma episodes convert` or `emma collect`",
        )
    return root


def vectors(column: pa.ChunkedArray) -> Array:
    """(T, D) float32 of a column of vectors, or of numbers: D is 1. ValueError for vectors of different lengths."""
    flat = column.combine_chunks()
    values = flat if pa.types.is_primitive(flat.type) else flat.flatten()
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float32).reshape(len(flat), -1)


def encoded_images(column: pa.ChunkedArray) -> list[bytes]:
    """The pictures of a column as they were encoded. Raises EmmaError if one is missing."""
    images = [cell and cell.get("bytes") for cell in column.combine_chunks().to_pylist()]
    if not all(images):
        raise EmmaError(
            "an image in the dataset is missing",
            found="a frame without bytes",
            expected="PNG or JPEG in every frame",
            fix="`emma episodes validate` tells where",
        )
    return images


def each_encoded(column: pa.ChunkedArray) -> Iterator[bytes]:
    """The same one by one: all of them at once may be more than the memory holds."""
    for chunk in column.chunks:
        stored = chunk.field("bytes")
        for i in range(len(stored)):
            yield stored[i].as_py()


def decoded(data: bytes, mode: int = cv2.IMREAD_COLOR_RGB) -> Array:
    """A stored picture, as OpenCV's `mode` has it: (H, W, 3) uint8 RGB. Raises EmmaError if it is none."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    if image is None:
        raise EmmaError("an image in the dataset cannot be decoded", found=f"{len(data)} bytes", expected="PNG or JPEG")
    return image
