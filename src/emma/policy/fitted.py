"""A policy's runtime behind the names, order and units of the robot that it drives."""

from dataclasses import replace

import numpy as np

from emma.observation import Observation
from emma.policy.chunk_blending import Previous
from emma.policy.runtime.protocol import PolicyRuntime
from emma.robots.agreement import Agreement


class FittedRuntime:
    """A PolicyRuntime that gives the policy what it was trained on, and the robot what it takes."""

    def __init__(self, runtime: PolicyRuntime, agreement: Agreement) -> None:
        self.inner, self._agreement = runtime, agreement
        self.name, self.reason, self.rtc = runtime.name, runtime.reason, runtime.rtc
        self.past_s, self.isolated = runtime.past_s, runtime.isolated

    @property
    def note(self) -> str:
        return self.inner.note

    def reset(self, seed: int) -> None:
        self.inner.reset(seed)

    def close(self) -> None:
        self.inner.close()

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        """(chunk, J) float32 in the robot's joints, as PolicyRuntime has it."""
        if previous is not None:
            previous = replace(previous, actions=self._agreement.vector.theirs(previous.actions))
        chunk = self.inner.infer(self._theirs(observation), instruction, previous)
        return self._agreement.vector.ours(chunk)

    def _theirs(self, observation: Observation) -> Observation:
        cameras = self._agreement.cameras
        return replace(
            observation,
            state=self._agreement.vector.theirs(observation.state),
            images={their: observation.images[our] for our, their in cameras.items()},
            depth={their: observation.depth[our] for our, their in cameras.items() if our in observation.depth},
            past=tuple(self._theirs(earlier) for earlier in observation.past),
        )


def fitted(runtime: PolicyRuntime, agreement: Agreement) -> PolicyRuntime:
    """The runtime itself where robot and policy agree to the letter, else behind what makes them agree."""
    return runtime if agreement.identity else FittedRuntime(runtime, agreement)
