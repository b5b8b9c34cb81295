"""The recorder without ROS: start, offer raw messages, mark, save or discard. A node only feeds it."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock

from rosbags.interfaces import Qos

from emma.bags.episode import EpisodeMeta
from emma.bags.repair import RepairReport, repair_all
from emma.errors import EmmaError
from emma.recording.recording import Recording
from emma.recording.stats import RecorderConfig, RecorderStats, free_bytes

log = logging.getLogger(__name__)


class EpisodeRecorder:
    """Records one episode at a time below `root`. All methods may be called from any thread.

    `offer` never waits. `start`, `save` and `discard` touch the disk: `save` returns when everything is on it.
    """

    def __init__(
        self,
        root: Path | str,
        config: RecorderConfig | None = None,
        *,
        on_warning: Callable[[str], None] = log.warning,
    ) -> None:
        """Creates `root` and repairs the episodes that an earlier recorder left unfinished there (see `recovered`)."""
        self.root = Path(root)
        self.config = config or RecorderConfig()
        self._warn = on_warning
        self._recording: Recording | None = None
        self._lock = Lock()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EmmaError(
                f"cannot record to {self.root}",
                found=error.strerror,
                expected="a folder to write to",
                fix="choose another folder, or its rights",
            ) from None
        self.recovered: list[RepairReport] = [
            r for r in repair_all(self.root, on_copy=self._warn) if r.action in ("recovered", "failed")
        ]
        for report in self.recovered:
            self._warn(f"unfinished episode {report}")

    @property
    def recording(self) -> bool:
        return self._recording is not None

    @property
    def meta(self) -> EpisodeMeta | None:
        """The episode under way."""
        return self._recording.meta if self._recording else None

    def start(
        self, meta: EpisodeMeta, topics: Mapping[str, str], *, qos: Mapping[str, Sequence[Qos]] | None = None
    ) -> Path:
        """Begin an episode with `topics` (name -> type); returns its folder. EmmaError while another is under way."""
        with self._lock:
            if self._recording is not None:
                raise EmmaError(
                    "an episode is being recorded",
                    found=self._recording.meta.id,
                    expected="one at a time",
                    fix="save or discard it first",
                )
            if (free := free_bytes(self.root)) < self.config.min_free_bytes:
                raise EmmaError(
                    f"the disk of {self.root} is full",
                    found=f"{free / 1e6:.0f} MB free",
                    expected=f"at least {self.config.min_free_bytes / 1e6:.0f} MB",
                    fix="make room, or record to another disk",
                )
            folder = self.root / meta.id
            try:
                self._recording = Recording(folder, meta, topics, self.config, qos=qos, on_warning=self._warn)
            except FileExistsError:
                raise EmmaError(f"{folder} exists", found=meta.id, expected="an id that is not taken") from None
            except OSError as error:
                raise EmmaError(
                    f"cannot record to {folder}",
                    found=error.strerror or str(error),
                    expected="a disk to write to",
                    fix="check the disk and its rights",
                ) from None
            return folder

    def add_topic(self, topic: str, msgtype: str, qos: Sequence[Qos] = ()) -> None:
        """Record a topic that appeared while the episode is under way."""
        self._running().add_topic(topic, msgtype, qos)

    def offer(self, topic: str, data: bytes, log_time_ns: int, publish_time_ns: int) -> bool:
        """Take one serialised message if an episode is under way and the queue has room. Never waits.

        log time: when it was received, publish time: when it was sent (ns since the epoch). `data` must not change.
        """
        recording = self._recording
        return recording is not None and recording.offer(topic, data, log_time_ns, publish_time_ns)

    def mark(self, label: str, time_ns: int | None = None) -> None:
        """Remember a moment of the episode (`intervention`, `policy`, or any word)."""
        self._running().mark(label, time.time_ns() if time_ns is None else time_ns)

    def mark_intervention(self, person: bool, time_ns: int | None = None) -> None:
        """A person took the robot over from the policy, or gave it back."""
        recording = self._running()
        self.mark("intervention" if person else "policy", time_ns)
        if person and recording.meta.kind == "policy":
            recording.change(kind="intervention")

    def mark_success(self, success: bool | None) -> None:
        """Say whether the episode under way succeeded."""
        self._running().change(success=success)

    def set_instruction(self, instruction: str) -> None:
        """Change the words for the task of the episode under way."""
        self._running().change(instruction=instruction)

    def save(self, success: bool | None = None) -> EpisodeMeta:
        """End the episode and keep it. `success` None leaves what was marked."""
        if success is not None:
            self.mark_success(success)
        return self._finish("saved")

    def discard(self) -> EpisodeMeta:
        """End the episode and mark it as discarded. Its bag stays until a person deletes it."""
        return self._finish("discarded")

    def stats(self) -> RecorderStats:
        """Numbers for a status line and `/diagnostics`."""
        recording = self._recording
        return recording.stats() if recording else RecorderStats(free_bytes=free_bytes(self.root))

    def close(self) -> EpisodeMeta | None:
        """End. An episode under way is kept, with a note that it was not saved by a person."""
        with self._lock:
            recording = self._recording
        if recording is None:
            return None
        recording.note("the recorder was closed while recording")
        return self._finish("saved")

    def _running(self) -> Recording:
        recording = self._recording
        if recording is None:
            raise EmmaError("no episode is being recorded", found="idle", expected="a started episode", fix="start one")
        return recording

    def _finish(self, state: str) -> EpisodeMeta:
        with self._lock:
            recording = self._running()
            self._recording = None
        return recording.finish(state)
