import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from emma.errors import EmmaError
from emma.policy.end_effector.poses import (
    absolute_chunk,
    from_vector,
    inverse,
    relative_chunk,
    rotation_from_6d,
    rotation_to_6d,
    to_vector,
)

seeds = st.integers(0, 2**32 - 1)


def random_vectors(seed: int, steps: int, groups: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (steps * groups, 1, 1))
    poses[:, :3, :3] = Rotation.random(steps * groups, random_state=rng).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(steps * groups, 3))
    return np.concatenate([to_vector(poses), rng.random((steps * groups, 1))], axis=1).reshape(steps, groups * 10)


def test_the_rotation_is_its_first_two_columns() -> None:
    turned = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    np.testing.assert_allclose(rotation_to_6d(turned), [0, 1, 0, -1, 0, 0], atol=1e-12)


@given(seeds, st.integers(1, 2))
def test_relative_and_back_is_exact(seed: int, groups: int) -> None:
    vectors = random_vectors(seed, 9, groups)
    back = absolute_chunk(vectors[0], relative_chunk(vectors[0], vectors[1:]))
    np.testing.assert_allclose(back, vectors[1:], atol=1e-9)


@given(seeds)
def test_relative_does_not_depend_on_the_world_frame(seed: int) -> None:
    vectors = random_vectors(seed, 5, 1)
    moved = from_vector(random_vectors(seed + 1, 1, 1)[0, :9])
    elsewhere = np.concatenate([to_vector(moved @ from_vector(vectors[:, :9])), vectors[:, 9:]], axis=1)
    here, there = (relative_chunk(v[0], v[1:]) for v in (vectors, elsewhere))
    np.testing.assert_allclose(here, there, atol=1e-9)


@given(seeds)
def test_the_first_relative_pose_of_a_standing_tool_is_the_identity(seed: int) -> None:
    vectors = random_vectors(seed, 1, 2)
    relative = from_vector(relative_chunk(vectors[0], vectors)[0].reshape(2, 10)[:, :9])
    np.testing.assert_allclose(relative, np.tile(np.eye(4), (2, 1, 1)), atol=1e-9)


@given(seeds)
def test_inverse(seed: int) -> None:
    pose = from_vector(random_vectors(seed, 1, 1)[0, :9])
    np.testing.assert_allclose(pose @ inverse(pose), np.eye(4), atol=1e-9)


@given(arrays(np.float64, 6, elements=st.floats(-10, 10)))
def test_six_numbers_give_a_rotation_or_an_error(numbers: np.ndarray) -> None:
    try:
        rotation = rotation_from_6d(numbers)
    except EmmaError:
        assert np.linalg.norm(np.cross(numbers[:3], numbers[3:])) < 1e-3
        return
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-6)


def test_joint_vectors_are_refused() -> None:
    with pytest.raises(EmmaError, match="not end-effector"):
        relative_chunk(np.zeros(7), np.zeros((16, 7)))
