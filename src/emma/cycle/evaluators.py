"""Trials of one policy: closed loop in the simulator, or action errors on episodes that it never saw."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from emma.cycle.config import EvaluateSettings
from emma.cycle.parity_inputs import observed
from emma.cycle.simulation import Simulation
from emma.errors import EmmaError
from emma.policy.bundle import Bundle
from emma.policy.runtime import PolicyRuntime
from emma.sim.evaluate import EvalConfig, run_episode
from emma.training.frames import FrameTable, open_source

# Actions are compared as far ahead as a chunk is executed at most: then a new one has come.
AHEAD_S = 1.0


class Measure(Protocol):
    """trials: (group, start) of each, in order; run: the score, more is better, and what else is worth knowing."""

    rates: bool

    @property
    def trials(self) -> Sequence[tuple[str, str]]: ...

    def run(self, bundle: Bundle, runtime: PolicyRuntime, trial: tuple[str, str]) -> tuple[float, dict[str, Any]]: ...

    def close(self) -> None: ...


class InSimulator:
    """Success in closed loop, through the executor that deploys; the same starts in every appearance."""

    rates = True

    def __init__(self, settings: EvaluateSettings, simulation: Simulation, cameras: Sequence[str], cycle: int) -> None:
        maker = simulation.maker
        self._looks = simulation.looks
        self._sim = maker.make(simulation.spec, cameras=cameras, task=simulation.task)
        # Each cycle its own starts: a gate that always asked the same ones would in time be passed by luck.
        first = settings.seed + (cycle - 1) * settings.episodes
        self._config = EvalConfig(
            episodes=settings.episodes,
            seed=first,
            latency_s=settings.latency_ms / 1e3,
            timeout_s=simulation.timeout_s,
            task=simulation.task,
            targets=maker.targets,
        )
        self._targets = {str(seed): target for seed, target in self._config.tasks()}
        self._shown = ""

    @property
    def trials(self) -> list[tuple[str, str]]:
        return [(name, start) for name in self._looks for start in self._targets]

    def run(self, bundle: Bundle, runtime: PolicyRuntime, trial: tuple[str, str]) -> tuple[float, dict[str, Any]]:
        appearance, start = trial
        if appearance != self._shown:
            self._sim.set_domain(appearance)
            self._shown = appearance
        target = self._targets[start]
        config = replace(self._config, depth=bundle.info.depth, replan_s=bundle.info.replan_s)
        episode = run_episode(self._sim, runtime, bundle.info.fps, int(start), target, config)
        return float(episode.success), {"target": target, "placed_on": episode.placed_on, "seconds": episode.seconds}

    def close(self) -> None:
        self._sim.close()


class OnHeldOut:
    """Minus the mean absolute error of predicted actions, in standard deviations of each joint's action."""

    rates = False

    def __init__(self, settings: EvaluateSettings, datasets: Sequence[Path], cameras: Sequence[str]) -> None:
        if not datasets:
            raise EmmaError(
                "there are no held-out episodes to measure on",
                found="none yet",
                expected="some of the recorded episodes",
                fix="record more episodes, or raise convert.held_out",
            )
        self._frames = settings.frames
        self._table = FrameTable([open_source(path) for path in datasets], cameras)
        # A joint that never moves must not divide by nothing.
        self._scale = np.maximum(self._table.actions.numpy().std(0), 1e-3)
        names = self._table.episode_names()
        self._spans = {
            (names[i].partition("#")[0], f"{i}:{names[i]}"): (int(first), int(end))
            for i, (first, end) in enumerate(zip(self._table.starts, self._table.starts[1:], strict=False))
        }

    @property
    def trials(self) -> list[tuple[str, str]]:
        return list(self._spans)

    def run(self, bundle: Bundle, runtime: PolicyRuntime, trial: tuple[str, str]) -> tuple[float, dict[str, Any]]:
        first, end = self._spans[trial]
        runtime.reset(0)
        count = min(self._frames, end - first)
        errors = [self._error(bundle, runtime, first + i * (end - first) // count, end) for i in range(count)]
        return -float(np.mean(errors)), {"frames": count}

    def _error(self, bundle: Bundle, runtime: PolicyRuntime, frame: int, end: int) -> float:
        predicted = runtime.infer(*observed(self._table, frame))
        ahead = min(len(predicted), end - frame, max(1, round(AHEAD_S * bundle.info.fps)))
        wanted = self._table.actions[frame : frame + ahead].numpy()
        return float(np.mean(np.abs(predicted[:ahead] - wanted) / self._scale))

    def close(self) -> None:
        return None


def remaining(
    trials: Sequence[tuple[str, str]], rows: Sequence[dict[str, Any]], side: str
) -> Iterator[tuple[str, str]]:
    """The trials that no row of this side has."""
    there = {(row["group"], row["start"]) for row in rows if row["side"] == side}
    return (trial for trial in trials if trial not in there)
