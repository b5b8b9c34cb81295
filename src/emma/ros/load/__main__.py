"""`python -m emma.ros.load`: the recorder under load, measured part by part; JSON for `emma bench episodes`."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from emma.bench.disk import DISK_BYTES, disk_mb_per_s
from emma.bench.load import Load, tally_bag
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.progress import progress_bar
from emma.ros.load.ceilings import Play, ceiling, deleted, recorder_play, subscriber_play, sustained
from emma.ros.load.kills import kills
from emma.ros.load.live import live_frames, record
from emma.ros.load.rig import RecorderUnderLoad, Rig
from emma.ros.load.states import LOAD_STATE

MEMORY_EVERY_S = 1.0
# Conversion is parallel over episodes: one for each core of a small machine.
KEPT = 2


class Part(Protocol):
    """Begins a part of the work on the progress bar; what it returns advances that part."""

    def __call__(self, text: str, total: float = 1) -> Callable[[], None]: ...


def main(argv: list[str] | None = None) -> int:
    """Run the parts that are asked for and write what they found."""
    parser = argparse.ArgumentParser(prog="python -m emma.ros.load", description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="for bags and logs; bags of --live and --keep stay",
    )
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    parser.add_argument("--seconds", type=float, default=0.0, help="record the load for so long and count (0: not)")
    parser.add_argument("--factor", type=float, default=1.0, help="how many times the load (default 1: 138 MB/s)")
    parser.add_argument("--ceilings", type=float, nargs="*", default=(), help="factors to try, rising")
    parser.add_argument("--probe", type=float, default=5.0, help="seconds of each factor on the way up")
    parser.add_argument("--sustained", type=float, default=0.0, help="seconds that the highest one must hold")
    parser.add_argument("--live", type=float, default=0.0, help="seconds of live frames to keep (0: none)")
    parser.add_argument("--keep", type=float, default=0.0, help="seconds of two episodes each that stay (0: none)")
    parser.add_argument("--kills", type=int, default=0, help="recorders to kill")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    try:
        found = _measure(args)
    except EmmaError as error:
        print(f"emma: {error}", file=sys.stderr)
        return 2
    atomic_write_text(args.json, json.dumps(found, indent=2) + "\n")
    return 0


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with Rig(args.out, Load().scaled(args.factor)) as rig, progress_bar() as bar:

        def part(text: str, total: float = 1) -> Callable[[], None]:
            task = bar.add_task(text, total=total, note="")
            return lambda: bar.advance(task)

        if args.ceilings:
            done = part("a bare subscriber's ceiling")
            with rig.counter():
                found["subscriber"] = _ceiling(subscriber_play(rig), args)
            done()
        if args.seconds or args.ceilings or args.live or args.keep:
            with rig.recorder(args.out / "bags") as recorder:
                _measure_recorder(rig, recorder, args, part, found)
        if args.kills:
            done = part("kill -9", args.kills)
            killed = kills(rig, args.out / "killed", args.kills, args.factor, args.seed, lambda _: done())
            found["kills"] = [asdict(kill) | {"recovered": kill.recovered} for kill in killed]
    return found


def _measure_recorder(
    rig: Rig, recorder: RecorderUnderLoad, args: argparse.Namespace, part: Part, found: dict[str, Any]
) -> None:
    """What needs a recorder that lives: one for all of it."""
    if args.seconds:
        done = part(f"{args.seconds:g} s at {args.factor:g} times the load", args.seconds)
        found["held"] = _hold(rig, recorder, args.factor, args.seconds, done)
    if args.ceilings:
        done = part("the recorder's ceiling")
        found["recorder"] = _recorder_ceiling(rig, recorder, args, found["subscriber"]["mb_per_s"])
        done()
    if args.keep:
        done = part("episodes to convert")
        found["kept"] = str(args.out / "kept")
        record(rig, recorder, args.out / "kept", args.keep, KEPT)
        done()
    if args.live:
        done = part("live frames")
        found["live"] = str(args.out / "live.safetensors")
        found["bag"] = str(live_frames(rig, recorder, args.live, args.out / "live.safetensors"))
        done()


def _ceiling(play: Play, args: argparse.Namespace) -> dict[str, Any]:
    found = ceiling(play, args.ceilings, args.probe, args.sustained)
    return {"mb_per_s": found.mb_per_s, "steps": found.rows()}


def _recorder_ceiling(
    rig: Rig, recorder: RecorderUnderLoad, args: argparse.Namespace, subscriber: float
) -> dict[str, Any]:
    """Briefly, at the same factors as the subscriber; or for long, at shares of what subscriber and disk can do."""
    play = recorder_play(rig, recorder)
    if not args.sustained:
        return _ceiling(play, args)
    found = sustained(
        play,
        lambda: min(subscriber, disk_mb_per_s(args.out, args.sustained, DISK_BYTES)),
        Load().mb_per_s,
        args.sustained,
    )
    return {"mb_per_s": found.mb_per_s, "steps": found.rows(), "limit_mb_per_s": found.limit_mb_per_s}


def _hold(
    rig: Rig, recorder: RecorderUnderLoad, factor: float, seconds: float, second: Callable[[], None]
) -> dict[str, Any]:
    """One episode under steady load, counted message by message in the bag. `second` is called about once a second.

    memory: (seconds since the start, MB) of the recorder, as often.
    """
    folder = recorder.start()
    before = recorder.cpu_s()
    run = rig.start(factor, seconds)
    began = time.monotonic()
    memory = [(0.0, recorder.memory_mb())]
    while rig.client.wait_for(LOAD_STATE, lambda s: s.runs > run, MEMORY_EVERY_S) is None:
        memory.append((round(time.monotonic() - began, 1), recorder.memory_mb()))
        second()
    sent = rig.wait(run, seconds)
    peak = recorder.state().queue_peak_bytes / 1e6
    cpu = recorder.cpu_s() - before
    said = recorder.save()
    with deleted(folder):
        tallies = tally_bag(folder)
        size = sum(path.stat().st_size for path in folder.glob("*.mcap"))
    return {
        "seconds": seconds,
        "mb_per_s": sent.mb_per_s,
        "gb": size / 1e9,
        "sent": sent.total,
        "missing": tallies.missing(sent.sent),
        "dropped": said.dropped,
        "lost_before": said.lost,
        "queue_peak_mb": peak,
        "memory_peak_mb": max(mb for _, mb in memory),
        "memory": memory,
        "cores": cpu / seconds,
        "publisher_late_s": sent.late_s,
        "publisher_skipped": sent.skipped,
    }


if __name__ == "__main__":
    sys.exit(main())
