"""Tool poses on the way to joints: exact within reach; nearest, noted and held beyond it."""

import numpy as np
import pytest

from emma.observation import Observation
from emma.policy.chunk_blending import Previous
from emma.policy.end_effector.space import EndEffectorSpace
from emma.policy.runtime.cartesian import CartesianRuntime
from emma.robots.spec import load_robot

SPEC = load_robot("desk_arm")
SPACE = EndEffectorSpace(SPEC)
HOME = np.array(SPEC.home, np.float32)


class Poses:
    """A policy inside: gives the chunk it was made with, and keeps what it was asked."""

    name, reason, rtc, past_s, note, isolated = "poses", "", "guided", (), "", False

    def __init__(self, chunk: np.ndarray) -> None:
        self.chunk = chunk
        self.asked: list[tuple[np.ndarray, np.ndarray | None]] = []

    def reset(self, seed: int) -> None: ...

    def close(self) -> None: ...

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        self.asked.append((observation.state, None if previous is None else previous.actions))
        return self.chunk


def joints() -> np.ndarray:
    moved = HOME + np.linspace(0, 0.4, 16)[:, None] * np.array([1, -0.3, 0.3, 0.2, -0.2, 0.5, 0])
    moved[:, 6] = np.linspace(0.035, 0.0, 16)
    return moved.astype(np.float32)


def test_joints_go_in_and_come_out() -> None:
    inside = Poses(SPACE.encode(joints()).astype(np.float32))
    runtime = CartesianRuntime(inside, SPACE, SPEC.fps)
    seen = Observation(stamp_ns=0, state=HOME, images={})
    chunk = runtime.infer(seen, "do it", Previous(actions=joints()[4:8], delay=1))
    np.testing.assert_allclose(chunk, joints(), atol=1e-3)
    assert chunk.dtype == np.float32
    assert runtime.note == ""
    state, previous = inside.asked[0]
    np.testing.assert_allclose(state, SPACE.encode(HOME[None])[0], atol=1e-6)
    np.testing.assert_allclose(previous, SPACE.encode(joints()[4:8]), atol=1e-5)


def test_beyond_reach_it_holds_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    poses = SPACE.encode(joints())
    poses[:, 2] += np.linspace(0, 2, 16)
    runtime = CartesianRuntime(Poses(poses), SPACE, SPEC.fps)
    chunk = runtime.infer(Observation(stamp_ns=0, state=HOME, images={}), "up")
    assert runtime.reach.held > 0
    assert (np.diff(chunk[-runtime.reach.held :, :6], axis=0) == 0).all()
    assert "out of reach" in runtime.note
    assert "out of reach" in caplog.text
    limits = np.array([(joint.lower, joint.upper) for joint in SPEC.joints])
    assert ((chunk >= limits[:, 0] - 1e-6) & (chunk <= limits[:, 1] + 1e-6)).all()
