"""Loading the next policy beside the one that runs."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from emma.control.chunk_executor import ExecutorConfig
from emma.control.loop import ControlLoop
from emma.errors import EmmaError
from emma.ros.nodes.policy_load import Loaded

# A policy that sees more than the one before waits for its cameras; one that never comes must not surprise much later.
WAIT_S = 15.0


class Phase(StrEnum):
    """How far the latest swap is."""

    NONE = "none"
    LOADING = "loading"
    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class SwapState:
    """What `~/state` says of the latest swap. number: counts them; why: of a refusal; seconds: of loading."""

    number: int = 0
    policy: str = ""
    phase: Phase = Phase.NONE
    why: str = ""
    seconds: float = 0.0


class SwapUser(Protocol):
    """What a swap needs of the node."""

    def playing(self, loaded: Loaded) -> ExecutorConfig:
        """How its chunks are to be played. Raises EmmaError if that cannot be."""
        ...

    def listen(self, loaded: Loaded) -> None:
        """Subscribe to what it sees."""
        ...

    def swapped(self, loaded: Loaded) -> None:
        """It runs."""
        ...


class PolicySwap:
    """`ask` begins to load on a thread of its own; `look`, called now and then, hands over what was loaded."""

    def __init__(self, load: Callable[[Path], Loaded]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        # When the loop was given it (monotonic).
        self._given_s: float | None = None
        self.state = SwapState()

    def ask(self, policy: Path) -> None:
        """Raises EmmaError while another policy is on its way."""
        if self.state.phase in (Phase.LOADING, Phase.WAITING):
            raise EmmaError("another policy is on its way", found=self.state.policy, expected="one at a time")
        self.state = SwapState(number=self.state.number + 1, policy=str(policy), phase=Phase.LOADING)
        threading.Thread(target=self._run, args=(policy, self.state), name="load policy", daemon=True).start()

    def look(self, loop: ControlLoop, user: "SwapUser") -> None:
        """Give `loop` what was loaded, tell `user` once it runs, and close what the loop has let go of."""
        if self._loaded is not None and self.state.phase == Phase.WAITING:
            if self._given_s is None:
                self._give(self._loaded, loop, user)
            elif not loop.swapping:
                user.swapped(self._loaded)
                self._end(Phase.DONE)
            elif time.monotonic() - self._given_s > WAIT_S:
                self._end(Phase.REFUSED, f"waits for {', '.join(loop.give_up_swap()) or 'its turn'}")
        for policy in loop.retired():
            # It may still be at work.
            threading.Thread(target=policy.close, name="close policy", daemon=True).start()

    def _give(self, loaded: Loaded, loop: ControlLoop, user: "SwapUser") -> None:
        try:
            loop.swap(loaded.runtime, loaded.aligner(), user.playing(loaded))
        except EmmaError as error:
            loaded.runtime.close()
            self._end(Phase.REFUSED, str(error))
            return
        self._given_s = time.monotonic()
        user.listen(loaded)

    def _end(self, phase: Phase, why: str = "") -> None:
        with self._lock:
            self.state = replace(self.state, phase=phase, why=why)
            self._loaded = self._given_s = None

    def close(self) -> None:
        """Close what the loop was not given; the loop closes the rest. What is still being loaded waits for a loop."""
        if self._loaded is not None:
            if self._given_s is None:
                self._loaded.runtime.close()
            self._end(Phase.REFUSED, "the node was deactivated")

    def _run(self, policy: Path, began: SwapState) -> None:
        start = time.monotonic()
        loaded, why = None, ""
        try:
            loaded = self._load(policy)
        except EmmaError as error:
            why = str(error)
        except Exception as error:  # a broken bundle raises anything, and must not end the node that runs another
            why = f"{type(error).__name__}: {error}"
        phase = Phase.WAITING if loaded else Phase.REFUSED
        with self._lock:
            self._loaded = loaded
            self.state = replace(began, phase=phase, why=why, seconds=time.monotonic() - start)
