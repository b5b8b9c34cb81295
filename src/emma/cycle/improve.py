"""`emma improve`: start a cycle or go on with one, and end with a better policy or a report why there is none."""

from collections.abc import Callable
from dataclasses import asdict, replace

from emma.cycle.config import ImproveConfig
from emma.cycle.cycle import Cycle, Outcome, cycles, finish, load_cycle, new_cycle, outcome
from emma.cycle.data import DATASET, HELD_OUT
from emma.cycle.inventory import take_stock
from emma.cycle.manifest import Manifest, load_manifest
from emma.cycle.pause import PauseRules
from emma.cycle.priority import stand_back
from emma.cycle.ready import first_policy, require_measurable
from emma.cycle.report import TEXT
from emma.cycle.runner import Runner
from emma.cycle.stage_plans import FREE, STAGES
from emma.cycle.state import State, StateFile
from emma.cycle.versions import Versions
from emma.errors import EmmaError
from emma.interrupts import raising
from emma.long_work import alone

# Sections that say how the work is done, not what comes out.
HOW = ("priority", "pause", "keep", "min_new_episodes", "out", "policy", "bags")


def improve(
    config: ImproveConfig, *, again: bool = False, changed: Callable[[State], None] = lambda _: None
) -> Outcome | None:
    """One cycle to its end, or None if there is nothing new to learn from. All paths in `config` are absolute.

    A cycle that was interrupted is gone on with, with the episodes that it began with. again: begin a new one although
    nothing is new, and give up one that was interrupted. `changed` hears of progress. Raises EmmaError; what is done
    stays done. Lowers the priority of the calling process for good.
    """
    config.root.mkdir(parents=True, exist_ok=True)
    with alone(config.root), raising():
        state = StateFile(config.root, changed)
        require_measurable(config)
        versions = versions_from(config)
        state.set(current=versions.current)
        cycle = _open_cycle(config, versions, again)
        if cycle is None:
            state.set(phase="idle", outcome="nothing new to learn from")
            return None
        stand_back(config.priority)
        state.set(cycle=cycle.number)
        runner = Runner(STAGES, PauseRules(config.pause, config.root), state)
        try:
            manifests = runner.run(cycle)
        except BaseException as error:
            told = str(error).splitlines()[0] if isinstance(error, EmmaError) else "interrupted"
            state.set(phase="failed" if isinstance(error, EmmaError) else "idle", paused="", outcome=told)
            raise
        ended = _outcome(cycle, manifests)
        finish(cycle.folder, ended)
        state.set(phase="idle", stage="", paused="", outcome=in_words(ended), current=versions.current)
        return ended


def versions_from(config: ImproveConfig) -> Versions:
    """The versions of this configuration; the first time, its policy becomes version 1. Raises EmmaError."""
    versions = Versions(config.root / "versions", config.keep)
    if versions.current == 0:
        bundle = first_policy(config)
        versions.promote(versions.add(bundle.path, cycle=0, before=0, figures={}), "the first")
    return versions


def in_words(ended: Outcome) -> str:
    """One line."""
    if ended.promoted:
        return f"cycle {ended.cycle}: better, version {ended.promoted} replaces {ended.baseline}"
    return f"cycle {ended.cycle}: not better, version {ended.baseline} stays ({'; '.join(ended.reasons)})"


def _open_cycle(config: ImproveConfig, versions: Versions, again: bool) -> Cycle | None:
    """The cycle that is not over, else a new one if there is reason for it."""
    folders = cycles(config)
    if folders and outcome(folders[-1]) is None:
        cycle = replace(load_cycle(folders[-1]), config=config)
        if not again:
            cycle.save()
            return cycle
        finish(cycle.folder, Outcome(cycle=cycle.number, promoted=0, baseline=cycle.baseline, reasons=("given up",)))
    earlier = [load_cycle(folder) for folder in folders]
    # Of one that was given up before its episodes were converted, they are still new.
    known = {e.id for cycle in earlier if load_manifest(cycle.stage("convert")) for e in cycle.inventory.episodes}
    inventory = take_stock(config.bags, config.convert, config.spec.name, known)
    first = not earlier and bool(config.datasets)
    new = len(inventory.episodes) >= config.min_new_episodes
    other = bool(earlier) and _decisive(earlier[-1]) != _decisive(replace(earlier[-1], config=config))
    if not (again or first or new or other):
        return None
    converted = [
        str(cycle.stage("convert"))
        for cycle in earlier
        if load_manifest(cycle.stage("convert"))
        and any((cycle.stage("convert") / name).is_dir() for name in (DATASET, HELD_OUT))
    ]
    number = earlier[-1].number + 1 if earlier else 1
    return new_cycle(config, number, versions.current, inventory, converted)


def _decisive(cycle: Cycle) -> dict:
    """What of a configuration makes another cycle worth while."""
    values = {name: value for name, value in asdict(cycle.config).items() if name not in HOW}
    values["train"] = {name: value for name, value in values["train"].items() if name not in FREE}
    return values


def _outcome(cycle: Cycle, manifests: dict[str, Manifest]) -> Outcome:
    verdict, promoted = manifests["evaluate"].results, manifests["promote"]
    reasons = tuple(verdict["reasons"]) or ((promoted.skipped,) if promoted.skipped else ())
    return Outcome(
        cycle=cycle.number,
        promoted=promoted.results["version"],
        baseline=cycle.baseline,
        report=str(cycle.folder / TEXT),
        gain=verdict["gain"],
        interval=tuple(verdict["interval"]),
        reasons=reasons,
        figures={"groups": verdict["groups"], "p": verdict["p"], "measure": verdict["measure"]},
    )
