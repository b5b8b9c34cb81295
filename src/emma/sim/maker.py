"""Who makes the simulator of a robot, and what can be asked of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from emma.robots.spec import RobotSpec
from emma.sim.simulator import Simulator


class SimulatorMaker(Protocol):
    """Makes one kind of simulator, in this process or, since it can be pickled, in another.

    tasks: kinds that it knows, the default first. targets: what an instruction may name; episodes take turns.
    """

    @property
    def tasks(self) -> tuple[str, ...]: ...

    @property
    def targets(self) -> tuple[str, ...]: ...

    def check(self, task: str, domains: Iterable[str]) -> None:
        """Raises EmmaError for a task or a look that this simulator does not have."""
        ...

    def make(
        self, spec: RobotSpec, *, cameras: Iterable[str] | None = None, domain: str = "source", seed: int = 0, task: str
    ) -> Simulator:
        """A simulator. Raises EmmaError if spec and simulator do not fit."""
        ...


@dataclass(frozen=True, kw_only=True)
class DeskArmMaker:
    """The embedded arm."""

    @property
    def tasks(self) -> tuple[str, ...]:
        from emma.sim.tasks import TASKS

        return tuple(TASKS)

    @property
    def targets(self) -> tuple[str, ...]:
        from emma.sim.scene import TARGETS

        return TARGETS

    def check(self, task: str, domains: Iterable[str]) -> None:
        """Raises EmmaError for an unknown task or look."""
        from emma.sim.demonstrations import RANDOM
        from emma.sim.domains import load_domain
        from emma.sim.tasks import load_task

        load_task(task)
        for name in domains:
            if name != RANDOM:
                load_domain(name)

    def make(
        self, spec: RobotSpec, *, cameras: Iterable[str] | None = None, domain: str = "source", seed: int = 0, task: str
    ) -> Simulator:
        """A DeskArm."""
        from emma.sim.arm import DeskArm

        return DeskArm(spec, cameras=cameras, domain=domain, seed=seed, task=task)
