"""Exported graphs as a runtime: sensors in, flow loop in float32 outside the graph, joint targets out.

The same class drives every engine; what runs the graphs is a `Graphs`. Per chunk nothing is allocated but the result,
and torch is not called except for a flow policy's noise, so that every runtime starts from the same noise.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from emma.errors import EmmaError
from emma.observation import Observation
from emma.policy.bundle import Bundle
from emma.policy.end_effector.poses import absolute_chunk, relative_chunk
from emma.policy.exported import ExportInfo
from emma.policy.runtime.instruction_tokenizer import Words
from emma.policy.runtime.noise import Noise
from emma.policy.runtime.rtc import Guidance, Previous

CHUNK, NOISY, TIME, VELOCITY, STATE, TOKENS, MASK = "chunk", "noisy", "time", "velocity", "state", "tokens", "mask"
POLICY, PREFIX, STEP = "policy", "prefix", "step"


class Graphs(Protocol):
    """An engine with the graphs of one export loaded.

    buffers: host arrays, float32, uint8, int64 or bool, batch 1, by the names of graph inputs and outputs. The caller
    writes inputs and reads outputs there; what passes from prefix to step stays with the engine.
    """

    @property
    def buffers(self) -> Mapping[str, np.ndarray]: ...

    def run(self, graph: str) -> None:
        """Compute one graph from the buffers into the buffers."""
        ...

    def close(self) -> None: ...


class GraphRuntime:
    """A bundle's exported graphs as a PolicyRuntime.

    name: of the engine, for people; reason: why it was chosen; seed: as in TorchRuntime, whose noise it shares; folder:
    of the exported files, by default the bundle's.
    Policies that look back are not exported.
    """

    past_s: tuple[float, ...] = ()
    note, isolated = "", False

    def __init__(
        self,
        bundle: Bundle,
        info: ExportInfo,
        graphs: Graphs,
        *,
        name: str,
        reason: str = "",
        seed: int = 0,
        folder: Path | None = None,
    ) -> None:
        self.name, self.reason = name, reason
        self.info, self._graphs = info, graphs
        self._words = Words(bundle, info, folder) if info.tokens else None
        self._instruction: str | None = None
        self._shift = np.array(info.action_shift, np.float32)
        self._scale = np.array(info.action_scale, np.float32)
        self._relative = np.array(info.relative, np.float32)
        buffers = graphs.buffers
        self._cameras = {camera: buffers[camera][0] for camera in info.cameras}
        self._state = buffers[STATE][0] if STATE in buffers else np.zeros(info.joints, np.float32)
        if info.flow is not None:
            self._noise = Noise(buffers[NOISY].shape, info.flow.noise_scale, seed)
            self._guidance = Guidance(info.chunk, info.width)
            self._change = np.zeros_like(buffers[NOISY])

    @property
    def rtc(self) -> str:
        flow = self.info.flow
        return "" if flow is None else "trained" if flow.trained_delay else "guided"

    def reset(self, seed: int) -> None:
        """Restart the noise sequence, as at the start of an episode."""
        if self.info.flow is not None:
            self._noise.reset(seed)

    def infer(self, observation: Observation, instruction: str, previous: Previous | None = None) -> np.ndarray:
        """(chunk, J) float32 absolute joint targets; a flow policy makes them continue `previous`.

        Raises EmmaError if the observation does not have the shapes that were exported.
        """
        self._sense(observation, instruction)
        if self.info.flow is None:
            self._graphs.run(POLICY)
            return self._to_robot(self._graphs.buffers[CHUNK][0])
        self._graphs.run(PREFIX)
        self._flow(previous)
        return self._to_robot(self._graphs.buffers[NOISY][0])

    def close(self) -> None:
        self._graphs.close()

    def _sense(self, observation: Observation, instruction: str) -> None:
        for camera, buffer in self._cameras.items():
            image = observation.images[camera]
            if image.shape != buffer.shape:
                raise EmmaError(
                    f"camera {camera} has another size than the exported graph",
                    found=f"{image.shape[1]}x{image.shape[0]}",
                    expected=f"{buffer.shape[1]}x{buffer.shape[0]}",
                )
            np.copyto(buffer, image)
        np.copyto(self._state, observation.state)
        if self._words is not None and (self._words.state_in_words or instruction != self._instruction):
            tokens, mask = self._words(instruction, self._state)
            np.copyto(self._graphs.buffers[TOKENS][0], tokens)
            np.copyto(self._graphs.buffers[MASK][0], mask)
            self._instruction = instruction

    def _flow(self, previous: Previous | None) -> None:
        flow = self.info.flow
        assert flow is not None
        noisy, time, velocity = (self._graphs.buffers[name] for name in (NOISY, TIME, VELOCITY))
        self._noise.fill(noisy)
        frozen = self._join(previous, noisy)
        for step in range(flow.steps):
            moment = 1.0 - step / flow.steps
            time.fill(moment)
            time[:, :frozen] = 0.0
            self._graphs.run(STEP)
            if self._guidance.active:
                self._guidance.correct(velocity, noisy, moment)
            np.multiply(velocity, 1.0 / flow.steps, out=self._change)
            self._change[:, :frozen] = 0.0
            np.subtract(noisy, self._change, out=noisy)

    def _join(self, previous: Previous | None, noisy: np.ndarray) -> int:
        """Prepare the join with the previous chunk; how many actions are frozen to it."""
        self._guidance.clear()
        if previous is None:
            return 0
        actions = self._to_model(previous.actions)
        trained = self.info.flow.trained_delay if self.info.flow is not None else 0
        if trained:
            frozen = min(previous.delay, trained, len(actions))
            noisy[0, :frozen, : actions.shape[1]] = actions[:frozen]
            return frozen
        self._guidance.aim(actions, previous.delay, previous.horizon)
        return 0

    def _to_robot(self, chunk: np.ndarray) -> np.ndarray:
        actions: np.ndarray = chunk[:, : len(self._scale)] * self._scale
        actions += self._shift
        actions += self._relative * self._state[: len(self._scale)]
        return self._poses(absolute_chunk, actions)

    def _to_model(self, actions: np.ndarray) -> np.ndarray:
        actions = self._poses(relative_chunk, actions)
        moved: np.ndarray = (actions - self._relative * self._state[: len(self._scale)] - self._shift) / self._scale
        return moved

    def _poses(self, change: Callable[[np.ndarray, np.ndarray], np.ndarray], actions: np.ndarray) -> np.ndarray:
        if not self.info.relative_poses:
            return actions
        return change(self._state, actions).astype(np.float32)
