"""Recordings of hands to a LeRobotDataset v3: each read and encoded in a process of its own, placed in order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from emma import __version__
from emma.datasets.encode import EncodedEpisode, Frame, encode_episode
from emma.datasets.features import ACTION, IMAGES, STATE
from emma.datasets.writer import DatasetWriter
from emma.errors import EmmaError
from emma.files import sha256_file
from emma.human.formats import find_recordings, frames_of, read_recording
from emma.human.hand_frame import SIDES
from emma.human.recording import Recording
from emma.human.tracks import Cleaning, HandTrack, hand_track
from emma.observation import Observation
from emma.policy.end_effector.poses import GROUP, group_names, to_vector
from emma.worker_pool import in_order

CAMERA_POSE, VALID = "observation.camera_pose", "action_is_valid"
EMBODIMENT = "human"
CAMERA_NAMES = [f"camera.{part}" for part in ("x", "y", "z", "r1x", "r1y", "r1z", "r2x", "r2y", "r2z")]


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """How recordings become episodes.

    hands: groups of state and action, in this order. size: (width, height) of the images. slow_down: seconds of the
    dataset for one second of the recording; people are faster than robots (MotionTrans uses 2.25). lag_s: how much
    later than the picture the hands are stamped. min_coverage: least share of frames in which each hand is valid.
    tool_from_hand: (4, 4), identity if None.
    """

    hands: tuple[str, ...] = ("right",)
    camera: str = "front"
    size: tuple[int, int] = (320, 180)
    fps: int = 10
    slow_down: float = 1.0
    lag_s: float = 0.0
    min_coverage: float = 0.5
    instruction: str = ""
    workers: int = 1
    cleaning: Cleaning = field(default_factory=Cleaning)
    tool_from_hand: np.ndarray | None = None

    def __post_init__(self) -> None:
        checks = (
            ("hands", self.hands, bool(self.hands) and set(self.hands) <= set(SIDES), "left, right or both"),
            ("size", self.size, min(self.size) >= 16, "16 pixels or more each way"),
            ("fps", self.fps, 1 <= self.fps <= 120, "1 to 120"),
            ("slow_down", self.slow_down, 0.1 <= self.slow_down <= 10, "0.1 to 10"),
            ("min_coverage", self.min_coverage, 0 <= self.min_coverage <= 1, "0 to 1"),
            ("workers", self.workers, self.workers >= 1, "1 or more"),
        )
        for name, value, good, expected in checks:
            if not good:
                raise EmmaError(f"bad value for {name}", found=value, expected=expected)

    @property
    def features(self) -> dict[str, dict]:
        """The dataset's features: end-effector vectors, validity of each action, camera pose and the camera."""
        names = group_names(self.hands)
        vector = {"dtype": "float32", "shape": (len(names),), "names": names}
        return {
            STATE: dict(vector),
            ACTION: dict(vector),
            VALID: dict(vector),
            CAMERA_POSE: {"dtype": "float32", "shape": (len(CAMERA_NAMES),), "names": CAMERA_NAMES},
            IMAGES + self.camera: {
                "dtype": "image",
                "shape": (self.size[1], self.size[0], 3),
                "names": ["height", "width", "channels"],
            },
        }


@dataclass(frozen=True, kw_only=True)
class ImportResult:
    """What became of one recording: imported, present (since before) or refused, with the reason."""

    recording: str
    outcome: str
    reason: str = ""
    frames: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Job:
    name: str
    format: str
    place: Path
    config: ImportConfig
    staged: Path


@dataclass(frozen=True, kw_only=True)
class Done:
    """Either an encoded episode or the reason why there is none."""

    encoded: EncodedEpisode | None = None
    instruction: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""


def import_recordings(
    source: Path, out: Path, config: ImportConfig, progress: Callable[[ImportResult, int], None] | None = None
) -> list[ImportResult]:
    """Import every recording at or below `source` into the dataset at `out`, which is made or continued.

    Recordings that are in it already are left alone; interrupted, it holds those that were done. Raises EmmaError if
    there is none, or `out` holds something else; a recording that cannot be imported is refused in the results.
    """
    found = find_recordings(source)
    results: list[ImportResult] = []
    with DatasetWriter.of_features(out, config.features, config.fps, EMBODIMENT) as writer:
        present = {str(entry.get("episode_id")) for entry in writer.provenance}
        jobs = [
            Job(name=name, format=kind, place=place, config=config, staged=writer.staging / f"{number:06d}.parquet")
            for number, (kind, place) in enumerate(found)
            if (name := _name(place, source)) not in present
        ]
        done = _run(jobs, config.workers)
        for _, place in found:
            name = _name(place, source)
            result = ImportResult(recording=name, outcome="present")
            if name not in present:
                result = _place(name, next(done), writer)
            results.append(result)
            if progress is not None:
                progress(result, len(found))
    return results


def _name(place: Path, source: Path) -> str:
    return place.name if place == source else place.relative_to(source).as_posix()


def _place(name: str, done: Done, writer: DatasetWriter) -> ImportResult:
    if done.encoded is None:
        return ImportResult(recording=name, outcome="refused", reason=done.refused)
    frames = done.encoded.length
    writer.add_encoded(done.encoded, done.instruction, done.provenance)
    return ImportResult(
        recording=name, outcome="imported", frames=frames, seconds=float(done.provenance["recorded_seconds"])
    )


def encode_recording(job: Job) -> Done:
    """Read, clean and encode one recording. What is wrong with it is in the result, not raised."""
    try:
        recording = read_recording(job.format, job.place)
        instruction = job.config.instruction or recording.instruction
        if not instruction:
            raise EmmaError("no instruction in the recording", fix="give one with --instruction")
        episode = Episode(recording, job.config)
        encoded = encode_episode(episode.frames(), job.config.features, job.config.fps, job.staged)
        provenance = {
            "source": "human",
            "episode_id": job.name,
            "embodiment": EMBODIMENT,
            "kind": "human",
            "importer": f"emma {__version__}",
            **episode.provenance(),
        }
        return Done(encoded=encoded, instruction=instruction, provenance=provenance)
    except EmmaError as error:
        job.staged.unlink(missing_ok=True)
        return Done(refused=" ".join(str(error).split()))


class Episode:
    """One recording sampled at the dataset's rate. Raises EmmaError if too little of it is valid."""

    def __init__(self, recording: Recording, config: ImportConfig) -> None:
        self._recording, self._config = recording, config
        hands = replace(recording, times_s=recording.times_s - config.lag_s) if config.lag_s else recording
        self._tracks: dict[str, HandTrack] = {
            side: hand_track(hands, side, config.cleaning, config.tool_from_hand) for side in config.hands
        }
        video = recording.video_times_s
        start, end = max(video[0], hands.times_s[0]), min(video[-1], hands.times_s[-1])
        step = 1 / (config.fps * config.slow_down)
        count = int(np.floor((end - start) / step + 1e-6)) + 1
        self.times_s = start + np.arange(count) * step
        self._seconds = end - start
        state, valid = self._sample(self.times_s)
        self.state, self.state_valid = state, valid
        # Action k stands for the pose one step later, as a command leads the pose it brings about.
        following = np.minimum(np.arange(count) + 1, count - 1)
        self.action, self.action_valid = state[following], valid[following]
        self.coverage = {side: float(valid[:, i * GROUP].mean()) for i, side in enumerate(config.hands)}
        self._camera = to_vector(_nearest(recording.camera, recording.times_s, self.times_s))
        self._require_coverage()

    def _sample(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts, masks = [], []
        for track in self._tracks.values():
            poses, widths, valid = track.at(times)
            parts += [to_vector(poses), widths[:, None]]
            masks.append(np.repeat(valid[:, None], GROUP, axis=1))
        return np.concatenate(parts, axis=1), np.concatenate(masks, axis=1)

    def _require_coverage(self) -> None:
        for side, share in self.coverage.items():
            if share < self._config.min_coverage:
                raise EmmaError(
                    f"{self._recording.files[0]}: the {side} hand is rarely valid",
                    found=f"in {share:.0%} of the frames; samples lost: {self._tracks[side].lost}",
                    expected=f"{self._config.min_coverage:.0%} or more",
                    fix="look at it with `emma human check`, or lower --min-coverage",
                )

    def frames(self) -> Iterator[Frame]:
        """(observation, action, further vectors), decoded one at a time."""
        indices = np.searchsorted(self._recording.video_times_s, self.times_s + 1e-6, side="right") - 1
        images = frames_of(self._recording, np.maximum(indices, 0), self._config.size)
        for i, image in enumerate(images):
            observation = Observation(
                stamp_ns=round(self.times_s[i] * 1e9),
                state=self.state[i].astype(np.float32),
                images={self._config.camera: image},
            )
            more = {VALID: self.action_valid[i].astype(np.float32), CAMERA_POSE: self._camera[i].astype(np.float32)}
            yield observation, self.action[i].astype(np.float32), more

    def provenance(self) -> dict[str, Any]:
        """Where the episode comes from, and how much of it is valid."""
        recording, config = self._recording, self._config
        return {
            "format": recording.format,
            "files": {file.name: sha256_file(file) for file in recording.files},
            "hands": list(config.hands),
            "slow_down": config.slow_down,
            "lag_s": config.lag_s,
            "coverage": self.coverage,
            "in_view": {side: recording.in_view(side) for side in config.hands},
            "lost_samples": {side: track.lost for side, track in self._tracks.items()},
            "recorded_seconds": self._seconds,
            "intrinsics": (recording.intrinsics * _scale(recording.video_size, config.size)).tolist(),
        }


def _scale(have: tuple[int, int], want: tuple[int, int]) -> np.ndarray:
    return np.array([[want[0] / have[0]], [want[1] / have[1]], [1.0]])


def _nearest(values: np.ndarray, times: np.ndarray, at: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    return values[np.where(at - times[after - 1] < times[after] - at, after - 1, after)]


def _run(jobs: Sequence[Job], workers: int) -> Iterator[Done]:
    """The jobs' results in their order."""
    few = min(workers, len(jobs))
    return map(encode_recording, jobs) if few < 2 else in_order(encode_recording, jobs, few)
