"""How a loop gets its action chunks: beside it on a thread, or in simulated time."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from emma.arrays import Array
from emma.observation import Observation
from emma.policy.chunk_blending import Previous
from emma.policy.runtime import PolicyRuntime

NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class ChunkResult:
    """What became of one request. actions: (K, J) or None after an error; seconds: time spent in `infer`."""

    t_obs_ns: int
    actions: Array | None
    seconds: float
    error: str = ""


class Inference(Protocol):
    """One policy's chunks. `submit` and `results` never block longer than the strategy states."""

    runtime: PolicyRuntime

    @property
    def busy_s(self) -> float:
        """How long the request under way has taken so far; 0.0 when idle."""
        ...

    def submit(self, observation: Observation, instruction: str, previous: Previous | None = None) -> None:
        """Ask for a chunk from this observation, continuing `previous` if it is given. Only when idle."""
        ...

    def results(self, t_ns: int) -> Iterator[ChunkResult]:
        """What can be used from the moment `t_ns` on, each once."""
        ...

    def close(self, timeout_s: float = 2.0) -> bool:
        """End it. False if an inference still hangs and the runtime must not be touched."""
        ...


class ThreadedInference:
    """A thread owns the runtime; a request that has not begun is replaced by a newer one.

    A runtime that raises gives a result with `error`; one that hangs shows in `busy_s` and by the chunks that stop
    coming, and the controller holds.
    """

    def __init__(self, runtime: PolicyRuntime) -> None:
        self.runtime = runtime
        self._done: deque[ChunkResult] = deque()
        self._condition = threading.Condition()
        self._request: tuple[Observation, str, Previous | None] | None = None
        self._began: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    @property
    def busy_s(self) -> float:
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def submit(self, observation: Observation, instruction: str, previous: Previous | None = None) -> None:
        with self._condition:
            self._request = (observation, instruction, previous)
            self._condition.notify_all()

    def results(self, t_ns: int) -> Iterator[ChunkResult]:
        while self._done:
            yield self._done.popleft()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no request waits or is under way. False when time is up."""
        with self._condition:
            return self._condition.wait_for(lambda: self._request is None and self._began is None, timeout_s)

    def close(self, timeout_s: float = 2.0) -> bool:
        with self._condition:
            self._closing = True
            self._request = None
            self._condition.notify_all()
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
                self._began = began = time.monotonic()
            actions, error = None, ""
            try:
                actions = self.runtime.infer(observation, instruction, previous)
            except Exception as problem:  # whatever the policy raises must reach the operator, not end the thread
                error = f"{type(problem).__name__}: {problem}"
            seconds = time.monotonic() - began
            with self._condition:
                self._began = None
                if not self._closing:
                    done = ChunkResult(t_obs_ns=observation.stamp_ns, actions=actions, seconds=seconds, error=error)
                    self._done.append(done)
                self._condition.notify_all()


class SimulatedInference:
    """Infers at once, on the caller's thread; the chunk can be used `latency_s` of simulated time after its moment.

    So a run depends on its seeds alone and not on how busy the machine is. Errors of the runtime are raised.
    """

    def __init__(self, runtime: PolicyRuntime, latency_s: float) -> None:
        self.runtime = runtime
        self._latency_ns = int(latency_s * NS)
        self._pending: ChunkResult | None = None

    @property
    def busy_s(self) -> float:
        return 0.0 if self._pending is None else self._latency_ns / NS

    def submit(self, observation: Observation, instruction: str, previous: Previous | None = None) -> None:
        began = time.perf_counter()
        actions = self.runtime.infer(observation, instruction, previous)
        seconds = time.perf_counter() - began
        self._pending = ChunkResult(t_obs_ns=observation.stamp_ns, actions=actions, seconds=seconds)

    def results(self, t_ns: int) -> Iterator[ChunkResult]:
        if self._pending is not None and t_ns >= self._pending.t_obs_ns + self._latency_ns:
            done, self._pending = self._pending, None
            yield done

    def discard(self) -> None:
        """Forget the chunk that waits for its moment."""
        self._pending = None

    def close(self, timeout_s: float = 2.0) -> bool:
        self.discard()
        return True
