"""The shipped policy in appearances that it was not trained on, in process."""

from functools import partial
from typing import Any

from emma.bench.loop import BUNDLE
from emma.policy.bundle import load_bundle
from emma.policy.runtime import open_runtime
from emma.progress import progress_bar
from emma.resources import data_dir
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.evaluate import EpisodeResult, EvalConfig, evaluate

HELP = "success of the shipped policy in the source, graded and unseen appearances, in process"
DOMAINS = ("source", "small", "medium", "large", "unseen_1", "unseen_2", "unseen_3", "unseen_4")
EPISODES, QUICK_EPISODES = 100, 5


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`<appearance>` -> success in 0..1, `<appearance>_interval` -> its 95 % interval, `mean_unseen`."""
    bundle = load_bundle(data_dir("models") / BUNDLE)
    runtime = open_runtime(bundle)
    episodes = QUICK_EPISODES if quick else EPISODES
    figures: dict[str, Any] = {"episodes": episodes}
    with DeskArm(load_robot(bundle.info.robot), cameras=bundle.info.cameras) as sim, progress_bar() as bar:
        for domain in DOMAINS:
            task = bar.add_task(domain, total=episodes, note="")
            config = EvalConfig(episodes=episodes, seed=seed, domain=domain)
            result = evaluate(sim, runtime, bundle.info.fps, config, partial(_advance, bar, task))
            figures[domain] = result.success.value
            figures[f"{domain}_interval"] = result.success.interval
            figures[f"{domain}_instruction_following"] = result.instruction_following.value
    runtime.close()
    unseen = [figures[domain] for domain in DOMAINS if domain.startswith("unseen")]
    figures["mean_unseen"] = sum(unseen) / len(unseen)
    return figures


def _advance(bar: Any, task: Any, _: EpisodeResult) -> None:
    bar.advance(task)
