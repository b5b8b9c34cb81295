"""The simulator that a robot has: the embedded arm's own, or an environment of others."""

from collections.abc import Iterable
from dataclasses import dataclass

from emma.envs.environments import Environment, environment_of
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.sim.maker import DeskArmMaker, SimulatorMaker
from emma.sim.simulator import Simulator

EMBEDDED = "desk_arm"


@dataclass(frozen=True, kw_only=True)
class EnvMaker:
    """An environment of others (`SimulatorMaker`). python: its interpreter; "" for the one that was installed."""

    environment: Environment
    python: str = ""

    @property
    def tasks(self) -> tuple[str, ...]:
        return (self.environment.task,)

    @property
    def targets(self) -> tuple[str, ...]:
        from emma.envs.robot import TARGET

        return (TARGET,)

    def check(self, task: str, domains: Iterable[str]) -> None:
        """Raises EmmaError for a task or look that the package does not have."""
        from emma.envs.robot import LOOK

        for kind, found, known in (("task", [task], self.environment.task), ("look", list(domains), LOOK)):
            if strange := [name for name in found if name != known]:
                raise EmmaError(
                    f"{self.environment.package} has no {kind} {', '.join(strange)}",
                    found=", ".join(strange),
                    expected=known,
                )

    def make(
        self, spec: RobotSpec, *, cameras: Iterable[str] | None = None, domain: str = "source", seed: int = 0, task: str
    ) -> Simulator:
        """An EnvRobot."""
        from emma.envs.robot import EnvRobot

        self.check(task, [domain])
        return EnvRobot(spec, cameras=cameras, seed=seed, task=task, python=self.python)


def maker_of(robot: str, python: str = "") -> SimulatorMaker:
    """What simulates the robot of this name. Raises EmmaError if nothing does.

    python: an interpreter with the environment's package, "" for the one that `emma envs install` made.
    """
    if robot != EMBEDDED:
        return EnvMaker(environment=environment_of(robot), python=python)
    if python:
        raise EmmaError("the embedded arm runs in this interpreter", found=f"--python {python}", fix="leave it out")
    return DeskArmMaker()


def timeout_of(robot: str) -> float:
    """Seconds of the simulator's own time after which an episode has failed."""
    from emma.sim.evaluate import EvalConfig

    return EvalConfig().timeout_s if robot == EMBEDDED else environment_of(robot).timeout_s
