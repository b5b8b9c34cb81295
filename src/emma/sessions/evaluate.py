"""`emma eval --ros`: the episodes of an evaluation through the ROS graph."""

from pathlib import Path
from typing import Any

from emma.policy.bundle import load_bundle
from emma.sessions.drive import DriveConfig, drive, run_folder
from emma.sessions.session import trials
from emma.sim.tasks import DEFAULT


def evaluate_ros(
    bundle: Path | str,
    *,
    robot: str = "desk_arm",
    episodes: int = 100,
    seed: int = 10_000,
    domain: str = "source",
    out: Path | None = None,
    runtime: str = "auto",
    device: str = "auto",
    join: str = "auto",
    record: bool = True,
    lockstep: bool = False,
    domain_id: int | None = None,
    task: str = DEFAULT,
) -> dict[str, Any]:
    """Success and instruction following with 95 % intervals, a row per episode, and timings in ms (`SessionResult`).

    In real time, or with `lockstep` in simulated time, where every command equals the in-process one to the bit.
    The words are ones that no training data has, as in process. Only the policy's cameras are drawn, without depth.
    """
    loaded = load_bundle(bundle)
    config = DriveConfig(
        out=(out or run_folder("eval")) / domain,
        robot=robot,
        policy=Path(bundle).resolve(),
        runtime=runtime,
        device=device,
        join=join,
        cameras=tuple(loaded.info.cameras),
        depth=loaded.info.depth,
        record=record,
        lockstep=lockstep,
        domain_id=domain_id,
    )
    result = drive(config, trials(episodes, seed, domain, held_out_words=True, task=task))
    return {**result.to_json(), "bags": str(config.bag_folder) if record else None}
