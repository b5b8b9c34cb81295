"""Loading the next policy beside the one that runs."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from emma.control.chunk_executor import ExecutorConfig
from emma.control.inference import ThreadedInference
from emma.control.policy_loop import LoopPolicy
from emma.control.policy_state import SwapPhase, SwapState
from emma.control.real_time import RealTimeLoop
from emma.errors import EmmaError
from emma.ros.nodes.policy_load import Loaded

# A policy that sees more than the one before waits for its cameras; one that never comes must not surprise much later.
WAIT_S = 15.0


class SwapUser(Protocol):
    """What a swap needs of the node."""

    def executor_config_for(self, loaded: Loaded) -> ExecutorConfig:
        """How its chunks are to be played. Raises EmmaError if that cannot be."""
        ...

    def subscribe(self, loaded: Loaded) -> None:
        """Subscribe to what it sees."""
        ...

    def on_swapped(self, loaded: Loaded) -> None:
        """It runs."""
        ...


class PolicySwap:
    """`ask` begins to load on a thread of its own; `poll`, called often, hands over what was loaded."""

    def __init__(self, load: Callable[[Path], Loaded]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        # When the loop was given it (monotonic).
        self._given_s: float | None = None
        self.state = SwapState()

    def ask(self, policy: Path) -> None:
        """Raises EmmaError while another policy is on its way."""
        if self.state.phase in (SwapPhase.LOADING, SwapPhase.WAITING):
            raise EmmaError("another policy is on its way", found=self.state.policy, expected="one at a time")
        self.state = SwapState(number=self.state.number + 1, policy=str(policy), phase=SwapPhase.LOADING)
        threading.Thread(target=self._run, args=(policy, self.state), name="load policy", daemon=True).start()

    def poll(self, real_time: RealTimeLoop, user: "SwapUser") -> None:
        """Give the loop what was loaded, call `user` once it runs, and close what the loop has replaced."""
        loop = real_time.loop
        if self._loaded is not None and self.state.phase == SwapPhase.WAITING:
            if self._given_s is None:
                self._give(self._loaded, real_time, user)
            elif not loop.swapping:
                user.on_swapped(self._loaded)
                self._end(SwapPhase.DONE)
            elif time.monotonic() - self._given_s > WAIT_S:
                self._end(SwapPhase.REFUSED, f"waits for {', '.join(loop.give_up_swap()) or 'its turn'}")
        for policy in loop.retired():
            # It may still be at work.
            threading.Thread(target=policy.close, name="close policy", daemon=True).start()

    def _give(self, loaded: Loaded, real_time: RealTimeLoop, user: "SwapUser") -> None:
        try:
            executor, aligner = user.executor_config_for(loaded), loaded.aligner()
            inference = ThreadedInference(loaded.runtime)
            policy = LoopPolicy(source=aligner, inference=inference, executor=executor)
            try:
                real_time.swap(policy, aligner)
            except EmmaError:
                inference.close()
                raise
        except EmmaError as error:
            loaded.runtime.close()
            self._end(SwapPhase.REFUSED, str(error))
            return
        self._given_s = time.monotonic()
        user.subscribe(loaded)

    def _end(self, phase: SwapPhase, why: str = "") -> None:
        with self._lock:
            self.state = replace(self.state, phase=phase, why=why)
            self._loaded = self._given_s = None

    def close(self) -> None:
        """Close what the loop was not given; the loop closes the rest. What is still being loaded waits for a loop."""
        if self._loaded is not None:
            if self._given_s is None:
                self._loaded.runtime.close()
            self._end(SwapPhase.REFUSED, "the node was deactivated")

    def _run(self, policy: Path, began: SwapState) -> None:
        start = time.monotonic()
        loaded, why = None, ""
        try:
            loaded = self._load(policy)
        except EmmaError as error:
            why = str(error)
        except Exception as error:  # a broken bundle raises anything, and must not end the node that runs another
            why = f"{type(error).__name__}: {error}"
        phase = SwapPhase.WAITING if loaded else SwapPhase.REFUSED
        with self._lock:
            self._loaded = loaded
            self.state = replace(began, phase=phase, why=why, seconds=time.monotonic() - start)
