"""One episode under way: a bounded queue, one thread that writes, one that syncs, and counters that add up."""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Lock, Thread

from rosbags.interfaces import Qos

from emma.bags.episode import EpisodeMeta, Mark, TopicMeta
from emma.bags.repair import episode_lock, repair_held
from emma.bags.writer import BagWriter
from emma.errors import EmmaError
from emma.recording.byte_queue import ByteQueue, Incoming
from emma.recording.stats import RecorderConfig, RecorderStats, free_bytes

log = logging.getLogger(__name__)

# A log time this much before the last one of its topic is a clock set back, not two threads overtaking each other.
# Only of its topic: those of others waited in queues of their own, on a busy machine for seconds.
CLOCK_JUMP_NS = 1_000_000_000


class Recording:
    """Records into `folder` from construction until `finish`. `offer` may be called from any thread and never waits.

    For every topic received = in the bag + dropped. A write error ends the writing, not the episode: what is on the
    disk stays, what still comes is counted as dropped, and the status says why.
    """

    def __init__(
        self,
        folder: Path,
        meta: EpisodeMeta,
        topics: Mapping[str, str],
        config: RecorderConfig,
        *,
        qos: Mapping[str, Sequence[Qos]] | None = None,
        on_warning: Callable[[str], None] = log.warning,
    ) -> None:
        """Raises EmmaError or OSError if the episode cannot be begun; then nothing is left behind."""
        self.folder, self.config = folder, config
        self._warn = on_warning
        self._types: dict[str, tuple[str, tuple[Qos, ...]]] = {}
        for topic, msgtype in topics.items():
            self.add_topic(topic, msgtype, (qos or {}).get(topic, ()))
        self._queue = ByteQueue(config.queue_bytes, config.queue_messages)
        self._counts_lock = Lock()
        self._received: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._last_log_ns: dict[str, int] = {}
        self._refusing = ""
        self._error = ""
        self._closed = Event()
        self._meta = meta.with_(topics={t: TopicMeta(type=kind) for t, (kind, _) in self._types.items()})
        self._meta_changed = False
        self._began = time.monotonic()
        self._rate = 0.0
        with ExitStack() as undo:
            folder.mkdir(parents=True)
            undo.callback(_remove_empty, folder)
            self._held = ExitStack()
            self._held.enter_context(episode_lock(folder))
            undo.callback(self._held.close)
            # First the name, then the messages: a crash never leaves a bag that cannot be identified.
            self._meta.save(folder)
            undo.callback((folder / "episode.yaml").unlink)
            self._bag = BagWriter(
                folder,
                compress=config.compress,
                checksum=config.checksum,
                chunk_bytes=config.chunk_bytes,
                chunk_age_s=config.chunk_age_s,
                direct=config.direct,
            )
            undo.pop_all()
        self._writer = Thread(target=self._write, name="recorder-writer", daemon=True)
        self._syncer = Thread(target=self._sync, name="recorder-sync", daemon=True)
        self._writer.start()
        self._syncer.start()

    @property
    def meta(self) -> EpisodeMeta:
        return self._meta

    def add_topic(self, topic: str, msgtype: str, qos: Sequence[Qos] = ()) -> None:
        """Announce a topic that appeared later. EmmaError if it is known with another type."""
        known = self._types.get(topic)
        if known is not None and known[0] != msgtype:
            raise EmmaError(f"two types on {topic}", found=msgtype, expected=known[0], fix="record them apart")
        self._types.setdefault(topic, (msgtype, tuple(qos)))

    def offer(self, topic: str, data: bytes, log_time_ns: int, publish_time_ns: int) -> bool:
        """Take one message if there is room. False: it is lost, and counted."""
        if topic not in self._types:
            raise EmmaError(f"{topic} was not announced", found=topic, expected=", ".join(self._types))
        with self._counts_lock:
            self._received[topic] += 1
            last_ns = self._last_log_ns.get(topic, log_time_ns)
            back_ns = last_ns - log_time_ns
            self._last_log_ns[topic] = log_time_ns if back_ns > CLOCK_JUMP_NS else max(last_ns, log_time_ns)
        if back_ns > CLOCK_JUMP_NS:
            self.note(f"the clock was set back by {back_ns / 1e9:.3f} s")
        taken = not self._refusing and self._queue.put(Incoming(topic, log_time_ns, publish_time_ns, data))
        if not taken:
            with self._counts_lock:
                self._refused[topic] += 1
        return taken

    def note(self, problem: str) -> None:
        """Say loudly what went wrong and keep it in `episode.yaml`."""
        self._warn(f"episode {self._meta.id}: {problem}")
        with self._counts_lock:
            self._replace(problems=(*self._meta.problems, problem))

    def mark(self, label: str, time_ns: int) -> None:
        """Remember a moment."""
        with self._counts_lock:
            self._replace(marks=(*self._meta.marks, Mark(time_ns=time_ns, label=label)))

    def change(self, **values: object) -> None:
        """Change what `episode.yaml` says; the file follows within a sync period."""
        with self._counts_lock:
            self._replace(**values)

    def _replace(self, **values: object) -> None:
        """Change the meta data; the caller holds the lock, so that no change is lost."""
        self._meta = self._meta.with_(**values)
        self._meta_changed = True

    def stats(self) -> RecorderStats:
        """Numbers for a status line."""
        with self._counts_lock:
            received, refused = dict(self._received), dict(self._refused)
        return RecorderStats(
            state="failing" if self._refusing else "recording",
            episode=self._meta.id,
            seconds=time.monotonic() - self._began,
            received=received,
            dropped=self._dropped() if self._error else refused,
            written_bytes=self._bag.size,
            mb_per_s=self._rate,
            queue_bytes=self._queue.bytes,
            queue_peak_bytes=self._queue.peak_bytes,
            free_bytes=free_bytes(self.folder),
            error=self._refusing,
        )

    def finish(self, state: str) -> EpisodeMeta:
        """Write what is queued, finish the bag and `episode.yaml`. Raises EmmaError if the disk refuses even that."""
        self._queue.close()
        self._writer.join()
        self._closed.set()
        self._syncer.join()
        try:
            self._finish_bag()
            counts, span = self._bag.counts, self._bag.span_ns
            dropped = self._dropped()
            if lost := sum(dropped.values()):
                self.note(f"{lost} of {sum(self._received.values())} messages lost")
            topics = {
                topic: TopicMeta(type=kind, count=counts.get(topic, 0), dropped=dropped.get(topic, 0))
                for topic, (kind, _) in self._types.items()
            }
            self.change(state=state, topics=topics, duration_s=(span[1] - span[0]) / 1e9)
            self._meta.save(self.folder)
        except (OSError, EmmaError) as error:
            raise EmmaError(
                f"episode {self._meta.id} is on the disk but could not be finished",
                found=str(error),
                expected="room and rights to write its index",
                fix=f"make room, then: emma episodes repair {self.folder}",
            ) from error
        finally:
            self._held.close()
        return self._meta

    def _finish_bag(self) -> None:
        """Finish the bag, also after a write error: the disk may have room again. If it has not, mend what is there."""
        try:
            for topic, (kind, qos) in self._types.items():
                self._bag.add_topic(topic, kind, qos)
            self._bag.close()
        except OSError as error:
            self._fail(error)
            self._bag.abort()
            repair_held(self.folder)

    def _write(self) -> None:
        """The writer thread: everything that touches the bag while recording."""
        hurry = self.config.queue_bytes * 3 // 4
        while (items := self._queue.take(self.config.chunk_age_s)) is not None:
            try:
                while items and not self._error:
                    item = items.popleft()
                    if item.topic not in self._bag.topics:
                        self._bag.add_topic(item.topic, *self._types[item.topic])
                    self._bag.write(item.topic, item.log_time_ns, item.publish_time_ns, item.data)
                    self._queue.done(1, len(item.data))
                    if self._queue.bytes > hurry:
                        self._bag.use_cache()
                if not self._error:
                    self._bag.flush(only_due=True)
            except Exception as error:  # whatever it is, the feeders must learn that nothing is written any more
                self._fail(error)
            if items:
                self._queue.done(len(items), sum(len(item.data) for item in items))

    def _sync(self) -> None:
        """The sync thread: to the platters, out of the page cache, and a look at the disk and the counters."""
        written, at, lost = 0, time.monotonic(), 0
        while not self._closed.wait(self.config.sync_s):
            try:
                os.fdatasync(self._bag.fileno())
                # What is on the disk need not fill the memory of a machine that also runs a policy.
                os.posix_fadvise(self._bag.fileno(), 0, self._bag.size, os.POSIX_FADV_DONTNEED)
                if self._meta_changed:
                    self._meta_changed = False
                    self._meta.save(self.folder)
            except OSError as error:
                self._fail(error)
            now, size = time.monotonic(), self._bag.size
            self._rate = (size - written) / 1e6 / (now - at)
            written, at = size, now
            if not self._refusing and free_bytes(self.folder) < self.config.min_free_bytes:
                self._refuse(f"less than {self.config.min_free_bytes / 1e6:.0f} MB free on the disk")
            lost = self._report_losses(lost)

    def _report_losses(self, reported: int) -> int:
        with self._counts_lock:
            refused = self._refused.copy()
        lost = refused.total()
        if lost > reported:
            worst = ", ".join(f"{topic} {count}" for topic, count in refused.most_common(3))
            self._warn(
                f"episode {self._meta.id}: {lost - reported} messages lost in the last {self.config.sync_s:g} s "
                f"({worst} in all); queue {self._queue.bytes / 1e6:.0f} of {self.config.queue_bytes / 1e6:.0f} MB, "
                f"disk takes {self._rate:.0f} MB/s{'; ' + self._refusing if self._refusing else ''}"
            )
            counts = {t: TopicMeta(type=kind, dropped=refused[t]) for t, (kind, _) in self._types.items()}
            self.change(topics=counts)
        return lost

    def _fail(self, error: Exception) -> None:
        """Write nothing more; what is queued is lost."""
        self._error = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
        self._refuse(self._error)

    def _refuse(self, reason: str) -> None:
        """Take nothing more; what is queued is still written."""
        if not self._refusing:
            self._refusing = f"recording stopped: {reason}"
            size, free = self._bag.size / 1e6, free_bytes(self.folder) / 1e9
            self.note(f"{self._refusing} after {size:.1f} MB, {free:.2f} GB free on the disk")

    def _dropped(self) -> dict[str, int]:
        """Received but not in the bag, once the queue is drained."""
        counts = self._bag.counts
        return {t: lost for t, n in self._received.items() if (lost := n - counts.get(t, 0))}


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        log.warning("left behind: %s", folder)
