"""Do a robot, a bag, a dataset, a policy and a driver mean the same? One comparison for every place where two meet.

What each of them states goes into a `Description`; `compare` gives the differences and, if there are none, how the
numbers and cameras of one become those of the other. What one side does not state is an assumption, which is reported.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emma.arrays import Array
from emma.errors import EmmaError
from emma.robots.joint_messages import BEYOND_SPANS
from emma.robots.spec import RobotSpec

IMAGES = "observation.images."
# Units in which the vectors of other projects come. declared: those of robot.yaml; degrees: angles in degrees;
# percent: LeRobot's -100..100 over a joint's limits, and 0..100 for grippers.
UNITS = ("declared", "degrees", "percent")
# LeRobot adds the kind of value to a joint's name.
_SUFFIXES = (".pos", ".position")
# Names that only count: they tell the number of values, not which joints these are.
_COUNTED = re.compile(r"(?:motor|joint|action|state|dim|axis|j|q)?_?\d+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What one side states; empty or None where it states nothing.

    what: for messages, "dataset data/real"; joints: names of the vector's values in order; size: number of values;
    ranges: (J, 2) limits for a robot, smallest and largest value for data; cameras: name -> (height, width), None for
    an unknown size; fps: rate of frames or, for a robot, the highest rate it can be commanded at; types: topic ->
    message type.
    """

    what: str
    robot: str = ""
    joints: tuple[str, ...] = ()
    size: int | None = None
    units: tuple[str, ...] = ()
    grippers: tuple[str, ...] = ()
    ranges: Array | None = None
    cameras: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)
    fps: float | None = None
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def named(self) -> bool:
        """Whether the names say which joints these are."""
        return bool(self.joints) and not all(_COUNTED.fullmatch(_plain(name)) for name in self.joints)


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One difference, with what to do about it."""

    what: str
    found: str
    expected: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.what}: found {self.found}, expected {self.expected}" + (f"; {self.fix}" if self.fix else "")


@dataclass(frozen=True, kw_only=True)
class VectorMap:
    """Theirs to ours: value j is theirs[order[j]] * scale[j] + shift[j]."""

    order: tuple[int, ...]
    scale: tuple[float, ...]
    shift: tuple[float, ...]

    @classmethod
    def same(cls, size: int) -> "VectorMap":
        return cls(order=tuple(range(size)), scale=(1.0,) * size, shift=(0.0,) * size)

    @property
    def identity(self) -> bool:
        """Whether nothing changes. A selection of the first values does change something: it drops the others."""
        return self == VectorMap.same(len(self.order))

    def ours(self, values: Array) -> Array:
        """(..., D) of theirs to (..., J) float32 of ours."""
        picked = np.asarray(values, np.float32)[..., list(self.order)]
        return picked * np.asarray(self.scale, np.float32) + np.asarray(self.shift, np.float32)

    def theirs(self, values: Array) -> Array:
        """(..., J) of ours to (..., J) float32 of theirs. For maps that drop nothing."""
        back = np.argsort(self.order)
        moved = (np.asarray(values, np.float32) - np.asarray(self.shift, np.float32)) / np.asarray(self.scale)
        return np.asarray(moved[..., back], np.float32)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """vector: how their numbers become ours; cameras: our name -> theirs; assumed: what neither side states."""

    mismatches: tuple[Mismatch, ...]
    vector: VectorMap
    cameras: Mapping[str, str]
    assumed: tuple[str, ...] = ()

    @property
    def identity(self) -> bool:
        return self.vector.identity and all(ours == theirs for ours, theirs in self.cameras.items())

    def require(self, problem: str) -> "Agreement":
        """Itself, if nothing differs. Raises EmmaError with every difference."""
        if self.mismatches:
            fixes = dict.fromkeys(m.fix for m in self.mismatches if m.fix)
            raise EmmaError(
                problem,
                found="; ".join(f"{m.what} {m.found}" for m in self.mismatches),
                expected="; ".join(f"{m.what} {m.expected}" for m in self.mismatches),
                fix="; ".join(fixes) or None,
            )
        return self


def of_robot(spec: RobotSpec, cameras: Sequence[str] | None = None) -> Description:
    """cameras: those that matter here, None for all."""
    chosen = spec.cameras if cameras is None else [spec.camera(name) for name in cameras]
    return Description(
        what=f"robot {spec.name}",
        robot=spec.name,
        joints=spec.joint_names,
        size=len(spec.joints),
        units=tuple(joint.unit for joint in spec.joints),
        grippers=spec.gripper,
        ranges=np.array([(joint.lower, joint.upper) for joint in spec.joints]),
        cameras={camera.name: (camera.height, camera.width) for camera in chosen},
        fps=spec.control_rate_hz,
        types=spec.topics(),
    )


def of_vector(
    what: str,
    feature: Mapping[str, object],
    *,
    ranges: Array | None = None,
    cameras: Mapping[str, tuple[int, int] | None] | None = None,
    fps: float | None = None,
) -> Description:
    """A dataset's or a policy's feature as LeRobot spells it: `shape`, and `names` as a list or below a key."""
    shape = feature.get("shape")
    size = int(np.prod([int(n) for n in shape])) if isinstance(shape, list | tuple) else None
    names = joint_names(feature.get("names"))
    return Description(
        what=what,
        joints=names if size is None or len(names) == size else (),
        size=size,
        ranges=ranges,
        cameras=cameras or {},
        fps=fps,
    )


def joint_names(names: object) -> tuple[str, ...]:
    """The names in a feature: a list, or one below a key such as `motors`."""
    if isinstance(names, Mapping):
        lists = [value for value in names.values() if isinstance(value, list | tuple)]
        return joint_names(lists[0]) if len(lists) == 1 else ()
    return tuple(str(name) for name in names) if isinstance(names, list | tuple) else ()


def compare(
    ours: Description,
    theirs: Description,
    *,
    renamed: Mapping[str, str] | None = None,
    units: str = "declared",
    partial: bool = False,
) -> Agreement:
    """How `theirs`, a dataset or policy, bag or driver, fits `ours`, a robot or the first of several datasets.

    renamed: our name -> theirs, for cameras (full feature names, or what follows `observation.images.`) and joints;
    units: one of UNITS, in which their numbers come; partial: values of theirs that we have no joint for are left out.
    """
    renamed = renamed or {}
    found: list[Mismatch] = []
    assumed: list[str] = []
    if ours.robot and theirs.robot and ours.robot != theirs.robot:
        found.append(Mismatch(what="robot", found=theirs.robot, expected=ours.robot))
    order = _order(ours, theirs, renamed, partial, found, assumed)
    vector = _scaled(ours, order, units, found) if order else VectorMap.same(ours.size or 0)
    if order and theirs.ranges is not None and ours.ranges is not None and ours.units:
        found += _implausible(ours, theirs, vector, units)
    cameras = _cameras(ours, theirs, renamed, found)
    if ours.fps is not None and theirs.fps is not None and theirs.fps > ours.fps:
        found.append(
            Mismatch(what="rate", found=f"{theirs.fps:g} actions/s", expected=f"at most {ours.fps:g} (control_rate_hz)")
        )
    found += [
        Mismatch(
            what=f"type of {topic}",
            found=theirs.types[topic] or "none",
            expected=kind,
            fix="correct robot.yaml, or the driver",
        )
        for topic, kind in ours.types.items()
        if topic in theirs.types and theirs.types[topic] != kind
    ]
    return Agreement(mismatches=tuple(found), vector=vector, cameras=cameras, assumed=tuple(assumed))


def _plain(name: str) -> str:
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _order(
    ours: Description,
    theirs: Description,
    renamed: Mapping[str, str],
    partial: bool,
    found: list[Mismatch],
    assumed: list[str],
) -> tuple[int, ...]:
    """Which of their values is each of ours; empty where that is not certain, with the reason in `found`."""
    if theirs.size is None and not theirs.joints:
        return tuple(range(ours.size or 0))
    size = theirs.size if theirs.size is not None else len(theirs.joints)
    shared = {*map(_plain, ours.joints)} & {*map(_plain, theirs.joints)}
    if (ours.named or shared) and (theirs.named or shared):
        place = {_plain(name): i for i, name in enumerate(theirs.joints)}
        wanted = [_plain(renamed.get(name, name)) for name in ours.joints]
        missing = [name for name in wanted if name not in place]
        more = [name for name in place if name not in wanted]
        if not missing and (partial or not more) and len(place) == size:
            if more:
                assumed.append(f"{theirs.what}: {', '.join(more)} left out")
            order = tuple(place[name] for name in wanted)
            if order != tuple(range(size)) and not more:
                assumed.append(f"{theirs.what}: joints put into the order {', '.join(ours.joints)}")
            return order
        pairs = " ".join(f"--map {ours.joints[wanted.index(a)]}={b}" for a, b in zip(missing, more, strict=False))
        found.append(
            Mismatch(
                what="joints",
                found=", ".join(theirs.joints),
                expected=", ".join(ours.joints),
                fix=f"say which is which, for example {pairs}" if pairs and len(missing) == len(more) else "",
            )
        )
        return ()
    if size != ours.size:
        found.append(Mismatch(what="joints", found=f"{size} values", expected=f"{ours.size}: {', '.join(ours.joints)}"))
        return ()
    if ours.joints:
        assumed.append(f"{theirs.what} does not name its joints: taken as {', '.join(ours.joints)}, in this order")
    return tuple(range(size))


def _scaled(ours: Description, order: tuple[int, ...], units: str, found: list[Mismatch]) -> VectorMap:
    if units not in UNITS:
        found.append(Mismatch(what="units", found=units, expected=" or ".join(UNITS)))
    scale, shift = [1.0] * len(order), [0.0] * len(order)
    for j, unit in enumerate(ours.units):
        if units == "degrees" and unit == "rad":
            scale[j] = float(np.pi / 180)
        elif units == "percent" and ours.ranges is not None:
            lower, upper = map(float, ours.ranges[j])
            first, span = (0.0, 100.0) if ours.joints[j] in ours.grippers else (-100.0, 200.0)
            scale[j] = (upper - lower) / span
            shift[j] = lower - first * scale[j]
    return VectorMap(order=order, scale=tuple(scale), shift=tuple(shift))


def _implausible(ours: Description, theirs: Description, vector: VectorMap, units: str) -> list[Mismatch]:
    """Values so far beyond the limits that they must be in another unit."""
    assert ours.ranges is not None
    assert theirs.ranges is not None
    raw = np.asarray(theirs.ranges, np.float64)[list(vector.order)]
    seen = raw * np.array(vector.scale)[:, None] + np.array(vector.shift)[:, None]
    slack = BEYOND_SPANS * (ours.ranges[:, 1] - ours.ranges[:, 0])
    low, high = ours.ranges[:, 0] - slack, ours.ranges[:, 1] + slack
    beyond = np.flatnonzero((seen.min(1) < low) | (seen.max(1) > high))
    if not len(beyond):
        return []
    angle = np.array([unit == "rad" for unit in ours.units])
    in_degrees = np.where(angle[:, None], np.deg2rad(raw), raw)
    hint = ""
    if units == "declared" and ((in_degrees.min(1) >= low) & (in_degrees.max(1) <= high))[angle].all() and angle.any():
        hint = "these may be degrees: --units degrees"
    elif units == "declared" and np.abs(raw).max() <= 101:
        hint = "these may be LeRobot's -100..100: --units percent"
    return [
        Mismatch(
            what=f"values of {ours.joints[j] if ours.joints else j}",
            found=f"{seen[j].min():.4g} to {seen[j].max():.4g}",
            expected=f"about {ours.ranges[j, 0]:.4g} to {ours.ranges[j, 1]:.4g} {ours.units[j]}",
            fix=hint or "correct the limits in robot.yaml, or convert the data",
        )
        for j in beyond
    ]


def _cameras(
    ours: Description, theirs: Description, renamed: Mapping[str, str], found: list[Mismatch]
) -> dict[str, str]:
    """Our name -> theirs for each of theirs."""
    to_ours = {camera_name(their): our for our, their in renamed.items() if our not in ours.joints}
    cameras: dict[str, str] = {}
    there = [camera_name(name) for name in theirs.cameras]
    for their in to_ours:
        if their not in there:
            found.append(
                Mismatch(what="camera of --map", found=their, expected=", ".join(theirs.cameras) or "none in there")
            )
    for name, size in theirs.cameras.items():
        our = to_ours.get(camera_name(name), camera_name(name))
        if our not in ours.cameras:
            free = [
                camera for camera in ours.cameras if camera not in theirs.cameras and camera not in to_ours.values()
            ]
            found.append(
                Mismatch(
                    what=f"camera {name}",
                    found=f"in {theirs.what}",
                    expected=f"one of {', '.join(ours.cameras) or 'none'} of {ours.what}",
                    fix=f"name it, as in --map {free[0] if free else 'ROBOT_CAMERA'}={IMAGES}{name}",
                )
            )
            continue
        expected = ours.cameras[our]
        if size is not None and expected is not None and size != expected:
            found.append(
                Mismatch(
                    what=f"size of camera {our}",
                    found=f"{size[1]} x {size[0]}",
                    expected=f"{expected[1]} x {expected[0]} as {ours.what} has it",
                    fix="choose another camera, or set its size in robot.yaml",
                )
            )
        cameras[our] = name
    return cameras


def camera_name(key: str) -> str:
    """What a camera is called whose feature is `key`: `observation.images.top` and `top` are top, `observation.image`
    is image."""
    if key.startswith(IMAGES):
        return key.removeprefix(IMAGES)
    return key.removeprefix("observation.") if key.startswith("observation.image") else key


def feature_key(camera: str) -> str:
    """The feature of a camera that is called so."""
    return camera if camera.startswith("observation.image") else IMAGES + camera


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """`top=observation.images.front` -> {top: observation.images.front}. Raises EmmaError for anything else."""
    parsed: dict[str, str] = {}
    for text in pairs:
        ours, separator, theirs = text.partition("=")
        if not separator or not ours or not theirs:
            raise EmmaError(
                f"bad --map {text}",
                found=text,
                expected="ROBOT_NAME=THEIR_NAME, as top=observation.images.front or elbow=elbow_flex.pos",
            )
        if ours in parsed or theirs in parsed.values():
            raise EmmaError(f"bad --map {text}", found="a name that was mapped already", expected="each name once")
        parsed[ours] = theirs
    return parsed
