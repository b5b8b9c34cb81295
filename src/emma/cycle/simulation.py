"""The simulator that a cycle measures in, and what is asked of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from emma.cycle.config import ImproveConfig
from emma.envs.maker import maker_of
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.sim.maker import SimulatorMaker, require_known

# Looks that are shown where none is named, by role; and roles whose results may decide nothing.
USUAL, UNFIT = ("source", "graded"), {"unseen": "is kept for the final comparison", "drawn": "is another one each time"}


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """looks: the appearances in turn; timeout_s: of an episode, in the simulator's own time."""

    spec: RobotSpec
    maker: SimulatorMaker
    looks: tuple[str, ...]
    task: str
    timeout_s: float


def simulation_of(config: ImproveConfig) -> Simulation:
    """Raises EmmaError where the robot has no simulator, or it lacks what `evaluate` and `gate` name."""
    settings, spec = config.evaluate, config.spec
    maker = maker_of(spec)
    roles = maker.looks
    looks = settings.appearances or tuple(name for name, role in roles.items() if role in USUAL)
    task = settings.task or maker.tasks[0]
    require_known(maker, task, looks)
    for name in looks:
        if (why := UNFIT.get(roles[name])) is not None:
            raise EmmaError(
                f"{name} {why}",
                found=name,
                expected="an appearance whose results may decide something",
                fix="choose others in evaluate.appearances",
            )
    _require_guard(config.gate.guard, looks)
    maker.require_here()
    timeout_s = maker.timeout_s if settings.timeout_s is None else settings.timeout_s
    return Simulation(spec=spec, maker=maker, looks=looks, task=task, timeout_s=timeout_s)


def _require_guard(guard: Iterable[str], looks: tuple[str, ...]) -> None:
    if strange := [name for name in guard if name not in looks]:
        raise EmmaError(
            "the gate guards an appearance that is not measured",
            found=", ".join(strange),
            expected=f"some of {', '.join(looks)}",
            fix="correct gate.guard or evaluate.appearances",
        )
