"""Datasets opened for a training: made alike in the order of joints, units and names of cameras."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from emma.datasets.files import vectors
from emma.datasets.metadata import DatasetMetadata
from emma.errors import EmmaError
from emma.robots.agreement import Description, VectorMap, camera_name, compare, joint_names, of_robot, of_vector
from emma.robots.spec import RobotSpec
from emma.training.end_effector import is_end_effector, require_joints
from emma.training.mixture import parse_data

IMAGES = "observation.images."
STATE, ACTION = "observation.state", "action"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One opened dataset. kind: real, generated or human; cameras: what a camera is called here -> its feature there;
    maps: vector feature -> how its values become the robot's; joints: their names after that; notes: what was
    assumed."""

    root: Path
    meta: DatasetMetadata
    kind: str = "real"
    cameras: Mapping[str, str]
    maps: Mapping[str, VectorMap]
    joints: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> dict[str, dict]:
        """The features as a policy sees them: cameras by their names here, vectors in the robot's order."""
        ours = {key: name for name, key in self.cameras.items()}
        features: dict[str, dict] = {}
        for key, feature in self.meta.features.items():
            if key in self.meta.image_keys:
                if key in ours:
                    features[IMAGES + ours[key]] = {**feature, "shape": tuple(feature["shape"])}
            elif self.joints.get(key):
                features[key] = {**feature, "shape": (len(self.maps[key].order),), "names": list(self.joints[key])}
            else:
                features[key] = feature
        return features

    @property
    def stats(self) -> dict[str, dict[str, np.ndarray]]:
        """The dataset's statistics, of the features as they are here."""
        ours = {key: name for name, key in self.cameras.items()}
        stats: dict[str, dict[str, np.ndarray]] = {}
        for key, values in self.meta.stats.items():
            if key in ours:
                stats[IMAGES + ours[key]] = dict(values)
            elif key in self.maps and not self.maps[key].identity:
                stats[key] = _moved(values, self.maps[key])
            else:
                stats[key] = dict(values)
        return stats

    def size(self, camera: str) -> tuple[int, int]:
        """Height and width of a camera's pictures."""
        return self.meta.size(self.cameras[camera])

    def films(self, camera: str) -> bool:
        """Whether a camera's pictures are in videos; no for one that the dataset does not have."""
        return camera in self.cameras and bool(self.meta.features[self.cameras[camera]]["dtype"] == "video")

    def values(self, key: str, column: pa.ChunkedArray) -> np.ndarray:
        """(T, J) float32: a column of vectors, in the robot's order and units."""
        found = vectors(column)
        if key not in self.maps or (self.maps[key].identity and found.shape[1] == len(self.maps[key].order)):
            return found
        return self.maps[key].ours(found)


def open_source(path: str | Path) -> Source:
    """Read a LeRobotDataset's metadata; `path` may begin with its kind (`generated:`).

    Raises EmmaError if there is none, nothing in it, or nothing that a policy could learn.
    """
    kind, place = parse_data(str(path))
    meta = DatasetMetadata.open(place)
    for key in (STATE, ACTION):
        feature = meta.features.get(key)
        if feature is None or len(feature["shape"]) != 1 or not str(feature["dtype"]).startswith("float"):
            raise EmmaError(
                f"the dataset {place} has no vector {key}",
                found=f"{feature['dtype']} of shape {tuple(feature['shape'])}" if feature else ", ".join(meta.features),
                expected=f"{key}: float32, one value a joint",
                fix="record or convert it with states and actions",
            )
    sizes = {key: int(meta.features[key]["shape"][0]) for key in (STATE, ACTION)}
    names = {camera_name(key): key for key in meta.image_keys}
    return Source(
        root=meta.root,
        meta=meta,
        kind=kind,
        cameras=names,
        maps={key: VectorMap.same(size) for key, size in sizes.items()},
        joints={key: _names(meta.features[key]) for key in sizes},
        notes=meta.notes,
    )


def open_sources(paths: Sequence[str | Path], spec: RobotSpec | None = None) -> list[Source]:
    """All datasets, each made to fit `spec`, or without one the first of them. Raises EmmaError as `fitted` does."""
    return fitted([open_source(path) for path in paths], spec)


def fitted(
    sources: Sequence[Source],
    spec: RobotSpec | None,
    *,
    renamed: Mapping[str, str] | None = None,
    units: str = "declared",
) -> list[Source]:
    """The datasets in the order, units and camera names of `spec`, or without one of the first of them.

    renamed and units as `emma.robots.agreement.compare` takes them. Raises EmmaError with every difference left.
    """
    called = [_renamed(source, renamed or {}) for source in sources]
    if spec is not None:
        robot = {key: of_robot(spec) for key in (STATE, ACTION)}
        return [_fitted(source, robot, renamed or {}, units) for source in called]
    if units != "declared":
        raise EmmaError("units of what robot?", found=f"--units {units}", expected="--robot NAME with it")
    first = {key: replace(_described(called[0], key), ranges=None) for key in (STATE, ACTION)}
    shared = [_shared(source, called[0]) for source in called[1:]]
    return [called[0], *(_fitted(source, first, {}, units) for source in shared)]


def _shared(source: Source, first: Source) -> Source:
    """Without the cameras that the first dataset does not have: no policy would see them."""
    return replace(source, cameras={name: key for name, key in source.cameras.items() if name in first.cameras})


def only(source: Source, cameras: Sequence[str], renamed: Mapping[str, str]) -> Source:
    """The same with these cameras alone, by their names here or in `renamed`. Raises EmmaError if one is missing."""
    theirs = {camera: camera_name(renamed.get(camera, camera)) for camera in cameras}
    for camera, name in theirs.items():
        # Hands may lack cameras.
        if name not in source.cameras and not is_end_effector(source.meta.features):
            raise _lacks(source, IMAGES + camera, [IMAGES + c for c in cameras])
    return replace(source, cameras={name: source.cameras[name] for name in theirs.values() if name in source.cameras})


def _lacks(source: Source, key: str, keys: Sequence[str]) -> EmmaError:
    return EmmaError(
        f"dataset {source.root} lacks {key}",
        found=f"cameras {', '.join(source.cameras) or 'none'}",
        expected=", ".join(keys),
        fix="choose cameras that every dataset has with --cameras, or say which is which with --map",
    )


def _renamed(source: Source, renamed: Mapping[str, str]) -> Source:
    """The same with its cameras called as `renamed` wants it."""
    ours = {camera_name(their): our for our, their in renamed.items()}
    return replace(source, cameras={ours.get(name, name): key for name, key in source.cameras.items()})


def _fitted(source: Source, wanted: Mapping[str, Description], renamed: Mapping[str, str], units: str) -> Source:
    if is_end_effector(source.meta.features):
        # Poses of hands or tools, whatever the robot's joints are.
        return source
    maps, notes, mismatches = {}, [], []
    joints = {our: their for our, their in renamed.items() if camera_name(their) not in _theirs(source)}
    for key, ours in wanted.items():
        # A state may hold more than joints (velocities, a base); an action that is left out would be lost.
        agreement = compare(ours, _described(source, key), renamed=joints, units=units, partial=key == STATE)
        mismatches += [
            replace(m, what=f"{key}: {m.what}") if "camera" not in m.what else m for m in agreement.mismatches
        ]
        maps[key] = agreement.vector
        notes += [note for note in agreement.assumed if note not in notes]
    first = next(iter(wanted.values()))
    kept = [m for i, m in enumerate(mismatches) if m not in mismatches[:i]]
    if kept:
        fixes = dict.fromkeys(m.fix for m in kept if m.fix)
        raise EmmaError(
            f"the dataset {source.root} does not fit {first.what}",
            found="; ".join(f"{m.what} {m.found}" for m in kept),
            expected="; ".join(f"{m.what} {m.expected}" for m in kept),
            fix="; ".join(fixes) or "choose the robot or the dataset that fits",
        )
    named = {key: ours.joints or source.joints[key] for key, ours in wanted.items()}
    return replace(source, maps=maps, joints=named, notes=(*source.notes, *notes))


def _theirs(source: Source) -> set[str]:
    return {camera_name(key) for key in source.cameras.values()}


def _described(source: Source, key: str) -> Description:
    stats = source.meta.stats.get(key, {})
    ranges = None
    if {"min", "max"} <= stats.keys():
        ranges = np.stack([np.ravel(stats["min"]), np.ravel(stats["max"])], axis=1)
        if len(ranges) != source.meta.features[key]["shape"][0] or not np.isfinite(ranges).all():
            ranges = None
    return of_vector(
        f"dataset {source.root.name}",
        source.meta.features[key],
        ranges=ranges,
        cameras={name: source.size(name) for name in source.cameras},
    )


def _names(feature: Mapping[str, Any]) -> tuple[str, ...]:
    names = joint_names(feature.get("names"))
    return names if len(names) == feature["shape"][0] else ()


def _moved(values: Mapping[str, np.ndarray], vector: VectorMap) -> dict[str, np.ndarray]:
    """Statistics of a vector after its map; a negative scale would swap the bounds, and no unit has one."""
    moved = {}
    for name, value in values.items():
        array = np.asarray(value)
        if name == "count":
            moved[name] = array
        elif name == "std":
            moved[name] = (array[..., list(vector.order)] * np.abs(vector.scale)).astype(np.float32)
        else:
            moved[name] = vector.ours(array)
    return moved


def require_alike(sources: Sequence[Source], cameras: Sequence[str], poses: bool = False) -> None:
    """Raise EmmaError unless all datasets share fps, vectors, their joints in one order, and `cameras`.

    poses: vectors go into an end-effector space, where those of other embodiments fit, too, and hands may lack cameras.
    """
    first = sources[0]
    for source in sources:
        if not poses:
            require_joints(source.features, f"dataset {source.root}")
        keys = [] if poses else [STATE, ACTION]
        hands = poses and is_end_effector(source.features)
        keys += [IMAGES + camera for camera in cameras if camera in source.cameras or not hands]
        for key in keys:
            if key not in source.features:
                raise _lacks(source, key, [IMAGES + camera for camera in cameras])
            mine, theirs = (_shape(s, key) for s in (source, first))
            if mine != theirs:
                raise EmmaError(
                    f"datasets differ in {key}",
                    found=f"{mine} in {source.root}",
                    expected=f"{theirs} as in {first.root}",
                    fix="import recordings of hands with --size as the robot's camera" if poses else None,
                )
            names, others = source.joints.get(key), first.joints.get(key)
            if names and others and names != others:
                raise EmmaError(
                    f"datasets differ in the joints of {key}",
                    found=f"{', '.join(names)} in {source.root}",
                    expected=f"{', '.join(others)} as in {first.root}",
                    fix="name the robot whose order counts (--robot), or leave one of them out",
                )
        if source.meta.fps != first.meta.fps:
            raise EmmaError(
                "datasets differ in fps", found=f"{source.meta.fps} in {source.root}", expected=f"{first.meta.fps}"
            )


def _shape(source: Source, key: str) -> tuple[int, ...]:
    if key.startswith(IMAGES):
        return (*source.size(key.removeprefix(IMAGES)), 3)
    return tuple(source.features[key]["shape"])
