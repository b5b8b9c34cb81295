"""`emma improve`: the offline cycle, from new episodes to a better policy."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emma.cycle.config import ImproveConfig
    from emma.cycle.state import State

HELP = """learn from new episodes, and promote the result only if it is measurably better

convert -> augment -> filter -> train -> export -> parity -> evaluate -> promote. Each stage writes a manifest; killed
at any moment, the same command goes on and ends with the same result. It runs at low priority and stands still on
battery or while others need the processor. Not better is a result, too: exit code 0, and a report says why.

examples:
  emma improve --bags bags --dataset data/source --policy models/desk_arm_source --out improve
  emma improve --config improve.yaml                 all keys: emma improve --example
  emma improve --config improve.yaml --rollback      back to the version before; a learner node swaps it at once
  emma improve --out improve --status                what it does now, which versions there are
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file; the options here come on top")
    parser.add_argument("--bags", action="append", default=[], metavar="DIR", help="folder of recorded episodes")
    parser.add_argument(
        "--dataset", action="append", default=[], metavar="DIR", help="LeRobotDataset to train on as well"
    )
    parser.add_argument("--policy", type=Path, metavar="BUNDLE", help="policy to begin with")
    parser.add_argument("--generator", type=Path, metavar="DIR", help="generator bundle for new looks (default none)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of cycles and versions (default improve)")
    parser.add_argument("--quick", action="store_true", help="few steps and trials: to see it run, not to get better")
    parser.add_argument(
        "--again",
        action="store_true",
        help="a new cycle although no episode is new, or instead of one that cannot go on",
    )
    parser.add_argument(
        "--rollback", nargs="?", const=0, type=int, metavar="N", help="make the version before current, or version N"
    )
    parser.add_argument(
        "--swap",
        nargs="?",
        const="/policy",
        metavar="NODE",
        help="let the policy node change to the version (default /policy); where a learner node runs, that does it",
    )
    parser.add_argument("--status", action="store_true", help="say what is going on, and which versions there are")
    parser.add_argument("--example", action="store_true", help="print a configuration with every key explained")


def run(args: argparse.Namespace) -> int:
    from emma.cycle.config import example

    if args.example:
        print(example(), end="")
        return 0
    config = configuration(args)
    if args.rollback is not None:
        return _roll_back(config, args.rollback, args.swap)
    if args.status:
        return _status(config)
    return _improve(config, args.again, args.swap)


def configuration(args: argparse.Namespace) -> "ImproveConfig":
    """The file, with the options on top; all paths absolute."""
    from dataclasses import replace

    from emma.cycle.config import ImproveConfig, anchored, load_config, quick

    config = load_config(args.config) if args.config else ImproveConfig()
    changes: dict[str, Any] = {}
    if args.bags:
        changes["bags"] = tuple(args.bags)
    if args.dataset:
        changes["datasets"] = tuple(args.dataset)
    if args.policy:
        changes["policy"] = str(args.policy)
    if args.generator:
        changes["augment"] = replace(config.augment, generator=str(args.generator))
    if args.out:
        changes["out"] = str(args.out)
    config = anchored(replace(config, **changes), Path.cwd())
    return quick(config) if args.quick else config


def _improve(config: "ImproveConfig", again: bool, node: str | None) -> int:
    from emma.cycle.improve import improve, in_words

    with Follower() as follower:
        ended = improve(config, again=again, changed=follower)
    if ended is None:
        print("nothing new to learn from (--again begins a cycle all the same)")
        return 0
    print(in_words(ended))
    print(f"report: {ended.report}")
    if ended.promoted:
        print(f"current: {config.root / 'versions' / 'current'}; back: emma improve --out {config.out} --rollback")
        _swap(config, ended.promoted, node)
    return 0


def _roll_back(config: "ImproveConfig", to: int, node: str | None) -> int:
    from emma.cycle.versions import Versions

    before, after = Versions(config.root / "versions", config.keep).roll_back(to or None)
    print(f"version {after} is current again, {before} no longer")
    _swap(config, after, node)
    return 0


def _swap(config: "ImproveConfig", version: int, node: str | None) -> None:
    if node is not None:
        from emma.ros.swap_client import swap_policy

        result = swap_policy(config.root / "versions" / f"{version:04d}", node=node)
        print(f"{node} runs version {version}; {result.missed_ticks} of {result.ticks} control ticks missed")


def _status(config: "ImproveConfig") -> int:
    from emma.cycle.state import read_state
    from emma.cycle.versions import Versions

    state, versions = read_state(config.root), Versions(config.root / "versions", config.keep)
    at = f" cycle {state.cycle}, {state.stage} {state.done}/{state.total or '?'}" if state.stage else ""
    print(f"{state.phase}{at}{': ' + state.paused if state.paused else ''}")
    if state.outcome or state.note:
        print(f"last: {state.outcome or state.note}")
    for number in versions.numbers():
        about = versions.about(number)
        mark = "*" if number == versions.current else " "
        gain = about.figures.get("gain")
        print(
            f"{mark} {number:4d}  {about.added}  {'first' if gain is None else f'gain {gain:+.3f} over {about.before}'}"
        )
    return 0


class Follower:
    """Progress for a terminal: a bar for the stage at work, a line for each that ended and for each pause."""

    def __init__(self) -> None:
        from emma.progress import progress_bar

        self._bar = progress_bar(transient=True)
        self._task: Any = None
        self._stage, self._paused = "", ""

    def __enter__(self) -> "Follower":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, state: "State") -> None:
        if state.paused != self._paused:
            self._paused = state.paused
            self._bar.console.print(f"paused: {state.paused}" if state.paused else "going on")
        if state.stage != self._stage:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(state.stage, total=None, note="") if state.stage else None
            self._stage = state.stage
            if state.stage:
                self._bar.console.print(f"cycle {state.cycle}: {state.stage}")
        if self._task is not None:
            self._bar.update(self._task, completed=state.done, total=state.total or None, note=state.note)
