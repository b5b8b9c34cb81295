"""`emma eval --ros`: the episodes of an evaluation through the ROS graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emma.control.policy_state import POLICY_STATE
from emma.envs.maker import maker_of
from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.recording.recorder_state import RECORDER_STATE
from emma.robots import DEFAULT_ROBOT
from emma.robots.spec import load_robot
from emma.ros.client import RosClient
from emma.sessions.drive import DriveConfig, drive, run_folder, shown
from emma.sessions.scene import START_S, PersonScene
from emma.sessions.session import Session, Trial, trials
from emma.sim.maker import require_known


def evaluate_ros(
    bundle: Path | str,
    *,
    robot: str = DEFAULT_ROBOT,
    episodes: int = 100,
    seed: int = 10_000,
    domain: str = "source",
    out: Path | None = None,
    runtime: str = "auto",
    device: str = "auto",
    join: str = "auto",
    replan_s: float = 0.0,
    record: bool = True,
    lockstep: bool = False,
    domain_id: int | None = None,
    task: str = "",
    python: str = "",
) -> dict[str, Any]:
    """Success and instruction following with 95 % intervals, a row per episode, and timings in ms (`SessionResult`).

    In real time, or with `lockstep` in simulated time, where every command equals the in-process one to the bit.
    The words are ones that no training data has, as in process. Only the policy's cameras are drawn, without depth.
    """
    loaded = load_bundle(bundle)
    maker = maker_of(load_robot(robot), python)
    task = task or maker.tasks[0]
    require_known(maker, task, [domain])
    maker.require_here()
    config = DriveConfig(
        out=(out or run_folder("eval")) / domain,
        robot=robot,
        policy=Path(bundle).resolve(),
        runtime=runtime,
        device=device,
        join=join,
        replan_s=replan_s,
        cameras=tuple(loaded.info.cameras),
        depth=loaded.info.depth,
        record=record,
        lockstep=lockstep,
        domain_id=domain_id,
        python=python,
        timeout_s=maker.timeout_s,
    )
    plan = trials(episodes, seed, domain, held_out_words=True, task=task, targets=maker.targets)
    result = drive(config, plan)
    return {**result.to_json(), "bags": str(config.bag_folder) if record else None}


def evaluate_with_person(
    bundle: Path | str, *, episodes: int, seed: int, instructions: Sequence[str], timeout_s: float = 60.0
) -> dict[str, Any]:
    """Success on the robot that runs now: a person at the terminal sets each episode up, begins it and judges it.

    The policy node of the graph must run `bundle`; episodes are recorded where a recorder is there. Raises EmmaError.
    """
    scene = PersonScene(tuple(instructions))
    plan = [Trial(seed=seed + i, target="", domain="") for i in range(episodes)]
    with RosClient("evaluation") as client:
        client.listen(POLICY_STATE)
        said = client.wait_for(POLICY_STATE, lambda s: s.policy, START_S)
        running = Path(said.policy).resolve() if said else None
        if running != Path(bundle).resolve():
            raise EmmaError(
                "the policy node runs another policy",
                found=running or "no policy node",
                expected=Path(bundle).resolve(),
                fix=f"ros2 launch emma deploy.launch.py policy:={Path(bundle).resolve()}",
            )
        recorder = bool(client.node.count_publishers(RECORDER_STATE.name))
        session = Session(client, record=recorder, timeout_s=timeout_s, scene=scene)
        with shown(client, session, episodes, table=False) as report:
            try:
                session.wait_until_ready()
                for trial in plan:
                    session.run(trial)
                    report()
            except KeyboardInterrupt:
                if not session.rows:
                    raise
        return session.result().to_json()
