"""A LeRobot checkpoint without `emma.json`: what it states, and what has to be assumed about the rest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.robots.agreement import IMAGES, joint_names
from emma.robots.spec import RobotSpec

CONFIG, TRAIN_CONFIG = "config.json", "train_config.json"
# Policies that plan further than they act: what they give is `n_action_steps` long.
ACTS_LESS = ("diffusion", "multi_task_dit")


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json`; empty if there is none, or it is broken: loading the policy tells more."""
    try:
        raw = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}


def picture_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Camera -> (height, width) of the pictures that a policy's configuration names; LeRobot writes channels first."""
    features = read_config(folder).get("input_features")
    sizes: dict[str, tuple[int, int]] = {}
    for key, feature in features.items() if isinstance(features, Mapping) else ():
        shape = feature.get("shape") if isinstance(feature, Mapping) else None
        if key.startswith("observation.image") and isinstance(shape, list) and len(shape) == 3:
            sizes[key.removeprefix(IMAGES)] = (int(shape[1]), int(shape[2]))
    return sizes


def chunk_of(config: Mapping[str, Any]) -> int:
    """How many actions one inference gives, by the fields of a policy's configuration. Raises KeyError."""
    kind = config["type"]
    if kind == "vqbet":
        return int(config["action_chunk_size"])
    if kind in ACTS_LESS:
        return int(config["n_action_steps"])
    return int(config["chunk_size"] if "chunk_size" in config else config["horizon"])


def lerobot_manifest(folder: Path, robot: RobotSpec | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of a manifest for a folder that LeRobot wrote, and what was assumed.

    Raises EmmaError for a configuration of which this cannot be read, and without a robot, since LeRobot stores none.
    """
    config = read_config(folder)
    if robot is None:
        raise EmmaError(
            f"{folder} does not say which robot it is for",
            found=f"a LeRobot {config.get('type')} policy without emma.json",
            expected="the robot's name",
            fix="name it: --robot NAME (`emma robots` lists them)",
        )
    try:
        cameras = _cameras(config)
        size = int(config["output_features"]["action"]["shape"][0])
        chunk = chunk_of(config)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise EmmaError(
            f"{folder / CONFIG} cannot be read", found=f"{type(error).__name__}: {error}", expected="a LeRobot policy"
        ) from None
    assumed = [f"robot {robot.name}, as you said"]
    names = joint_names(config.get("action_feature_names"))
    if len(names) != size:
        if size != len(robot.joints):
            raise EmmaError(
                f"policy {folder.name} does not fit robot {robot.name}",
                found=f"{size} actions",
                expected=f"{len(robot.joints)}: {', '.join(robot.joint_names)}",
                fix="choose the robot that it was trained for",
            )
        names = robot.joint_names
        assumed.append(
            f"actions are {', '.join(names)}, in this order and in robot.yaml's units (--units changes them)"
        )
    fps = _fps(folder)
    assumed.append(f"{fps or robot.fps} actions a second, {'as its training had them' if fps else 'as robot.yaml'}")
    raw = {
        "robot": robot.name,
        "policy_type": str(config["type"]),
        "cameras": cameras,
        "fps": fps or robot.fps,
        "chunk": chunk,
        "action_names": names,
    }
    return raw, tuple(assumed)


def _cameras(config: Mapping[str, Any]) -> tuple[str, ...]:
    keys = [key for key, feature in config["input_features"].items() if feature.get("type") == "VISUAL"]
    return tuple(key.removeprefix(IMAGES) for key in keys)


def _fps(folder: Path) -> int:
    """Of the environment or dataset of the training, 0 if it is not stored."""
    try:
        raw = json.loads((folder / TRAIN_CONFIG).read_text())
    except (OSError, ValueError):
        return 0
    for part in ("env", "dataset"):
        fps = (raw.get(part) or {}).get("fps") if isinstance(raw, dict) else None
        if isinstance(fps, int) and fps > 0:
            return fps
    return 0
