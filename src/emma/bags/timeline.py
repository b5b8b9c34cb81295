"""The moments of an episode's frames, and how old each stream is at each of them, from stamps alone.

The rule is `emma.observation`'s: at time t every stream gives its latest sample that is not newer. Here it is applied
to whole arrays of stamps, so that an episode is judged before any of its images is decoded; a property test holds the
two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from emma.errors import EmmaError
from emma.streams import CLOCK_JUMP_NS, is_command

# Longer than any episode; stamps that say so are wrong.
LONGEST_NS = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True)
class Timeline:
    """times_ns: (N,) int64, exactly start + i / fps; ages_s: stream -> (N,); skew_s: (N,) newest - oldest camera.

    late_s: stream -> seconds by which it begins after the first sensor; early_s: sensor stream -> seconds by which it
    ends before the last of them. An action stream has no age limit: a robot without a new target keeps its last one;
    pauses_s: action stream -> (longest, usual) seconds between commands.
    """

    times_ns: np.ndarray
    ages_s: Mapping[str, np.ndarray]
    skew_s: np.ndarray
    late_s: Mapping[str, float] = field(default_factory=dict)
    early_s: Mapping[str, float] = field(default_factory=dict)
    pauses_s: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times_ns)

    def stale(self, max_age_s: float) -> dict[str, int]:
        """Streams that are older than the limit in some frames, and in how many."""
        counts = {
            stream: int((ages > max_age_s).sum()) for stream, ages in self.ages_s.items() if not is_command(stream)
        }
        return {stream: count for stream, count in counts.items() if count}

    def skewed(self, max_skew_s: float) -> int:
        """In how many frames the cameras are further apart than the limit."""
        return int((self.skew_s > max_skew_s).sum())


def timeline(stamps_ns: Mapping[str, np.ndarray], fps: int) -> Timeline:
    """Frames from the first moment at which every stream has a sample to the last one at which the sensors have.

    stamps_ns: stream -> header stamps in the order of recording. Raises EmmaError for a stream without messages, a
    clock that was set back, or streams that never overlap.
    """
    for stream, stamps in stamps_ns.items():
        if not len(stamps):
            raise EmmaError(f"no message of {stream}", found="0 messages", expected="every stream of the robot")
        back = float(np.max(np.maximum.accumulate(stamps) - stamps)) if len(stamps) else 0.0
        if back > CLOCK_JUMP_NS:
            raise EmmaError(
                f"the clock of {stream} was set back",
                found=f"by {back / 1e9:.3f} s",
                expected="stamps that grow",
                fix="record it again: nothing tells which message belongs to which moment",
            )
    ordered = {stream: np.sort(stamps) for stream, stamps in stamps_ns.items()}
    start = max(int(stamps[0]) for stamps in ordered.values())
    sensors = {stream: stamps for stream, stamps in ordered.items() if not is_command(stream)}
    end = min(int(stamps[-1]) for stamps in sensors.values())
    if end < start:
        last = min((s for s in ordered if not is_command(s)), key=lambda s: ordered[s][-1])
        first = max(ordered, key=lambda s: ordered[s][0])
        raise EmmaError(
            "the streams never overlap",
            found=f"{last} ends {(start - end) / 1e9:.3f} s before {first} begins",
            expected="all streams of the robot at the same time",
        )
    if end - start > LONGEST_NS:
        raise EmmaError(
            "an episode beyond any reason",
            found=f"{(end - start) / 1e9:.0f} s from the first to the last message",
            expected=f"at most {LONGEST_NS / 1e9:.0f} s",
            fix="check the drivers' stamps, or record shorter episodes",
        )
    times = frame_times_ns(start, end, fps)
    ages = {stream: (times - stamps[latest(stamps, times)]) / 1e9 for stream, stamps in ordered.items()}
    cameras = [age for stream, age in ages.items() if stream.startswith("images.")]
    skew = np.ptp(np.stack(cameras), axis=0) if cameras else np.zeros(len(times))
    begin, stop = min(s[0] for s in sensors.values()), max(s[-1] for s in sensors.values())
    return Timeline(
        times_ns=times,
        ages_s=ages,
        skew_s=skew,
        late_s={stream: float(stamps[0] - begin) / 1e9 for stream, stamps in ordered.items()},
        early_s={stream: float(stop - stamps[-1]) / 1e9 for stream, stamps in sensors.items()},
        pauses_s={stream: _pauses_s(stamps) for stream, stamps in ordered.items() if stream not in sensors},
    )


def _pauses_s(stamps_ns: np.ndarray) -> tuple[float, float]:
    """The longest and the usual time between sorted stamps; zeros for a single one."""
    between = np.diff(stamps_ns) / 1e9
    return (float(between.max()), float(np.median(between))) if len(between) else (0.0, 0.0)


def frame_times_ns(start_ns: int, end_ns: int, fps: int) -> np.ndarray:
    """start + i / fps, in whole nanoseconds and without drift, up to and with `end_ns`."""
    count = (end_ns - start_ns) * fps // 1_000_000_000 + 1
    return start_ns + np.arange(count, dtype=np.int64) * 1_000_000_000 // fps


def latest(stamps_ns: np.ndarray, times_ns: np.ndarray) -> np.ndarray:
    """For each time the position of the latest of the sorted stamps that is not newer; -1 if there is none."""
    return np.searchsorted(stamps_ns, times_ns, side="right") - 1
