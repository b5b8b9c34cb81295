"""Inference beside the control loop: one thread, the latest observation wins, results come back by callback."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emma.observation import Observation
from emma.policy.chunk_blending import Previous
from emma.policy.runtime import PolicyRuntime


@dataclass(frozen=True, kw_only=True)
class ChunkResult:
    """What became of one request. actions: (K, J) or None after an error; seconds: time spent in `infer`."""

    t_obs_ns: int
    actions: np.ndarray | None
    seconds: float
    error: str = ""


class InferenceWorker:
    """Owns a runtime's thread. `submit` never blocks; a request not yet begun is replaced by a newer one.

    `deliver` is called on the worker's thread. A runtime that raises gives a result with `error`; one that hangs is
    seen by `busy_s` and by the chunks that stop coming, and the control loop holds.
    """

    def __init__(self, runtime: PolicyRuntime, deliver: Callable[[ChunkResult], None]) -> None:
        self._runtime = runtime
        self._deliver = deliver
        self._condition = threading.Condition()
        self._request: tuple[Observation, str, Previous | None] | None = None
        self._began: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    @property
    def busy_s(self) -> float:
        """How long the inference under way has taken so far; 0.0 when idle."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def submit(self, observation: Observation, instruction: str, previous: Previous | None = None) -> None:
        """Ask for a chunk from this observation, continuing `previous` if it is given."""
        with self._condition:
            self._request = (observation, instruction, previous)
            self._condition.notify()

    def close(self, timeout_s: float = 2.0) -> bool:
        """End the thread. False if an inference still hangs after `timeout_s`; the thread is then left behind."""
        with self._condition:
            self._closing = True
            self._request = None
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._request is not None or self._closing)
                if self._closing or self._request is None:
                    return
                observation, instruction, previous = self._request
                self._request = None
            self._began = time.monotonic()
            actions, error = None, ""
            try:
                # A runtime that cannot continue a chunk need not know of it.
                continued = () if previous is None else (previous,)
                actions = self._runtime.infer(observation, instruction, *continued)
            except Exception as problem:  # whatever the policy raises must reach the operator, not end the thread
                error = f"{type(problem).__name__}: {problem}"
            seconds = time.monotonic() - self._began
            self._began = None
            if not self._closing:
                self._deliver(ChunkResult(t_obs_ns=observation.stamp_ns, actions=actions, seconds=seconds, error=error))
