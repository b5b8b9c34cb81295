"""Loading the next policy beside the one that runs."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from emma.errors import EmmaError
from emma.nodes.control import ControlLoop
from emma.nodes.policy_load import Loaded
from emma.policy.executor import ExecutorConfig


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


class PolicySwap:
    """`ask` begins to load on a thread of its own; `look`, called now and then, hands over what was loaded."""

    def __init__(self, load: Callable[[Path], Loaded]) -> None:
        self._load = load
        self._loaded: Loaded | None = None
        self.state = SwapState()

    def ask(self, policy: Path) -> None:
        """Raises EmmaError while another policy is being loaded."""
        if self.state.phase == Phase.LOADING:
            raise EmmaError("another policy is being loaded", found=self.state.policy, expected="one at a time")
        self.state = SwapState(number=self.state.number + 1, policy=str(policy), phase=Phase.LOADING)
        threading.Thread(target=self._run, args=(policy, self.state), name="load policy", daemon=True).start()

    def look(
        self, loop: ControlLoop, configured: Callable[[Loaded], ExecutorConfig], swapped: Callable[[Loaded], None]
    ) -> None:
        """Give `loop` what was loaded, and `swapped` as well; close what the loop has let go of."""
        loaded = None
        if self.state.phase != Phase.LOADING:
            loaded, self._loaded = self._loaded, None
        if loaded is not None:
            try:
                loop.swap(loaded.runtime, loaded.aligner(), configured(loaded))
                swapped(loaded)
            except EmmaError as error:
                loaded.runtime.close()
                self.state = replace(self.state, phase=Phase.REFUSED, why=str(error))
        elif self.state.phase == Phase.WAITING and not loop.swapping:
            self.state = replace(self.state, phase=Phase.DONE)
        for policy in loop.retired():
            # It may still be at work.
            threading.Thread(target=policy.close, name="close policy", daemon=True).start()

    def close(self) -> None:
        """Close what nobody took. What is still being loaded ends with the process."""
        if self._loaded is not None:
            self._loaded.runtime.close()
            self._loaded = None

    def _run(self, policy: Path, began: SwapState) -> None:
        start = time.monotonic()
        loaded, why = None, ""
        try:
            loaded = self._load(policy)
        except EmmaError as error:
            why = str(error)
        except Exception as error:  # a broken bundle raises anything, and must not end the node that runs another
            why = f"{type(error).__name__}: {error}"
        # As long as nobody has looked, it is being loaded.
        self._loaded = loaded
        phase = Phase.WAITING if loaded else Phase.REFUSED
        self.state = replace(began, phase=phase, why=why, seconds=time.monotonic() - start)
