"""What the nodes of a simulated robot say: how its task goes, what a reset answers, how far the demonstration is."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from emma.records import Topic
from emma.sim.outcome import Outcome
from emma.sim.task import Task

ScriptedPhase = Literal["idle", "running", "done", "stopped"]


@dataclass(frozen=True, kw_only=True)
class SimState(Outcome):
    """`~/outcome` of the sim and env nodes, topic and service. episode: counts the resets; time_s: since the last."""

    VERSION: ClassVar[int] = 1
    episode: int
    task: Task
    time_s: float


@dataclass(frozen=True, kw_only=True)
class SimReset(Task):
    """The answer of `~/reset`: the task of episode number `episode`."""

    VERSION: ClassVar[int] = 1
    episode: int


@dataclass(frozen=True, kw_only=True)
class ScriptedState:
    """`~/state` of the scripted operator node. listeners: subscriptions of the command topic."""

    VERSION: ClassVar[int] = 1
    state: ScriptedPhase
    listeners: int


SIM_STATE = Topic("/sim/outcome", SimState)
SCRIPTED_STATE = Topic("/scripted_operator/state", ScriptedState)
