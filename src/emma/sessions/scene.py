"""Who sets the scene of an episode and judges how it ended: the simulator, or a person beside a real robot."""

import os
import select
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TextIO

from emma.errors import EmmaError
from emma.ros.client import RosClient
from emma.sim.sim_state import SIM_STATE, SimReset, SimState

SIMULATOR, PERSON = "simulator", "person"
JUDGES: Final = (SIMULATOR, PERSON)
# A loading policy imports torch and its weights; on a busy machine that takes its time.
START_S, RESET_S, ANSWER_S = 180.0, 90.0, 30.0
# An episode may take so many times its length on a machine that cannot keep up.
SLOWDOWN = 10.0
WORDS = {"s": True, "success": True, "y": True, "f": False, "failure": False, "n": False}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an episode asks for. episode: the scene's own count of them."""

    instruction: str
    episode: int


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How an episode ended. placed_on: the target at which the object is, None for none or where it is not known."""

    success: bool
    seconds: float
    placed_on: str | None = None


class Scene(Protocol):
    """Sets up an episode and judges it."""

    def wait_until_ready(self) -> None:
        """Return when an episode can be set up. Raises EmmaError when that takes too long."""
        ...

    def reset(self, trial: Any) -> Asked:
        """Set up the start of `trial` (`emma.sessions.session.Trial`)."""
        ...

    def wait_until_over(self, asked: Asked, timeout_s: float) -> Ending | None:
        """Return when the episode has ended, or None when `timeout_s` is over and it has not."""
        ...

    def judge(self, asked: Asked, patience_s: float = 0.0) -> Ending:
        """How things stand now; `patience_s`: wait so long for a success, as of an object that comes to rest."""
        ...


class SimulatedScene:
    """The services of the sim or env node."""

    def __init__(self, client: RosClient) -> None:
        self._client = client
        client.listen(SIM_STATE)

    def wait_until_ready(self) -> None:
        """See `Scene`."""
        self._client.wait_for_service("/sim/reset", START_S)

    def reset(self, trial: Any) -> Asked:
        """See `Scene`."""
        self._client.set_parameters("/sim", trial.parameters())
        task = self._client.ask("/sim/reset", SimReset, RESET_S)
        return Asked(instruction=task.instruction, episode=task.episode)

    def wait_until_over(self, asked: Asked, timeout_s: float) -> Ending | None:
        """See `Scene`. The time is the arm's: a machine that is too slow for it must not cut an episode short."""

        def over(said: SimState) -> bool:
            placed = said.settled and said.placed_on is not None
            return said.episode == asked.episode and (placed or said.time_s >= timeout_s)

        found = self._client.wait_for(SIM_STATE, over, SLOWDOWN * timeout_s + ANSWER_S)
        return None if found is None else _ending(found)

    def judge(self, asked: Asked, patience_s: float = 0.0) -> Ending:
        """See `Scene`."""
        found = None
        if patience_s:
            found = self._client.wait_for(SIM_STATE, lambda s: s.episode == asked.episode and s.success, patience_s)
        return _ending(found or self._client.ask("/sim/outcome", SimState))


def _ending(said: SimState) -> Ending:
    return Ending(success=said.success, seconds=said.time_s, placed_on=said.placed_on)


@dataclass
class PersonScene:
    """A person sets the scene up and judges it: Enter begins an episode, and with it the motion; s or f, then Enter,
    ends it as a success or a failure.

    instructions: what episodes ask for, in turn. keys, out: a terminal, or what stands in for one.
    """

    instructions: tuple[str, ...]
    keys: TextIO = field(default_factory=lambda: sys.stdin)
    out: TextIO = field(default_factory=lambda: sys.stderr)
    _count: int = 0
    _began_s: float = 0.0
    _typed: bytes = b""

    def __post_init__(self) -> None:
        if not self.instructions or not all(text.strip() for text in self.instructions):
            raise EmmaError(
                "a person judges, and there is nothing to ask for",
                found=list(self.instructions),
                expected="one or more instructions in words",
                fix='give --instruction "put the cup on the plate"',
            )

    def wait_until_ready(self) -> None:
        """See `Scene`."""

    def reset(self, trial: Any) -> Asked:
        """See `Scene`. Returns when the person has pressed Enter."""
        self._count += 1
        words = self.instructions[(self._count - 1) % len(self.instructions)]
        self._say(f'episode {self._count}: "{words}". Set the scene up and keep clear; Enter: the arm moves')
        self._line(None)
        return Asked(instruction=words, episode=self._count)

    def wait_until_over(self, asked: Asked, timeout_s: float) -> Ending | None:
        """See `Scene`."""
        self._began_s = time.monotonic()
        self._say("moving. s + Enter: success, f + Enter: failure")
        verdict = self._verdict(self._began_s + timeout_s)
        return None if verdict is None else self._ended(verdict)

    def judge(self, asked: Asked, patience_s: float = 0.0) -> Ending:
        """See `Scene`. The person's word, for as long as it takes."""
        self._say("the episode is over. s + Enter: success, f + Enter: failure")
        verdict = self._verdict(None)
        assert verdict is not None
        return self._ended(verdict)

    def _ended(self, success: bool) -> Ending:
        return Ending(success=success, seconds=time.monotonic() - self._began_s)

    def _verdict(self, until_s: float | None) -> bool | None:
        while (line := self._line(until_s)) is not None:
            if line.lower() in WORDS:
                return WORDS[line.lower()]
            self._say(f"'{line}' is no answer: s for success, f for failure")
        return None

    def _line(self, until_s: float | None) -> str | None:
        """The next line; None when it is `until_s` (monotonic). Raises EmmaError when there are no more."""
        while b"\n" not in self._typed:
            left = None if until_s is None else until_s - time.monotonic()
            if left is not None and (left <= 0 or not select.select([self.keys], [], [], left)[0]):
                return None
            data = os.read(self.keys.fileno(), 1024)
            if not data:
                raise EmmaError(
                    "no person answers",
                    found="the end of standard input",
                    expected="a terminal",
                    fix="start it in a terminal window",
                )
            self._typed += data
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()

    def _say(self, text: str) -> None:
        print(text, file=self.out, flush=True)
