"""The simulator that a robot has: the embedded arm's, an environment of others, or a package's own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from emma.envs.environments import ENVIRONMENTS, Environment, interpreter
from emma.errors import EmmaError
from emma.robots.simulators import load_simulator
from emma.robots.spec import RobotSpec
from emma.sim.maker import SimulatorMaker, require_known
from emma.sim.simulator import Simulator


@dataclass(frozen=True, kw_only=True)
class EnvMaker:
    """An environment of others (`SimulatorMaker`). python: its interpreter; "" for the one that was installed."""

    environment: Environment
    python: str = ""
    depth: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        return (self.environment.task,)

    @property
    def targets(self) -> tuple[str, ...]:
        from emma.envs.robot import TARGET

        return (TARGET,)

    @property
    def looks(self) -> Mapping[str, str]:
        from emma.envs.robot import LOOK

        return {LOOK: "source"}

    @property
    def timeout_s(self) -> float:
        return self.environment.timeout_s

    def require_here(self) -> None:
        """Raise EmmaError if the package's interpreter is missing."""
        interpreter(self.environment, self.python)

    def make(
        self, spec: RobotSpec, *, cameras: Iterable[str] | None = None, domain: str = "source", seed: int = 0, task: str
    ) -> Simulator:
        """An EnvRobot."""
        from emma.envs.robot import EnvRobot

        require_known(self, task, [domain])
        return EnvRobot(spec, self.environment, cameras=cameras, seed=seed, python=self.python)


SO101: Final = EnvMaker(environment=ENVIRONMENTS["so101"])
ALOHA: Final = EnvMaker(environment=ENVIRONMENTS["aloha"])


def maker_of(spec: RobotSpec, python: str = "") -> SimulatorMaker:
    """What simulates the robot, as its robot.yaml says. Raises EmmaError if nothing does.

    python: an interpreter with the environment's package, "" for the one that `emma envs install` made.
    """
    if not spec.simulator:
        raise EmmaError(
            f"the robot {spec.name} has no simulator",
            found=f"no `simulator` in {spec.folder / 'robot.yaml'}",
            expected="a simulated robot (`emma robots`)",
            fix="start the robot's drivers and use the launch files: docs/how-to/deploying.md",
        )
    maker: SimulatorMaker = load_simulator(spec.simulator)
    if not python:
        return maker
    if not isinstance(maker, EnvMaker):
        raise EmmaError(
            f"the simulator {spec.simulator} runs in this interpreter", found=f"--python {python}", fix="leave it out"
        )
    return replace(maker, python=python)
