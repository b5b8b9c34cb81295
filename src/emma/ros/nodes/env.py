"""The env node: a robot in an environment of others, as its camera and arm drivers would publish it."""

import sys
from dataclasses import dataclass

from emma.envs.robot import EnvRobot
from emma.robots.spec import RobotSpec
from emma.ros.nodes.simulated import SimulatedParameters, SimulatedRobotNode
from emma.ros.parameters import parameter
from emma.ros.runner import Stop, run


@dataclass(frozen=True, kw_only=True)
class EnvParameters(SimulatedParameters):
    """Parameters of the env node."""

    robot: str = parameter("so101", "robot: so101, aloha, or a path to a robot.yaml of one of these names")
    python: str = parameter("", "a Python that has the environment's package; empty: what `emma envs install` made")


class EnvNode(SimulatedRobotNode):
    """An environment of others, behind the topics and services of the sim node."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop, EnvParameters, _environment)


def _environment(spec: RobotSpec, values: EnvParameters, cameras: tuple[str, ...]) -> EnvRobot:
    return EnvRobot(spec, cameras=cameras, seed=values.seed, task=values.task, python=values.python)


def main() -> int:
    """Run the env node."""
    return run(EnvNode)


if __name__ == "__main__":
    sys.exit(main())
