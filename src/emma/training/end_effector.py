"""Vectors of datasets in the end-effector space of one robot: joints through forward kinematics, hands as they are.

A hand's poses are recorded in a world of their own. They are put into the robot's base frame by way of the camera: what
a person's camera sees at a place counts as what the robot's camera of the same name sees there.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emma.dreamtransfer.geometry import BASE, CalibratedPoses
from emma.errors import EmmaError
from emma.policy.end_effector.poses import GROUP, POSE, from_vector, inverse, to_vector
from emma.policy.end_effector.space import EndEffectorSpace, groups_of
from emma.robots.spec import RobotSpec

STATE, ACTION = "observation.state", "action"
VALID, CAMERA_POSE = "action_is_valid", "observation.camera_pose"
IMAGES = "observation.images."
# Of a hand's openings in a dataset: what counts as closed and as open. Between a pinch and the widest grip.
CLOSED_SHARE, OPEN_SHARE = 0.05, 0.95
# A hand that opens less than this (m) over a whole dataset has not used its fingers.
LEAST_OPENING_M = 0.01
# A tool that a dataset does not have.
NO_TOOL = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """A dataset's frames. states (N, S), actions (N, A); valid (N, A) bool, None where all count; frames (N, 4, 4):
    what each frame's poses, state and chunk alike, are moved by, None for the identity."""

    states: np.ndarray
    actions: np.ndarray
    valid: np.ndarray | None = None
    frames: np.ndarray | None = None


def is_end_effector(features: dict[str, dict]) -> bool:
    """Whether a dataset's actions are end-effector vectors."""
    return ACTION in features and bool(groups_of(features[ACTION].get("names")))


def require_joints(features: dict[str, dict], what: str) -> None:
    """Raise EmmaError for a dataset whose actions are no joints."""
    if is_end_effector(features):
        raise EmmaError(
            f"{what} has no joint actions",
            found=f"end-effector poses of {', '.join(groups_of(features[ACTION]['names']))}",
            expected="a dataset of robot joints",
            fix="train on end-effector actions: --action-space ee",
        )


def columns_of(features: dict[str, dict]) -> list[str]:
    """The vector columns that `in_space` reads of a dataset."""
    return [STATE, ACTION, *(key for key in (VALID, CAMERA_POSE) if key in features and is_end_effector(features))]


def in_space(
    space: EndEffectorSpace | None,
    read: dict[str, np.ndarray],
    features: dict[str, dict],
    cameras: Sequence[str],
    what: str,
) -> Vectors:
    """The frames of one dataset for a policy with joint actions (`space` None) or in `space`.

    read: `columns_of` it, (N, D) each; cameras: of the policy; what: the dataset, for errors. Raises EmmaError for a
    dataset that fits neither.
    """
    if space is None:
        require_joints(features, what)
        return Vectors(states=read[STATE], actions=read[ACTION])
    if is_end_effector(features):
        return _hands(space, read, features, cameras, what)
    names = features[ACTION].get("names")
    if tuple(names or ()) != space.spec.joint_names or read[STATE].shape[1] != len(space.spec.joints):
        raise EmmaError(
            f"the joints of {what} are not those of {space.spec.name}",
            found=f"action {names}, a state of {read[STATE].shape[1]} numbers",
            expected=f"{list(space.spec.joint_names)} in both",
        )
    states, actions = (space.encode(read[key]).astype(np.float32) for key in (STATE, ACTION))
    return Vectors(states=states, actions=actions)


def _hands(
    space: EndEffectorSpace, read: dict[str, np.ndarray], features: dict[str, dict], cameras: Sequence[str], what: str
) -> Vectors:
    groups = groups_of(features[ACTION]["names"])
    places = space.places_of(groups, what)
    count, tools = len(read[ACTION]), len(space.groups)
    states, actions = (np.tile(np.array(NO_TOOL, np.float32), (count, tools)) for _ in range(2))
    valid = np.zeros((count, tools * GROUP), bool)
    measured = read[VALID] > 0.5 if VALID in read else np.ones_like(read[ACTION], bool)
    for number, place in enumerate(places):
        mine, theirs = (slice(i * GROUP, (i + 1) * GROUP) for i in (place, number))
        valid[:, mine] = measured[:, theirs]
        states[:, mine], actions[:, mine] = read[STATE][:, theirs], read[ACTION][:, theirs]
        opening = place * GROUP + POSE
        if not _to_gripper(states[:, opening], actions[:, opening], valid[:, opening]):
            valid[:, opening] = False
            states[:, opening] = actions[:, opening] = 0.0
    return Vectors(
        states=states, actions=actions, valid=valid, frames=_frames(space.spec, read, features, cameras, what)
    )


def _to_gripper(states: np.ndarray, actions: np.ndarray, valid: np.ndarray) -> bool:
    """Openings (N,) in m to shares of a gripper's range, in place; False where the fingers hardly move.

    A hand closes upon the object's width and a gripper's command to 0, so there is no common scale in metres.
    """
    if valid.sum() < 2:
        return False
    closed, opened = np.quantile(actions[valid], [CLOSED_SHARE, OPEN_SHARE])
    if opened - closed < LEAST_OPENING_M:
        return False
    for values in (states, actions):
        np.clip((values - closed) / (opened - closed), 0.0, 1.0, out=values)
    return True


def _frames(
    spec: RobotSpec, read: dict[str, np.ndarray], features: dict[str, dict], cameras: Sequence[str], what: str
) -> np.ndarray | None:
    """base_from_world (N, 4, 4) of each frame, by the camera that robot and person share."""
    shared = [camera for camera in cameras if IMAGES + camera in features]
    mounts = CalibratedPoses.load(spec).mounts if (spec.folder / "extrinsics.yaml").is_file() else {}
    fixed = [camera for camera in shared if camera in mounts and mounts[camera][0] == BASE]
    if CAMERA_POSE not in read or not fixed:
        why = "no camera poses in it" if CAMERA_POSE not in read else f"no fixed camera among {', '.join(shared)}"
        print(f"{what}: hands stay in the frame they were recorded in ({why})", file=sys.stderr, flush=True)
        return None
    world_from_camera = from_vector(read[CAMERA_POSE].astype(np.float64))
    return np.asarray(mounts[fixed[0]][1] @ inverse(world_from_camera))


def move(vectors_: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """End-effector vectors (B, ..., 10 G) moved by `frames` (B, 4, 4); openings stay."""
    parts = np.asarray(vectors_, np.float64).reshape(*vectors_.shape[:-1], -1, GROUP)
    moved = frames.reshape(len(frames), *[1] * (parts.ndim - 2), 4, 4) @ from_vector(parts[..., :POSE])
    return np.concatenate([to_vector(moved), parts[..., POSE:]], axis=-1).reshape(vectors_.shape)
