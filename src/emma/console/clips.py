"""One episode to look at, from a bag or a dataset: curves over time, pictures by frame, and its health."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from emma.bags.episode import EpisodeMeta, is_episode
from emma.bags.info import IMAGE_TYPES, bag_info
from emma.bags.reader import Bag
from emma.bags.timeline import frame_times_ns, latest
from emma.console.health import health
from emma.console.tiles import encode
from emma.datasets.features import ACTION, IMAGES, STATE
from emma.datasets.files import encoded_images, vectors
from emma.errors import EmmaError
from emma.messages import decode_command, decode_image, merge_states
from emma.robots.spec import RobotSpec, StateTopic, load_robot

if TYPE_CHECKING:
    from emma.datasets.source import SourceDataset


class Picture(NamedTuple):
    """An encoded picture and its media type."""

    data: bytes
    kind: str


class Clip(Protocol):
    """An open episode. Thread-safe."""

    def about(self) -> dict[str, Any]:
        """What the page shows: title, words, fps, frames, cameras, marks, curves and health, as JSON types."""
        ...

    def picture(self, camera: str, frame: int) -> Picture:
        """One picture. Raises EmmaError if there is none."""
        ...

    def close(self) -> None: ...


class DatasetClip:
    """An episode of a LeRobotDataset. Stored pictures are handed out as they are."""

    def __init__(self, source: "SourceDataset", index: int) -> None:
        self._source, self._index = source, index
        self._episode = source.read(index)
        self._encoded: dict[str, list[bytes]] = {}
        self._lock = Lock()

    def about(self) -> dict[str, Any]:
        rows, source = self._episode.rows, self._source
        spec = _robot(source.robot)
        state = vectors(rows[STATE]) if STATE in rows.column_names else np.zeros((len(rows), 0), np.float32)
        action = vectors(rows[ACTION]) if ACTION in rows.column_names else state
        names = _names(source, state.shape[1])
        times = np.arange(len(rows)) / source.fps
        line = self._episode.provenance
        return {
            "name": f"episode {self._index}",
            "instruction": self._episode.task,
            "success": line.get("success") if isinstance(line.get("success"), bool) else None,
            "fps": source.fps,
            "frames": len(rows),
            "cameras": list(source.cameras),
            "marks": [{"t": a / source.fps, "label": "intervention"} for a, _ in line.get("interventions") or ()],
            "generated": _generated(line),
            "curves": curves(times, names, state, times, action),
            "health": health(times, state, action, spec),
            "problems": [],
        }

    def picture(self, camera: str, frame: int) -> Picture:
        if camera not in self._source.cameras or not 0 <= frame < len(self._episode):
            raise EmmaError("no such picture", found=f"{camera}, frame {frame}", expected="a camera and a frame")
        if camera in self._episode.frames:
            return Picture(encode(self._episode.frames[camera][frame]), "image/jpeg")
        with self._lock:
            if camera not in self._encoded:
                self._encoded[camera] = encoded_images(self._episode.rows[IMAGES + camera])
        data = self._encoded[camera][frame]
        return Picture(data, "image/png" if data.startswith(b"\x89PNG") else "image/jpeg")

    def close(self) -> None:
        self._encoded.clear()


def _generated(line: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a generated clip was made from and scored, by its provenance; None for a recorded episode."""
    origin = line.get("from")
    if not isinstance(origin, dict) or not isinstance(origin.get("episode"), int):
        return None
    return {
        "dataset": str(origin.get("dataset", "")),
        "episode": origin["episode"],
        "prompt": str(line.get("prompt", "")),
        "scores": line.get("scores") if isinstance(line.get("scores"), dict) else {},
        "accepted": line.get("accepted"),
        "reason": str(line.get("reason") or ""),
    }


class BagClip:
    """A bag. Frames lie 1 / fps apart from the first to the last picture; each shows the latest one not newer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._meta = EpisodeMeta.load(path) if is_episode(path) else None
        self._spec = _robot(self._meta.robot) if self._meta else None
        self._bag = Bag(path)
        self._lock = Lock()
        index = self._bag.index
        self._at: dict[str, np.ndarray] = {}
        by_topic = {c.image_topic: c.name for c in self._spec.cameras} if self._spec else {}
        for topic in self._bag.topics.values():
            name = by_topic.get(topic.name, topic.name.strip("/").replace("/", "."))
            colour = topic.type in IMAGE_TYPES and (topic.name in by_topic or not self._spec)
            if colour and len(at := index.of(topic.number)):
                self._at[name] = at[np.argsort(index.stamp_ns[at], kind="stable")]
        if self._spec is not None:
            self._at = {name: self._at[name] for name in self._spec.camera_names if name in self._at}
        self._fps = self._spec.fps if self._spec else 20
        stamps = [index.stamp_ns[at] for at in self._at.values()] or [index.stamp_ns]
        if not len(stamps[0]):
            raise EmmaError(f"{path.name} is empty", found="0 messages", expected="a recording")
        first, last = min(int(s[0]) for s in stamps), max(int(s[-1]) for s in stamps)
        self._times = frame_times_ns(first, last, self._fps)

    def about(self) -> dict[str, Any]:
        with self._lock:
            names, state, action = self._vectors()
        info = bag_info(self._path)
        meta, start = self._meta, int(self._times[0])
        marks = [{"t": (mark.time_ns - start) / 1e9, "label": mark.label} for mark in meta.marks] if meta else []
        found = health(state[0], state[1], action[1], self._spec)
        found |= {
            "gaps": sum(topic.gaps for topic in info.topics),
            "longest gap, s": round(max((topic.longest_s for topic in info.topics), default=0.0), 3),
            "skew, ms": round(info.skew_s[0] * 1e3, 1),
            "lost": sum(topic.dropped for topic in info.topics),
        }
        return {
            "name": self._path.name,
            "instruction": meta.instruction if meta else "",
            "success": meta.success if meta else None,
            "fps": self._fps,
            "frames": len(self._times),
            "cameras": list(self._at),
            "marks": marks,
            "curves": curves(state[0], names, state[1], action[0], action[1]),
            "health": found,
            "problems": list(meta.problems) if meta else [],
        }

    def picture(self, camera: str, frame: int) -> Picture:
        if camera not in self._at or not 0 <= frame < len(self._times):
            raise EmmaError("no such picture", found=f"{camera}, frame {frame}", expected="a camera and a frame")
        at = self._at[camera]
        with self._lock:
            which = latest(self._bag.index.stamp_ns[at], self._times[frame : frame + 1])[0]
            message = self._bag.message(int(at[max(0, which)]))
        if self._spec is not None:
            return Picture(encode(decode_image(message, self._spec.camera(camera))), "image/jpeg")
        from rosbags.image import message_to_cvimage

        return Picture(encode(np.asarray(message_to_cvimage(message, "rgb8"))), "image/jpeg")

    def close(self) -> None:
        with self._lock:
            self._bag.close()

    def _vectors(self) -> tuple[list[str], tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        spec = self._spec
        if spec is None:
            return [], (np.zeros(0), np.zeros((0, 0))), (np.zeros(0), np.zeros((0, 0)))
        states = {t.topic: (t.joints, partial(_state, topic=t)) for t in spec.state_topics}
        groups = {g.recorded_topic: (spec.led(g), partial(decode_command, group=g)) for g in spec.command_groups}
        return list(spec.joint_names), self._series(spec, states), self._series(spec, groups)

    def _series(self, spec: RobotSpec, topics: Mapping[str, tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """(N,) seconds since the first frame and (N, J) values of the topics together: topic -> joints, decoder.

        Moments before every topic had its first message are left out.
        """
        index = self._bag.index
        found = [
            (int(index.stamp_ns[position]), number, int(position), topic)
            for number, topic in enumerate(topics)
            if topic in self._bag.topics
            for position in index.of(self._bag.topics[topic].number)
        ]
        whole = np.full(len(spec.joints), np.nan, np.float32)
        times, values = [], []
        for stamp, _, position, topic in sorted(found):
            joints, decode = topics[topic]
            whole[[spec.index(name) for name in joints]] = decode(self._bag.message(position), spec)
            if np.isfinite(whole).all():
                times.append((stamp - int(self._times[0])) / 1e9)
                values.append(whole.copy())
        return np.array(times), np.array(values).reshape(len(values), len(spec.joints))


def _state(message: Any, spec: RobotSpec, topic: StateTopic) -> np.ndarray:
    return merge_states([message], spec, topic)[0]


def curves(
    t: np.ndarray, names: list[str], state: np.ndarray, t_action: np.ndarray, action: np.ndarray
) -> dict[str, Any]:
    """Joints (T, J) over their seconds and actions (N, J) over theirs, as lists."""
    return {
        "names": names,
        "t": np.round(t, 4).tolist(),
        "state": np.round(state.T, 5).tolist(),
        "t_action": np.round(t_action, 4).tolist(),
        "action": np.round(action.T, 5).tolist(),
    }


def _robot(name: str) -> RobotSpec | None:
    try:
        return load_robot(name)
    except EmmaError:
        return None


def _names(source: "SourceDataset", count: int) -> list[str]:
    stored = source.info.features.get(STATE, {}).get("names")
    names = stored.get("motors") if isinstance(stored, dict) else stored
    return [str(name) for name in names] if names and len(names) == count else [f"joint {i}" for i in range(count)]
