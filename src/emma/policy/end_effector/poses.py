"""Rigid transforms as 4x4 matrices and as vectors of 10: position, 6D rotation, opening.

`a_from_b` maps coordinates in b to coordinates in a. Positions are in m.
6D rotation: the first **two columns** of the rotation matrix, one after the other (Zhou et al. 2019, arXiv 1812.07035).
Some code stacks the first two rows instead, which is the same numbers of the inverse rotation.
"""

from collections.abc import Sequence

import numpy as np

from emma.errors import EmmaError

# Numbers of one arm or hand: x y z, two columns of the rotation, opening.
GROUP = 10
POSE = 9
COMPONENTS = ("x", "y", "z", "r1x", "r1y", "r1z", "r2x", "r2y", "r2z", "opening")
# Columns this short or this parallel do not determine a rotation.
DEGENERATE = 1e-6


def group_names(groups: Sequence[str]) -> list[str]:
    """The names of a state or action vector: `right.x`, ..., `right.opening` for every group in order."""
    return [f"{group}.{component}" for group in groups for component in COMPONENTS]


def rotation_to_6d(rotation: np.ndarray) -> np.ndarray:
    """(..., 3, 3) -> (..., 6): the first column, then the second."""
    return np.concatenate([rotation[..., :, 0], rotation[..., :, 1]], axis=-1)


def rotation_from_6d(columns: np.ndarray) -> np.ndarray:
    """(..., 6) -> (..., 3, 3) by Gram-Schmidt. Raises EmmaError for columns that determine no rotation."""
    first, second = columns[..., :3], columns[..., 3:]
    length = np.linalg.norm(first, axis=-1, keepdims=True)
    x = first / np.maximum(length, DEGENERATE)
    rest = second - (x * second).sum(-1, keepdims=True) * x
    rest_length = np.linalg.norm(rest, axis=-1, keepdims=True)
    if not (np.all(length > DEGENERATE) and np.all(rest_length > DEGENERATE)):
        raise EmmaError(
            "a 6D rotation determines no rotation",
            found="columns that are zero, parallel or not finite",
            expected="the first two columns of a rotation matrix",
        )
    y = rest / rest_length
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def to_vector(pose: np.ndarray) -> np.ndarray:
    """(..., 4, 4) -> (..., 9)."""
    return np.concatenate([pose[..., :3, 3], rotation_to_6d(pose[..., :3, :3])], axis=-1)


def from_vector(vector: np.ndarray) -> np.ndarray:
    """(..., 9) -> (..., 4, 4). Raises EmmaError as `rotation_from_6d` does."""
    pose = np.zeros((*vector.shape[:-1], 4, 4), dtype=vector.dtype)
    pose[..., :3, 3] = vector[..., :3]
    pose[..., :3, :3] = rotation_from_6d(vector[..., 3:POSE])
    pose[..., 3, 3] = 1.0
    return pose


def inverse(pose: np.ndarray) -> np.ndarray:
    """(..., 4, 4) -> the inverse of each rigid transform."""
    result = np.zeros_like(pose)
    turned = np.swapaxes(pose[..., :3, :3], -1, -2)
    result[..., :3, :3] = turned
    result[..., :3, 3] = -(turned @ pose[..., :3, 3, None])[..., 0]
    result[..., 3, 3] = 1.0
    return result


def relative_chunk(state: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Absolute actions (..., K, 10 G) in the tool frames of `state` (..., 10 G): T_t^-1 T_{t+k} for each group.

    Openings stay absolute.
    """
    start, chunk = _grouped(state, actions)
    moved = inverse(from_vector(start[..., :POSE])) @ from_vector(chunk[..., :POSE])
    return np.concatenate([to_vector(moved), chunk[..., POSE:]], axis=-1).reshape(actions.shape)


def absolute_chunk(state: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The inverse of `relative_chunk`: T_t applied to every relative pose."""
    start, chunk = _grouped(state, actions)
    placed = from_vector(start[..., :POSE]) @ from_vector(chunk[..., :POSE])
    return np.concatenate([to_vector(placed), chunk[..., POSE:]], axis=-1).reshape(actions.shape)


def _grouped(state: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = actions.shape[-1]
    if size % GROUP or state.shape[-1] != size:
        raise EmmaError(
            "state and action are not end-effector vectors",
            found=f"{state.shape[-1]} and {size} numbers",
            expected=f"the same multiple of {GROUP} (position, 6D rotation, opening for each group)",
            fix="use a dataset with end-effector actions",
        )
    groups = size // GROUP
    start = np.asarray(state, np.float64).reshape(*state.shape[:-1], 1, groups, GROUP)
    return start, np.asarray(actions, np.float64).reshape(*actions.shape[:-1], groups, GROUP)
