"""Robots that others modelled: policies in the simulators of others, and our kinematics against their models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emma.bench.loop import through_ros
from emma.envs.environments import ENVIRONMENTS, Environment
from emma.envs.maker import maker_of
from emma.envs.robot import EnvRobot
from emma.errors import EmmaError
from emma.resources import data_dir
from emma.robots.kinematics import Kinematics
from emma.robots.spec import RobotSpec, load_robot

HELP = "robots of others: success of policies through the ROS graph, kinematics against their own models"
EPISODES, QUICK_EPISODES = 50, 10
# Driven through the graph also where it must be quick.
QUICK = ("so101",)
POSES, QUICK_POSES = 1000, 100
# What ships; a bundle of your own: --set so101=DIR, --set aloha=DIR.
BUNDLES = {"so101": "so101_pick_place", "aloha": "aloha_transfer_cube"}


def run(quick: bool, seed: int) -> dict[str, Any]:
    """`run_with` with the bundles that ship."""
    return run_with(quick, seed, {})


def run_with(quick: bool, seed: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """`NAME_success`: of a policy through the graph; quick: the SO-101's alone. `kinematics_max_error_m`, `_rad`: the
    largest difference of a tool's pose at random joints from the one that the package's model gives.

    options: robot -> bundle folder. Robots whose package or bundle is not here are named in `not_measured`. Raises
    EmmaError if none is here.
    """
    if strange := sorted(set(options) - set(BUNDLES)):
        raise EmmaError("unknown option", found=", ".join(strange), expected=", ".join(BUNDLES))
    figures: dict[str, Any] = {}
    missing: dict[str, str] = {}
    errors_m, errors_rad = [], []
    for name, environment in ENVIRONMENTS.items():
        if not (environment.folder / "bin" / "python").is_file():
            missing[name] = f"emma envs install {name}"
            continue
        metres, radians = kinematics_error(load_robot(name), QUICK_POSES if quick else POSES, seed)
        errors_m.append(metres)
        errors_rad.append(radians)
        bundle = Path(options.get(name) or data_dir("models") / BUNDLES[name])
        if not (bundle / "emma.json").is_file():
            missing[f"{name}_success"] = f"no {bundle}: docs/tutorials/robots-of-others.md makes it"
        elif name in QUICK or not quick:
            figures |= success(environment, bundle, QUICK_EPISODES if quick else EPISODES, seed)
    if not errors_m:
        raise EmmaError(
            "no simulator of others is installed",
            found="; ".join(missing),
            expected=" or ".join(ENVIRONMENTS),
            fix="emma envs install so101",
        )
    figures |= {"kinematics_max_error_m": max(errors_m), "kinematics_max_error_rad": max(errors_rad)}
    return figures | ({"not_measured": missing} if missing else {})


def success(environment: Environment, bundle: Path, episodes: int, seed: int) -> dict[str, Any]:
    """Figures of `emma eval --ros` on the environment's robot."""
    measured = through_ros(episodes, seed, str(bundle))
    names = ("success", "success_interval", "episodes", "lost_messages", "per_episode")
    return {f"{environment.name}_{name}": measured[name] for name in names if name in measured}


def kinematics_error(spec: RobotSpec, poses: int, seed: int) -> tuple[float, float]:
    """Largest distance (m) and angle (rad) between our tool poses and the package's, over random joints."""
    rng = np.random.default_rng(seed)
    lower = np.array([joint.lower for joint in spec.joints])
    upper = np.array([joint.upper for joint in spec.joints])
    joints = rng.uniform(lower, upper, (poses, len(lower)))
    ours = Kinematics.of(spec)
    metres = radians = 0.0
    maker = maker_of(spec)
    with maker.make(spec, cameras=(), task=maker.tasks[0]) as robot:
        assert isinstance(robot, EnvRobot)
        for tool, theirs in robot.tools(joints).items():
            mine = ours.poses(joints, tool)
            metres = max(metres, float(np.linalg.norm(mine[:, :3, 3] - theirs[:, :3, 3], axis=1).max()))
            turns = np.swapaxes(mine[:, :3, :3], 1, 2) @ theirs[:, :3, :3]
            # The skew part: exact for small angles, where the trace is not.
            skew = 0.5 * (turns - np.swapaxes(turns, 1, 2))
            radians = max(radians, float(np.linalg.norm(skew, axis=(1, 2)).max() / np.sqrt(2.0)))
    return metres, radians
