"""A small painted world with exact depth: a table at z = 0 and a block on it, seen by two cameras from above."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from emma.dreamtransfer.geometry import CameraGeometry, points

SIZE = 64
TABLE, BLOCK = 2, 5
HEIGHT = 0.04


@dataclass(frozen=True)
class World:
    """T moments. images, depth, segments: camera -> arrays as the measures take them."""

    images: dict[str, np.ndarray]
    depth: dict[str, np.ndarray]
    segments: dict[str, np.ndarray]
    cameras: dict[str, CameraGeometry]
    paint: object = field(repr=False)


def _camera(moments: int, start: tuple[float, float, float], step: float) -> CameraGeometry:
    """Looks straight down from `start`, moving along x by `step` a moment."""
    poses = np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (moments, 1, 1))
    poses[:, :3, 3] = np.array(start) + np.arange(moments)[:, None] * [step, 0.0, 0.0]
    focal = 1.4 * SIZE
    return CameraGeometry(
        intrinsics=np.array([[focal, 0, (SIZE - 1) / 2], [0, focal, (SIZE - 1) / 2], [0, 0, 1.0]]),
        base_from_camera=poses,
    )


def _depth(camera: CameraGeometry, block: tuple[float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """(T, H, W) mm and segments. The block (x0, x1, y0, y1) has a top at HEIGHT and no visible sides."""
    height = np.rint(camera.base_from_camera[:, 2, 3] * 1000)
    table = np.broadcast_to(height[:, None, None], (len(camera), SIZE, SIZE)).astype(np.uint16)
    top = (table - HEIGHT * 1000).astype(np.uint16)
    x, y = np.moveaxis(points(top, camera)[..., :2], -1, 0)
    inside = (x > block[0]) & (x < block[1]) & (y > block[2]) & (y < block[3])
    return np.where(inside, top, table), np.where(inside, BLOCK, TABLE).astype(np.uint8)


def stripes(where: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 smooth colours of base-frame points (..., 3)."""
    x, y = where[..., 0], where[..., 1]
    waves = [np.sin(25 * x), np.sin(25 * y), np.cos(20 * (x + y))]
    return np.asarray(np.rint(128 + 80 * np.stack(waves, -1)), np.uint8)


def plain(where: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.uint8([170, 160, 120]), where.shape).copy()


def build(paint=plain, block=(-0.06, 0.04, -0.05, 0.05), moments=6, step=0.004) -> World:
    """The block is red; the table is painted by `paint` from base-frame points (..., 3)."""
    cameras = {"still": _camera(moments, (0.0, 0.0, 0.5), 0.0), "moving": _camera(moments, (0.03, 0.02, 0.4), step)}
    images, depth, segments = {}, {}, {}
    for name, camera in cameras.items():
        depth[name], segments[name] = _depth(camera, block)
        picture = paint(points(depth[name], camera))
        picture[segments[name] == BLOCK] = [190, 30, 30]
        images[name] = picture
    return World(images, depth, segments, cameras, paint)


@pytest.fixture(scope="session")
def make_world():
    return build


@pytest.fixture(scope="session")
def plain_world():
    return build()


@pytest.fixture(scope="session")
def striped_world():
    return build(stripes)
