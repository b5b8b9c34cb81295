"""Cameras in the robot's frame: depth pixels to points and back. Pixel centres lie at whole numbers (CameraInfo)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emma.errors import EmmaError
from emma.robots.camera_file import read_camera, read_mapping
from emma.robots.lens import Distortion
from emma.robots.spec import RobotSpec

BASE = "base"
MM = 0.001

# State (T, J) -> pose of each moving link in the base frame, (T, 4, 4): the robot's forward kinematics.
LinkPoses = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class CameraGeometry:
    """A camera over T moments; a pinhole camera where `distortion` is None.

    intrinsics: (3, 3) in pixels.
    base_from_camera: (T, 4, 4) m, optical frame (x right, y down, z forward) to the base.
    """

    intrinsics: np.ndarray
    base_from_camera: np.ndarray
    distortion: Distortion | None = None

    def __post_init__(self) -> None:
        if self.intrinsics.shape != (3, 3) or self.base_from_camera.shape[1:] != (4, 4):
            raise ValueError(
                f"shapes {self.intrinsics.shape} and {self.base_from_camera.shape}, not (3, 3) and (T, 4, 4)"
            )

    def __len__(self) -> int:
        return len(self.base_from_camera)

    def at(self, moments: slice | np.ndarray) -> "CameraGeometry":
        """The same camera at some of the moments."""
        return replace(self, base_from_camera=self.base_from_camera[moments])


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
    distortions: Mapping[str, Distortion] = field(default_factory=dict)

    def __call__(self, state: np.ndarray) -> Mapping[str, CameraGeometry]:
        frames = {BASE: np.broadcast_to(np.eye(4), (len(state), 4, 4))}
        if self.links is not None:
            frames |= self.links(state)
        return {
            camera: CameraGeometry(
                intrinsics=self.intrinsics[camera],
                base_from_camera=frames[parent] @ mount,
                distortion=self.distortions.get(camera),
            )
            for camera, (parent, mount) in self.mounts.items()
            if parent in frames and camera in self.intrinsics
        }

    @classmethod
    def load(cls, spec: RobotSpec, links: LinkPoses | None = None) -> "CalibratedPoses":
        """Read `extrinsics.yaml` and each `<camera>.yaml` beside the robot's file. Raises EmmaError."""
        extrinsics = spec.folder / "extrinsics.yaml"
        mounts = {camera: _mount(extrinsics, camera, entry) for camera, entry in read_mapping(extrinsics).items()}
        sizes = {camera.name: (camera.width, camera.height) for camera in spec.cameras}
        intrinsics, distortions = {}, {}
        for camera in mounts:
            file = spec.folder / f"{camera}.yaml"
            if file.is_file():
                intrinsics[camera], distortion = read_camera(file, sizes.get(camera))
                if distortion is not None:
                    distortions[camera] = distortion
        return cls(intrinsics, mounts, links, distortions)


def points(depth_mm: np.ndarray, camera: CameraGeometry) -> np.ndarray:
    """(T, H, W, 3) float32 m: where each depth pixel (T, H, W) lies in the base frame; NaN where depth is 0."""
    frames, height, width = depth_mm.shape
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([columns, rows, np.ones_like(rows)], -1).reshape(-1, 3)
    if camera.distortion is None:
        rays = (pixels @ np.linalg.inv(camera.intrinsics).T).astype(np.float32)
    else:
        rays = camera.distortion.rays(pixels[:, :2], camera.intrinsics).astype(np.float32)
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
    if camera.distortion is None:
        image = local @ camera.intrinsics.T
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = image[..., :2] / image[..., 2:]
    else:
        pixels = camera.distortion.pixels(local, camera.intrinsics)
    return pixels.reshape(*where.shape[:-1], 2), local[..., 2].reshape(where.shape[:-1])


def _mount(file: Path, camera: str, entry: Any) -> tuple[str, np.ndarray]:
    try:
        pose = np.array(entry["transform"], np.float64).reshape(4, 4)
        parent = str(entry["parent"])
    except (KeyError, TypeError, ValueError) as error:
        raise EmmaError(
            f"{file}: extrinsics of camera {camera} are not valid",
            found=repr(error),
            expected="parent and transform, 4 x 4",
        ) from None
    turn = pose[:3, :3]
    rigid = np.isfinite(pose).all() and np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) and np.linalg.det(turn) > 0
    if not rigid or pose[3].tolist() != [0, 0, 0, 1]:
        raise EmmaError(
            f"{file}: transform of camera {camera} is not a rigid motion",
            found=pose.tolist(),
            expected="a rotation (not mirrored or scaled), a translation in m, last row 0 0 0 1",
        )
    return parent, pose
