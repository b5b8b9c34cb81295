"""One episode as a generator sees it: synchronous pictures and depth of several cameras."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from emma.dreamtransfer.geometry import CameraGeometry
from emma.errors import EmmaError


@dataclass(frozen=True, kw_only=True)
class Clip:
    """T moments of some views, all of one size.

    images: camera -> (T, H, W, 3) uint8 RGB; depth: camera -> (T, H, W) uint16 mm along the optical axis, 0 unknown;
    cameras: may lack views whose pose is not known. keep: camera -> (T, H, W) bool, pixels that no generator may
    change (the robot itself, where a mask of it exists). Raises EmmaError where shapes disagree.
    """

    images: Mapping[str, np.ndarray]
    depth: Mapping[str, np.ndarray]
    fps: float
    cameras: Mapping[str, CameraGeometry] = field(default_factory=dict)
    keep: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.images:
            raise EmmaError("a clip without views", found="no camera", expected="at least one")
        shapes = {camera: images.shape for camera, images in self.images.items()}
        first = next(iter(shapes.values()))
        if len(set(shapes.values())) > 1 or len(first) != 4 or first[3] != 3 or first[0] < 1:
            raise EmmaError(
                "the views of a clip do not fit together",
                found=", ".join(f"{camera} {shape}" for camera, shape in shapes.items()),
                expected="(T, H, W, 3) alike for every camera",
                fix="choose cameras of one size and rate, or convert the bags with one size",
            )
        for kind, maps in (("depth", self.depth), ("the mask", self.keep)):
            for camera, values in maps.items():
                if camera in shapes and values.shape != first[:3]:
                    raise EmmaError(
                        f"{kind} of {camera} does not fit its pictures", found=values.shape, expected=f"{first[:3]}"
                    )
        for camera, geometry in self.cameras.items():
            if len(geometry) != first[0]:
                raise EmmaError(f"poses of {camera} do not fit its pictures", found=len(geometry), expected=first[0])

    def __len__(self) -> int:
        return len(next(iter(self.images.values())))

    @property
    def views(self) -> tuple[str, ...]:
        """The cameras, in the order in which they were given."""
        return tuple(self.images)

    def stretches(self, pixels: int) -> list[tuple[int, int]]:
        """(start, stop) that cover the clip: about `pixels` pixels of all views in each, but at least two moments."""
        moments, height, width = next(iter(self.images.values())).shape[:3]
        count = -(-moments // max(2, pixels // (len(self.images) * height * width)))
        edges = np.linspace(0, moments, count + 1).round().astype(int)
        return list(pairwise(edges.tolist()))

    def part(self, start: int, stop: int) -> "Clip":
        """Moments start to stop, stop excluded."""
        return self.at(np.arange(start, stop))

    def at(self, moments: np.ndarray) -> "Clip":
        """The moments of these numbers, in this order; a number may come again."""
        return Clip(
            images={camera: images[moments] for camera, images in self.images.items()},
            depth={camera: depth[moments] for camera, depth in self.depth.items()},
            cameras={camera: geometry.at(moments) for camera, geometry in self.cameras.items()},
            keep={camera: mask[moments] for camera, mask in self.keep.items()},
            fps=self.fps,
        )

    def only(self, views: Sequence[str]) -> "Clip":
        """Some of the views, in the given order. Raises EmmaError for one that is missing."""
        missing = [view for view in views if view not in self.images]
        if missing:
            raise EmmaError(
                f"no camera {', '.join(missing)} in this clip", found=", ".join(self.images), expected=", ".join(views)
            )
        return Clip(
            images={view: self.images[view] for view in views},
            depth={view: self.depth[view] for view in views if view in self.depth},
            cameras={view: self.cameras[view] for view in views if view in self.cameras},
            keep={view: self.keep[view] for view in views if view in self.keep},
            fps=self.fps,
        )
