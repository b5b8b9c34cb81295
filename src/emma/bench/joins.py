"""What inference latency does to a robot, by how its action chunks are joined: closed loop, in the simulator's time."""

import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from emma.bench.cells import ROOT, Cells
from emma.errors import EmmaError
from emma.policy.bundle import Bundle, load_bundle
from emma.policy.exported import weights_of
from emma.policy.runtime import PolicyRuntime, open_runtime
from emma.progress import progress_bar
from emma.resources import data_dir
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.evaluate import EpisodeResult, EvalConfig, evaluate
from emma.stats import Rate

HELP = "success and smoothness against inference latency: draining, blending, guided and trained real-time chunking"
SOURCE, TRAINED = "desk_arm_source", "desk_arm_rtc"
LATENCIES_MS, QUICK_LATENCIES_MS = (0, 50, 100, 200, 400), (0, 200)
EPISODES, QUICK_EPISODES = 30, 2
# In one run of episodes, so that an interruption costs no more than these.
BATCH = 10
# Age of a chunk at which the next is asked for, s; a drained one is played to its end, as LeRobot's queue is.
REPLAN_S, WHOLE_S = 0.4, 1.5


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to join chunks. about: in words; blend_s 0 where the join itself is measured."""

    about: str
    bundle: str
    join: str
    blend_s: float = 0.0
    replan_s: float = REPLAN_S


METHODS = {
    "drain": Method(about="drain, then replan (16 actions)", bundle=SOURCE, join="drain", replan_s=WHOLE_S),
    "drain_early": Method(about="drain, then replan (4 actions)", bundle=SOURCE, join="drain"),
    "switch": Method(about="switch at once", bundle=SOURCE, join="blend"),
    "blend": Method(about="blend", bundle=SOURCE, join="blend", blend_s=0.2),
    "guided": Method(about="guided RTC", bundle=SOURCE, join="rtc"),
    "trained_blend": Method(about="RTC-trained policy, blend", bundle=TRAINED, join="blend", blend_s=0.2),
    "trained": Method(about="trained RTC", bundle=TRAINED, join="rtc"),
}
FIGURES = ("success", "jerk", "join_step", "disagreement", "seconds")
QUICK_METHODS = ("drain", "blend", "guided", "trained")


def run(quick: bool, seed: int) -> dict[str, Any]:
    """For every method one number a latency: `<method>_success` in 0..1, and as means over episodes `_jerk` in rad/s^3,
    `_join_step` in rad a tick, `_disagreement` in rad, `_seconds`; `cells` has them all, with intervals.
    """
    latencies = QUICK_LATENCIES_MS if quick else LATENCIES_MS
    episodes = QUICK_EPISODES if quick else EPISODES
    names = QUICK_METHODS if quick else tuple(METHODS)
    with ExitStack() as stack:
        # A quick run measures anew: it keeps nothing and is shown nothing.
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emma-bench-"))) if quick else ROOT
        bundles = {name: _bundle(name) for name in {METHODS[m].bundle for m in names}}
        key = {"seed": seed, "methods": {m: asdict(METHODS[m]) for m in names}}
        cells = Cells("joins", key | {"weights": {n: weights_of(b.path) for n, b in bundles.items()}}, root)
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("joins", total=len(names) * len(latencies) * episodes, note="")
        spec = load_robot()
        runtimes: dict[str, PolicyRuntime] = {}
        sims: dict[tuple[str, ...], DeskArm] = {}
        rows = []
        for method in names:
            for latency in latencies:
                bundle = bundles[METHODS[method].bundle]
                results: list[EpisodeResult] = []
                for first in range(0, episodes, BATCH):
                    number = min(BATCH, episodes - first)
                    name = f"{method}-{latency}ms-{first}-{number}"
                    kept = cells.get(name)
                    if kept is None:
                        runtime = runtimes.get(bundle.path.name)
                        if runtime is None:
                            runtime = runtimes[bundle.path.name] = open_runtime(bundle)
                            stack.callback(runtime.close)
                        cameras = bundle.info.cameras
                        if cameras not in sims:
                            sims[cameras] = stack.enter_context(DeskArm(spec, cameras=cameras))
                        config = _config(METHODS[method], latency, seed + first, number)
                        done = evaluate(sims[cameras], runtime, bundle.info.fps, config)
                        kept = {"episodes": [asdict(e) for e in done.episodes]}
                        cells.put(name, kept)
                    results += [EpisodeResult(**row) for row in kept["episodes"]]
                    bar.update(task, advance=number, note=f"{method} at {latency} ms")
                rows.append(_row(method, latency, results))
    figures: dict[str, Any] = {"episodes": episodes, "latencies_ms": list(latencies), "methods": list(names)}
    for method in names:
        mine = [row for row in rows if row["method"] == method]
        figures |= {f"{method}_{k}": [row[k] for row in mine] for k in FIGURES}
    return {**figures, "cells": rows}


def _config(method: Method, latency_ms: int, seed: int, episodes: int) -> EvalConfig:
    return EvalConfig(
        episodes=episodes,
        seed=seed,
        latency_s=latency_ms / 1000.0,
        replan_s=method.replan_s,
        blend_s=method.blend_s,
        join=method.join,
    )


def _row(method: str, latency: int, results: list[EpisodeResult]) -> dict[str, Any]:
    success = Rate(sum(e.success for e in results), len(results))
    return {
        "method": method,
        "about": METHODS[method].about,
        "latency_ms": latency,
        "episodes": len(results),
        "success": success.value,
        "success_interval": success.interval,
        "jerk": fmean(e.jerk for e in results),
        "join_step": fmean(e.join_step for e in results),
        "largest_join_step": max(e.join_step for e in results),
        "disagreement": fmean(e.disagreement for e in results),
        "seconds": fmean(e.seconds for e in results),
    }


def _bundle(name: str) -> Bundle:
    folder = data_dir("models") / name
    if not folder.is_dir():
        raise EmmaError(
            f"the policy {name} is not here",
            found=f"no {folder}",
            expected="the shipped bundle",
            fix=f"see {name}'s model card for the commands that train it",
        )
    return load_bundle(folder)
