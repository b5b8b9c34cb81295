"""`episode.yaml`: what an episode is. Written before the first message, so that a crash never leaves a nameless bag."""

import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from emma import __version__
from emma.errors import EmmaError
from emma.files import atomic_write_text

EPISODE_NAME = "episode.yaml"
KINDS = ("teleop", "policy", "intervention")
STATES = ("recording", "saved", "discarded", "recovered")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class TopicMeta:
    """One recorded topic: messages in the bag, and messages that were received but could not be kept."""

    type: str
    count: int = 0
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A moment worth finding again: a label at a time (ns since the epoch)."""

    time_ns: int
    label: str


@dataclass(frozen=True, kw_only=True)
class EpisodeMeta:
    """The contents of `episode.yaml`. `success` is None until someone says; `started` is ISO 8601 in UTC.

    marks: labelled moments; an intervention is the span from a mark `intervention` to the next `policy`.
    problems: what went wrong while recording, in words and numbers.
    """

    id: str
    robot: str
    instruction: str = ""
    operator: str = ""
    started: str = ""
    kind: str = "teleop"
    state: str = "recording"
    success: bool | None = None
    duration_s: float = 0.0
    notes: str = ""
    policy: str | None = None
    software: Mapping[str, str] = field(default_factory=dict)
    topics: Mapping[str, TopicMeta] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(isinstance(self.id, str) and ID.fullmatch(self.id), "id", self.id, "letters, digits and . _ -")
        _check(isinstance(self.robot, str) and self.robot, "robot", self.robot, "a robot's name")
        _check(self.kind in KINDS, "kind", self.kind, f"one of {', '.join(KINDS)}")
        _check(self.state in STATES, "state", self.state, f"one of {', '.join(STATES)}")
        _check(self.success in (True, False, None), "success", self.success, "true, false or null")
        for key in ("instruction", "operator", "started", "notes"):
            _check(isinstance(getattr(self, key), str), key, getattr(self, key), "text")
        for topic, meta in self.topics.items():
            _check(meta.count >= 0 and meta.dropped >= 0, f"topics.{topic}", meta, "counts of 0 or more")

    @classmethod
    def new(cls, robot: str, **values: Any) -> "EpisodeMeta":
        """A fresh episode of `robot`. Unless given, its id is the UTC time to the second and four hex digits."""
        now = datetime.now(UTC)
        values.setdefault("id", f"{now:%Y%m%d_%H%M%S}_{uuid4().hex[:4]}")
        values.setdefault("software", software())
        return cls(robot=robot, started=now.isoformat(timespec="milliseconds"), **values)

    @property
    def dropped(self) -> int:
        """Messages of all topics that were received but not kept."""
        return sum(topic.dropped for topic in self.topics.values())

    def save(self, folder: Path | str) -> None:
        """Write `<folder>/episode.yaml`, whole or not at all."""
        values = asdict(self)
        values["marks"], values["problems"] = list(values["marks"]), list(values["problems"])
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
        if yaml.safe_load(text) != values:
            # PyYAML writes a few control characters bare and reads them as line breaks; escaped they survive.
            text = yaml.safe_dump(values, sort_keys=False, width=100)
        atomic_write_text(Path(folder) / EPISODE_NAME, text)

    @classmethod
    def load(cls, folder: Path | str) -> "EpisodeMeta":
        """Read `<folder>/episode.yaml`. Raises EmmaError that names file, key and what is allowed."""
        path = Path(folder) / EPISODE_NAME
        try:
            raw = yaml.safe_load(path.read_text())
        except OSError as error:
            raise EmmaError(f"cannot read {path}", found=error.strerror, expected="an episode.yaml") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise EmmaError(f"{path} is not valid YAML", found=" ".join(str(error).split())) from None
        if not isinstance(raw, dict):
            raise EmmaError(
                f"{path} does not describe an episode", found=type(raw).__name__, expected="key: value pairs"
            )
        # A later version may know more keys; they do not make the episode unreadable.
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in raw.items() if key in known}
        try:
            values["topics"] = {t: TopicMeta(**v) for t, v in (values.get("topics") or {}).items()}
            values["marks"] = tuple(Mark(**mark) for mark in values.get("marks") or ())
            values["problems"] = tuple(values.get("problems") or ())
            return cls(**values)
        except EmmaError as error:
            raise EmmaError(f"{path}: {error.problem}", found=error.found, expected=error.expected) from None
        except (TypeError, AttributeError) as error:
            raise EmmaError(
                f"{path} is not a whole episode.yaml", found=str(error), expected="id, robot, ..."
            ) from None

    def with_(self, **changes: Any) -> "EpisodeMeta":
        """A copy with some values changed."""
        return replace(self, **changes)


def software() -> dict[str, str]:
    """The versions that made an episode."""
    return {"emma": __version__, "python": platform.python_version()}


def is_episode(folder: Path) -> bool:
    """Whether `folder` holds an `episode.yaml`."""
    return (folder / EPISODE_NAME).is_file()


def _check(condition: object, key: str, value: object, allowed: str) -> None:
    if not condition:
        raise EmmaError(f"bad value for {key}", found=f"{key}: {value!r}", expected=allowed)
