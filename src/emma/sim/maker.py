"""Who makes the simulator of a robot, and what can be asked of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.sim.simulator import Simulator

# Roles of looks: what policies train on, shifts of it that may decide something, one change alone, kept for the final
# comparison, the source with cameras out of place, and a new one each episode.
ROLES: Final = ("source", "graded", "single", "unseen", "moved", "drawn")


class SimulatorMaker(Protocol):
    """Makes one kind of simulator, in this process or, since it can be pickled, in another.

    tasks: kinds that it knows, the default first. targets: what an instruction may name; episodes take turns. looks:
    name -> one of `ROLES`; `source`, which verbs show where none is named, is always among them. depth: whether its
    cameras give depth. timeout_s: of an episode, in the simulator's own time.
    """

    @property
    def tasks(self) -> tuple[str, ...]: ...

    @property
    def targets(self) -> tuple[str, ...]: ...

    @property
    def looks(self) -> Mapping[str, str]: ...

    @property
    def depth(self) -> bool: ...

    @property
    def timeout_s(self) -> float: ...

    def require_here(self) -> None:
        """Raise EmmaError where this machine lacks what it needs."""
        ...

    def make(
        self, spec: RobotSpec, *, cameras: Iterable[str] | None = None, domain: str = "source", seed: int = 0, task: str
    ) -> Simulator:
        """A simulator. cameras: those it draws, None for all. Raises EmmaError if spec and simulator do not fit."""
        ...


def require_known(maker: SimulatorMaker, task: str, looks: Iterable[str]) -> None:
    """Raise EmmaError for a task or a look that this simulator does not have."""
    for kind, wanted, known in (("task", [task], maker.tasks), ("look", looks, tuple(maker.looks))):
        if strange := [name for name in wanted if name not in known]:
            raise EmmaError(
                f"this simulator has no {kind} '{strange[0]}'",
                found=", ".join(strange),
                expected=f"one of {', '.join(known)}",
            )


@dataclass(frozen=True, kw_only=True)
class DeskArmMaker:
    """The embedded arm."""

    depth: bool = True
    timeout_s: float = 13.0

    @property
    def tasks(self) -> tuple[str, ...]:
        from emma.sim.tasks import MORE, TASKS

        return (*TASKS, *MORE)

    @property
    def targets(self) -> tuple[str, ...]:
        from emma.sim.scene import TARGETS

        return TARGETS

    @property
    def looks(self) -> Mapping[str, str]:
        from emma.sim.demonstrations import RANDOM
        from emma.sim.domains import list_domains, load_domain

        return {name: load_domain(name).role for name in list_domains()} | {RANDOM: "drawn"}

    def require_here(self) -> None:
        """It comes with emma."""

    def make(
        self, spec: RobotSpec, *, cameras: Iterable[str] | None = None, domain: str = "source", seed: int = 0, task: str
    ) -> Simulator:
        """A DeskArm."""
        from emma.sim.arm import DeskArm

        return DeskArm(spec, cameras=cameras, domain=domain, seed=seed, task=task)


DESK_ARM: Final = DeskArmMaker()
