"""`python -m emma.nodes.load`: the recorder under load, measured part by part; JSON for `emma bench episodes`."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emma.bench.load import Load, tally_bag
from emma.errors import EmmaError
from emma.files import atomic_write_text
from emma.nodes.load.ceilings import deleted, lossless, recorder_steps, rows, subscriber_steps
from emma.nodes.load.kills import kills
from emma.nodes.load.live import live_frames, record
from emma.nodes.load.rig import Rig
from emma.progress import progress_bar

MEMORY_EVERY_S = 1.0
# Conversion is parallel over episodes: one for each core of a small machine.
KEPT = 2


def main(argv: list[str] | None = None) -> int:
    """Run the parts that are asked for and write what they found."""
    parser = argparse.ArgumentParser(prog="python -m emma.nodes.load", description=__doc__)
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
    parser.add_argument("--step", type=float, default=5.0, help="seconds of each factor")
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
    bags = args.out / "bags"
    with Rig(args.out, Load().scaled(args.factor)) as rig, progress_bar() as bar:

        def part(text: str, total: float = 1) -> Callable[[], None]:
            task = bar.add_task(text, total=total, note="")
            return lambda: bar.advance(task)

        if args.seconds:
            done = part(f"{args.seconds:g} s at {args.factor:g} times the load", args.seconds)
            found["held"] = _hold(rig, bags, args.factor, args.seconds, done)
        if args.ceilings:
            done = part("ceilings", 2)
            counted = subscriber_steps(rig, args.ceilings, args.step)
            done()
            recorded = recorder_steps(rig, bags, args.ceilings, args.step)
            done()
            found |= {"subscriber_mb_s": lossless(counted), "recorder_mb_s": lossless(recorded)}
            found |= {"subscriber_steps": rows(counted), "recorder_steps": rows(recorded)}
        if args.live:
            done = part("live frames")
            found["live"] = str(args.out / "live.safetensors")
            found["bag"] = str(live_frames(rig, args.out / "live", args.live, args.out / "live.safetensors"))
            done()
        if args.keep:
            done = part("episodes to convert")
            found["kept"] = str(args.out / "kept")
            record(rig, args.out / "kept", args.keep, KEPT)
            done()
        if args.kills:
            done = part("kill -9", args.kills)
            killed = kills(rig, args.out / "killed", args.kills, args.factor, args.seed, lambda _: done())
            found["killed"] = len(killed)
            found["recovered"] = sum(kill.recovered for kill in killed)
            found["lost_s_max"] = max(kill.lost_s for kill in killed)
            found["deaf_restarts"] = sum(kill.deaf for kill in killed)
            found["kill_gaps"] = sum(kill.gaps for kill in killed)
    return found


def _hold(rig: Rig, bags: Path, factor: float, seconds: float, second: Callable[[], None]) -> dict[str, Any]:
    """One episode under steady load, counted message by message in the bag. `second` is called about once a second.

    memory: (seconds since the start, MB) of the recorder, as often.
    """
    with rig.recorder(bags) as recorder:
        folder = recorder.start()
        before = recorder.cpu_s()
        run = rig.start(factor, seconds)
        began = time.monotonic()
        memory = [(0.0, recorder.memory_mb())]
        while rig.client.wait_for("/load/state", lambda s: s["runs"] > run, MEMORY_EVERY_S) is None:
            memory.append((round(time.monotonic() - began, 1), recorder.memory_mb()))
            second()
        sent = rig.wait(run, seconds)
        peak = recorder.state()["queue_peak_bytes"] / 1e6
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
        "dropped": said["dropped"],
        "lost_before": said["lost"],
        "queue_peak_mb": peak,
        "memory_peak_mb": max(mb for _, mb in memory),
        "memory": memory,
        "cores": cpu / seconds,
        "publisher_late_s": sent.late_s,
        "publisher_skipped": sent.skipped,
    }


if __name__ == "__main__":
    sys.exit(main())
