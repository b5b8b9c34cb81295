"""Any runtime whose policy speaks of tool poses, as one that takes joints and gives joints.

Joints -> tool poses -> the policy's chunk -> bounded inverse kinematics -> joints: executor and safety see joints only.
"""

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from emma.observation import Observation
from emma.policy.chunk_blending import Previous
from emma.policy.end_effector.space import EndEffectorSpace
from emma.policy.runtime.protocol import PolicyRuntime

log = logging.getLogger(__name__)
# Between two warnings.
WARN_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How one chunk's poses were met. unreached: actions whose pose the arm does not reach; held: actions that hold the
    nearest pose instead of following; position_error_m, rotation_error_rad: the worst of the actions not held."""

    unreached: int = 0
    held: int = 0
    position_error_m: float = 0.0
    rotation_error_rad: float = 0.0

    @property
    def text(self) -> str:
        """For people; empty where every pose was reached."""
        if not self.unreached:
            return ""
        return (
            f"{self.unreached} poses of the chunk out of reach, nearest {1e3 * self.position_error_m:.0f} mm and "
            f"{self.rotation_error_rad:.2f} rad away; {self.held} actions hold"
        )


class CartesianRuntime:
    """A PolicyRuntime around `inner`, whose states, chunks and previous chunks are absolute end-effector vectors.

    reach: how the last chunk's poses were met. Out of reach, the nearest pose is taken and a warning logged; where even
    that is far away (`emma.robots.pose_path`), the rest of the chunk holds there.
    """

    def __init__(self, inner: PolicyRuntime, space: EndEffectorSpace, fps: int) -> None:
        self._inner, self._space, self._step_s = inner, space, 1.0 / fps
        self.name, self.reason = inner.name, f"{inner.reason}; end-effector actions by inverse kinematics"
        self.rtc, self.past_s, self.isolated = inner.rtc, inner.past_s, inner.isolated
        self.reach = Reach()
        # Chunks so far, and those with a pose out of reach.
        self.chunks = self.unreached_chunks = 0
        self.last_ik_s = 0.0
        self._warned_s = -WARN_S

    @property
    def note(self) -> str:
        """What an operator should know of the last chunk: poses out of reach, else empty."""
        return self.reach.text

    def reset(self, seed: int) -> None:
        """As the runtime inside."""
        self._inner.reset(seed)
        self.reach = Reach()

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        """(chunk, J) float32 joint targets. Raises EmmaError for what the runtime inside refuses."""
        joints = np.asarray(observation.state, np.float64)
        seen = replace(self._posed(observation), past=tuple(map(self._posed, observation.past)))
        if previous is not None:
            previous = replace(previous, actions=self._space.encode(previous.actions).astype(np.float32))
        chunk = self._inner.infer(seen, instruction, previous)
        return self.to_joints(chunk, joints)

    def _posed(self, observation: Observation) -> Observation:
        joints = np.asarray(observation.state, np.float64)
        return replace(observation, state=self._space.encode(joints[None])[0].astype(np.float32))

    def to_joints(self, chunk: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Absolute vectors (K, 10 G) to joint targets (K, J) float32, starting from `joints` (J,)."""
        start = time.perf_counter()
        found = self._space.decode(chunk, joints, self._step_s)
        targets = found.joints.astype(np.float32)
        seen = slice(0, max(found.followed, 1))
        self.reach = Reach(
            unreached=int((~found.reached).sum()),
            held=len(targets) - found.followed,
            position_error_m=float(found.position_error_m[seen].max()),
            rotation_error_rad=float(found.rotation_error_rad[seen].max()),
        )
        self.last_ik_s = time.perf_counter() - start
        self.chunks += 1
        self.unreached_chunks += self.reach.unreached > 0
        self._warn()
        return targets

    def close(self) -> None:
        self._inner.close()

    def _warn(self) -> None:
        now = time.monotonic()
        if self.reach.unreached and now - self._warned_s >= WARN_S:
            self._warned_s = now
            log.warning("%s (%d of %d chunks so far)", self.reach.text, self.unreached_chunks, self.chunks)
