"""What AdaMix costs a training, and whether its difficulty finds episodes that were spoilt on purpose."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.utils.random_utils import set_seed

from emma.adamix.config import AdaMixConfig
from emma.adamix.difficulty import Difficulty
from emma.adamix.state import AdaMix, Layout
from emma.adamix.weights import metric_scores, performance
from emma.datasets.writer import DatasetWriter
from emma.robots.spec import RobotSpec, load_robot
from emma.sim.demonstrations import Demonstration, demonstrations
from emma.training.config import TrainConfig
from emma.training.difficulty_evaluator import Judge
from emma.training.frames import FrameTable, open_source
from emma.training.policies import Built, build_policy
from emma.training.sampler import FrameSampler
from emma.training.trainer import Trainer, make_accelerator

HELP = "cost of a step with AdaMix, of an evaluation, and whether the hardest episodes are the spoilt ones; one thread"
CAMERAS = ("top", "wrist")
BATCH = 64
# Good episodes, and of each kind of spoilt ones.
GOOD, BAD = 24, 2
QUICK_GOOD, QUICK_BAD = 8, 1
# Of training before the policy is asked.
STEPS, QUICK_STEPS = 600, 60
# Disturbance of the executed commands, rad: the collection's own, and the spoilt ones'.
NOISE, SHAKING = 0.02, 0.08
# Standard deviation of a jerky operator's commands, rad.
JERKY = 0.03


def run(quick: bool, seed: int) -> dict[str, Any]:
    """Times are processor time of the training thread: what else runs on the machine does not count."""
    torch.set_num_threads(1)
    spec = load_robot()
    good, bad = (QUICK_GOOD, QUICK_BAD) if quick else (GOOD, BAD)
    with tempfile.TemporaryDirectory(prefix="emma-bench-") as scratch:
        data = Path(scratch) / "data"
        with DatasetWriter(data, spec, cameras=CAMERAS, depth=False) as writer:
            for episode in [*_good(good, seed), *_spoilt(bad, seed + 5000, spec)]:
                writer.add_episode(zip(episode.observations, episode.action, strict=True), episode.instruction)
        table = FrameTable([open_source(data)], CAMERAS)
        steps = QUICK_STEPS if quick else STEPS
        config = TrainConfig(data=(str(data),), policy="spatial_flow", steps=steps, batch_size=BATCH, seed=seed)
        set_seed(seed)
        built = build_policy("spatial_flow", {}, table.sources, table, spec.gripper, Path(scratch), "cpu")
        trainer = Trainer(config, built, table, spec, Path(scratch), make_accelerator(config))
        times = [_thread_ms(trainer.one_step) for _ in range(steps)]
        policy = trainer.averaged()
        figures: dict[str, Any] = {"batch_size": BATCH, "step_ms": statistics.median(times)}
        figures |= _overhead(table, spec, built, policy, figures["step_ms"])
        figures |= _evaluation(table, spec, built, policy, figures["step_ms"])
        figures |= _ranking(table, spec, built, policy, good)
    return figures


def _good(n: int, seed: int) -> Iterator[Demonstration]:
    return demonstrations(n, seed=seed, noise=NOISE, cameras=CAMERAS, depth=False)


def _spoilt(each: int, seed: int, spec: RobotSpec) -> Iterator[Demonstration]:
    """Episodes with a shaking arm, with jerky commands, and with commands beyond a joint's limit."""
    yield from demonstrations(each, seed=seed, noise=SHAKING, cameras=CAMERAS, depth=False)
    rng = np.random.default_rng(seed)
    for number, episode in enumerate(demonstrations(2 * each, seed=seed + 500, cameras=CAMERAS, depth=False)):
        action = episode.action.copy()
        if number < each:
            action[:, :6] += rng.normal(0, JERKY, action[:, :6].shape).astype(np.float32)
        else:
            middle = slice(len(action) // 4, len(action) // 2)
            beyond = 0.2 * np.sin(np.linspace(0, np.pi, middle.stop - middle.start))
            action[middle, 3] = spec.joints[3].upper + beyond
        yield replace(episode, action=action)


def _overhead(table: FrameTable, spec: RobotSpec, built: Built, policy: Any, step_ms: float) -> dict[str, float]:
    """What weighted draws and the watch add to a step, apart from evaluations: with weights against without."""
    layout = Layout(starts=table.starts, group=np.zeros(len(table.source_of), np.int64))
    state = AdaMix(AdaMixConfig(), layout)
    frames, values = _judge(table, spec, built, frames=4)(policy, 0)
    state.update(0, Difficulty.from_table(frames, values))
    plain, weighted = (FrameSampler([np.arange(len(table))], [1.0], BATCH, seed=0) for _ in range(2))
    weighted.set_weights(state.frame_weights())
    times: dict[str, list[float]] = {"plain": [], "weighted": []}
    for step in range(2000):
        times["plain"].append(_thread_ms(partial(plain.indices, step)))
        times["weighted"].append(
            _thread_ms(partial(weighted.indices, step)) + _thread_ms(partial(state.observe, step, 1.0))
        )
    more = statistics.fmean(times["weighted"]) - statistics.fmean(times["plain"])
    return {"draw_ms": statistics.fmean(times["weighted"]), "step_overhead": more / step_ms}


def _evaluation(table: FrameTable, spec: RobotSpec, built: Built, policy: Any, step_ms: float) -> dict[str, float]:
    """Frames judged in batches against one by one, and the share of training time that the default period gives."""
    config = AdaMixConfig()
    batched, single = (_judge(table, spec, built, batch_size=size, frames=8) for size in (128, 1))
    frames = len(batched.frames(0))
    some = slice(0, None, 8)
    batched(policy, 0)
    fast = frames / _thread_ms(partial(batched, policy, 1)) * 1e3
    slow = len(range(0, frames, 8)) / _thread_ms(partial(single, policy, 1, share=some)) * 1e3
    seconds = 100 * config.frames / fast
    return {
        "judged_frames_per_s": fast,
        "judged_one_by_one_frames_per_s": slow,
        "batching_speedup": fast / slow,
        "evaluation_s_per_100_episodes": seconds,
        "evaluation_share_per_100_episodes": seconds / (config.period * step_ms / 1e3),
    }


def _ranking(table: FrameTable, spec: RobotSpec, built: Built, policy: Any, good: int) -> dict[str, float]:
    """Probability that a spoilt episode is judged harder than a good one (area under the curve), by what is judged."""
    figures = {}
    episode_of = np.repeat(np.arange(len(table.source_of)), np.diff(table.starts))
    for judged in ("demonstration", "policy"):
        config = AdaMixConfig(judged=judged)
        frames, values = _judge(table, spec, built, judged=judged, frames=0)(policy, 0)
        components = Difficulty.from_table(frames, values).by_episode(episode_of, len(table.source_of))
        figures[f"ranking_{judged}"] = _curve(1 - performance(components, config), good)
        figures |= {f"ranking_{judged}_{m}": _curve(s, good) for m, s in metric_scores(components).items()}
    return figures


def _judge(table: FrameTable, spec: RobotSpec, built: Built, *, batch_size: int = 128, **options: Any) -> Judge:
    pre, post = built.preprocessor, built.postprocessor
    return Judge(AdaMixConfig(**options), table, pre, post, spec, seed=0, batch_size=batch_size)


def _curve(hardness: np.ndarray, good: int) -> float:
    pairs = hardness[good:, None] - hardness[None, :good]
    return float(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


def _thread_ms(call: Callable[[], Any]) -> float:
    start = time.thread_time()
    call()
    return (time.thread_time() - start) * 1e3
