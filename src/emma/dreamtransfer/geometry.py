"""Cameras in the robot's frame: depth pixels to points and back. Pixel centres lie at whole numbers (CameraInfo)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from emma.errors import EmmaError

BASE = "base"
MM = 0.001

# State (T, J) -> pose of each moving link in the base frame, (T, 4, 4): the robot's forward kinematics.
LinkPoses = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class CameraGeometry:
    """A pinhole camera over T moments.

    intrinsics: (3, 3) in pixels.
    base_from_camera: (T, 4, 4) m, optical frame (x right, y down, z forward) to the base.
    """

    intrinsics: np.ndarray
    base_from_camera: np.ndarray

    def __post_init__(self) -> None:
        if self.intrinsics.shape != (3, 3) or self.base_from_camera.shape[1:] != (4, 4):
            raise ValueError(
                f"shapes {self.intrinsics.shape} and {self.base_from_camera.shape}, not (3, 3) and (T, 4, 4)"
            )

    def __len__(self) -> int:
        return len(self.base_from_camera)

    def at(self, moments: slice | np.ndarray) -> "CameraGeometry":
        """The same camera at some of the moments."""
        return CameraGeometry(intrinsics=self.intrinsics, base_from_camera=self.base_from_camera[moments])


class CameraPoses(Protocol):
    """Where a robot's cameras are for each of T states (T, J). Cameras whose pose is not known are left out."""

    def __call__(self, state: np.ndarray) -> Mapping[str, CameraGeometry]: ...


@dataclass(frozen=True)
class CalibratedPoses:
    """CameraPoses from `calibration/<robot>/`: fixed cameras always, those on a link where `links` knows the link.

    intrinsics: camera -> (3, 3); mounts: camera -> (parent frame, (4, 4) parent from camera).
    """

    intrinsics: Mapping[str, np.ndarray]
    mounts: Mapping[str, tuple[str, np.ndarray]]
    links: LinkPoses | None = None

    def __call__(self, state: np.ndarray) -> Mapping[str, CameraGeometry]:
        frames = {BASE: np.broadcast_to(np.eye(4), (len(state), 4, 4))}
        if self.links is not None:
            frames |= self.links(state)
        return {
            camera: CameraGeometry(intrinsics=self.intrinsics[camera], base_from_camera=frames[parent] @ mount)
            for camera, (parent, mount) in self.mounts.items()
            if parent in frames and camera in self.intrinsics
        }

    @classmethod
    def load(cls, folder: Path, links: LinkPoses | None = None) -> "CalibratedPoses":
        """Read `extrinsics.yaml` and each `<camera>.yaml` in `folder`. Raises EmmaError on files that do not fit."""
        mounts = {camera: _mount(camera, entry) for camera, entry in _read(folder / "extrinsics.yaml").items()}
        intrinsics = {}
        for camera in mounts:
            file = folder / f"{camera}.yaml"
            if file.is_file():
                try:
                    intrinsics[camera] = np.array(_read(file)["camera_matrix"]["data"], np.float64).reshape(3, 3)
                except (KeyError, TypeError, ValueError) as error:
                    raise EmmaError(
                        f"{file} is no camera calibration", found=repr(error), expected="camera_matrix, 3 x 3"
                    ) from None
        return cls(intrinsics, mounts, links)


def points(depth_mm: np.ndarray, camera: CameraGeometry) -> np.ndarray:
    """(T, H, W, 3) float32 m: where each depth pixel (T, H, W) lies in the base frame; NaN where depth is 0."""
    frames, height, width = depth_mm.shape
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.ones_like(rows)], -1).reshape(-1, 3)
    rays = (pixels @ np.linalg.inv(camera.intrinsics).T).astype(np.float32)
    turn, place = camera.base_from_camera[:, :3, :3], camera.base_from_camera[:, None, :3, 3]
    turned = rays @ turn.transpose(0, 2, 1).astype(np.float32)
    z = np.where(depth_mm > 0, depth_mm * np.float32(MM), np.float32(np.nan)).reshape(frames, -1, 1)
    return np.asarray((turned * z + place.astype(np.float32)).reshape(frames, height, width, 3))


def project(where: np.ndarray, camera: CameraGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (T, ..., 2) as (column, row) and distance along the axis (T, ...) m of points (T, ..., 3) in the base.

    Points behind the camera have a distance <= 0; their pixels mean nothing.
    """
    camera_from_base = np.linalg.inv(camera.base_from_camera)
    flat = where.reshape(len(where), -1, 3)
    local = np.einsum("tij,tnj->tni", camera_from_base[:, :3, :3], flat) + camera_from_base[:, None, :3, 3]
    image = local @ camera.intrinsics.T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = image[..., :2] / image[..., 2:]
    return pixels.reshape(*where.shape[:-1], 2), local[..., 2].reshape(where.shape[:-1])


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise EmmaError(f"cannot read {file}", found=str(error), expected="a YAML file") from None
    if not isinstance(content, dict):
        raise EmmaError(f"{file} holds no mapping", found=type(content).__name__, expected="names and values")
    return content


def _mount(camera: str, entry: Any) -> tuple[str, np.ndarray]:
    try:
        pose = np.array(entry["transform"], np.float64).reshape(4, 4)
        return str(entry["parent"]), pose
    except (KeyError, TypeError, ValueError) as error:
        raise EmmaError(
            f"extrinsics of camera {camera} are not valid", found=repr(error), expected="parent and transform, 4 x 4"
        ) from None
