"""Leader arm to follower arm: which joint of the one moves which of the other, and how the two come together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import yaml

from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.teleop.teleop import Target


@dataclass(frozen=True, kw_only=True)
class JointMap:
    """follower = scale * leader + offset, in the follower joint's unit. leader: its name; a negative scale turns it."""

    leader: str
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LeaderMap:
    """One JointMap for each joint of the follower, in its order."""

    joints: tuple[JointMap, ...]

    @classmethod
    def identity(cls, spec: RobotSpec) -> "LeaderMap":
        """A leader whose joints are named and built like the follower's."""
        return cls(joints=tuple(JointMap(leader=name) for name in spec.joint_names))

    def apply(self, names: Sequence[str], positions: Sequence[float]) -> np.ndarray:
        """(J,) follower targets from a leader's joint state. Raises EmmaError for missing or non-finite joints."""
        where = {name: i for i, name in enumerate(names)}
        missing = [joint.leader for joint in self.joints if where.get(joint.leader, len(positions)) >= len(positions)]
        if missing:
            raise EmmaError(
                f"the leader lacks {', '.join(missing)}",
                found=", ".join(names) or "no joints",
                expected=", ".join(joint.leader for joint in self.joints),
                fix="correct the leader's joint names in the leader map",
            )
        values = np.array([j.scale * positions[where[j.leader]] + j.offset for j in self.joints], dtype=np.float64)
        if not np.isfinite(values).all():
            raise EmmaError("the leader's joints are not finite", found=values.tolist(), expected="finite numbers")
        return values


def load_leader_map(path: Path | str, spec: RobotSpec) -> LeaderMap:
    """Read `follower joint: {leader: name, scale: 1.0, offset: 0.0}` lines. A joint that is left out is mapped 1:1.

    Raises EmmaError that names file, joint and what is allowed.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise EmmaError(f"cannot read {path}", found=error.strerror, expected="a leader map") from None
    except yaml.YAMLError as error:
        raise EmmaError(f"{path} is not valid YAML", found=" ".join(str(error).split())) from None
    if not isinstance(raw, Mapping):
        raise EmmaError(f"{path} is no leader map", found=type(raw).__name__, expected="follower joint: {leader: ...}")
    unknown = [str(name) for name in raw if name not in spec.joint_names]
    if unknown:
        raise EmmaError(
            f"{path} names joints that robot {spec.name} does not have",
            found=", ".join(unknown),
            expected=", ".join(spec.joint_names),
        )
    return LeaderMap(joints=tuple(_joint_map(path, name, raw.get(name)) for name in spec.joint_names))


def _joint_map(path: Path | str, name: str, raw: object) -> JointMap:
    known = {"leader": name, "scale": 1.0, "offset": 0.0}
    given = {} if raw is None else raw
    if not isinstance(given, Mapping) or set(given) - set(known):
        allowed = ", ".join(field.name for field in fields(JointMap))
        raise EmmaError(f"{path}: bad entry for {name}", found=repr(raw), expected=f"keys {allowed}")
    values = {**known, **given}
    for key in ("scale", "offset"):
        number = values[key]
        if isinstance(number, bool) or not isinstance(number, int | float) or not np.isfinite(number):
            raise EmmaError(f"{path}: bad {key} for {name}", found=repr(number), expected="a finite number")
    if values["scale"] == 0 or not isinstance(values["leader"], str):
        raise EmmaError(f"{path}: bad entry for {name}", found=repr(raw), expected="a name, and a scale that is not 0")
    return JointMap(leader=values["leader"], scale=float(values["scale"]), offset=float(values["offset"]))


@dataclass(frozen=True, kw_only=True)
class LeaderConfig:
    """align_speed: share of the velocity limits at which the follower comes to the leader; aligned: how near it must
    be, in rad or m; ramp_s: time from align_speed to full speed; max_age_s: an older leader state stops the arm."""

    align_speed: float = 0.15
    aligned: float = 0.03
    ramp_s: float = 1.0
    max_age_s: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.align_speed <= 1:
            raise ValueError(f"align_speed lies in (0, 1], not {self.align_speed}")
        for name in ("aligned", "ramp_s", "max_age_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")


class LeaderDevice:
    """A leader arm: the follower first comes to its pose slowly, then follows one to one.

    Without a fresh leader state the follower stands still; when the leader is back, it comes to it slowly again.
    """

    def __init__(self, mapping: LeaderMap, config: LeaderConfig | None = None) -> None:
        self._map, self._config = mapping, config or LeaderConfig()
        self._pose: np.ndarray | None = None
        self._seen_s = -np.inf
        self._aligned_s: float | None = None

    def push(self, names: Sequence[str], positions: Sequence[float], t_s: float) -> None:
        """Take a joint state of the leader. Raises EmmaError if it is of no use."""
        self._pose, self._seen_s = self._map.apply(names, positions), t_s

    def begin(self, position: np.ndarray, t_s: float) -> None:
        """See `Device`."""
        self._aligned_s = None

    def target(self, t_s: float, position: np.ndarray) -> Target:
        """See `Device`."""
        age = t_s - self._seen_s
        if self._pose is None or age > self._config.max_age_s:
            self._aligned_s = None
            return Target(None, note="no leader yet" if self._pose is None else f"the leader is silent for {age:.1f} s")
        slow = self._config.align_speed
        if self._aligned_s is None:
            if np.abs(self._pose - position).max() > self._config.aligned:
                return Target(self._pose, speed=slow, note="coming to the leader's pose")
            self._aligned_s = t_s
        share = min((t_s - self._aligned_s) / self._config.ramp_s, 1.0)
        return Target(self._pose, speed=slow + share * (1.0 - slow))
