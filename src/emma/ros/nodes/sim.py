"""The sim node: the embedded arm as its camera and arm drivers would publish it."""

import sys
from dataclasses import dataclass

from emma.robots.spec import RobotSpec
from emma.ros.nodes.simulated import SimulatedParameters, SimulatedRobotNode
from emma.ros.parameters import parameter
from emma.ros.runner import Stop, run
from emma.sim.arm import DeskArm
from emma.sim.tasks import DEFAULT, TASKS


@dataclass(frozen=True, kw_only=True)
class SimParameters(SimulatedParameters):
    """Parameters of the sim node."""

    target: str = parameter(
        "", "target of the next reset; empty: the seed decides", choices=("", "bin", "plate"), runtime=True
    )
    task: str = parameter(DEFAULT, "task of the next reset", choices=tuple(TASKS), runtime=True)


class SimNode(SimulatedRobotNode):
    """The embedded arm."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop, SimParameters, _desk_arm)


def _desk_arm(spec: RobotSpec, values: SimParameters, cameras: tuple[str, ...]) -> DeskArm:
    return DeskArm(spec, cameras=cameras, domain=values.domain, seed=values.seed, task=values.task)


def main() -> int:
    """Run the sim node."""
    return run(SimNode)


if __name__ == "__main__":
    sys.exit(main())
