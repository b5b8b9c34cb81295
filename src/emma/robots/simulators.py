"""The simulators that robots name in `robot.yaml`: those that ship, and those of installed packages.

A package adds one as an entry point of the group `emma.simulators` that names an object with the interface of
`emma.sim.maker.SimulatorMaker`.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from emma.errors import EmmaError

GROUP: Final = "emma.simulators"
# As entry points, too: named, not imported, because they stand in layers above the robot's description.
SHIPPED: Final[Mapping[str, EntryPoint]] = {
    name: EntryPoint(name, value, GROUP)
    for name, value in (
        ("desk_arm", "emma.sim.maker:DESK_ARM"),
        ("so101", "emma.envs.maker:SO101"),
        ("aloha", "emma.envs.maker:ALOHA"),
    )
}


def simulators() -> dict[str, EntryPoint]:
    """All by name. A package cannot take the place of one that ships."""
    return {**SHIPPED, **{e.name: e for e in entry_points(group=GROUP) if e.name not in SHIPPED}}


def is_simulator(name: str) -> bool:
    """Whether there is a simulator of this name. Installed packages are looked through for strange names alone."""
    return name in SHIPPED or name in simulators()


def load_simulator(name: str) -> Any:
    """The object that an entry point names. Raises EmmaError if there is none, or if it cannot be imported."""
    known = simulators()
    if name not in known:
        raise EmmaError(
            f"no simulator '{name}'",
            found=name,
            expected=f"one of {', '.join(known)}",
            fix="correct `simulator` in robot.yaml, or install the package that has it",
        )
    try:
        return known[name].load()
    except (ImportError, AttributeError) as error:
        raise EmmaError(
            f"the simulator '{name}' cannot be loaded",
            found=f"{type(error).__name__}: {error}",
            expected=f"{known[name].value} in an installed package",
            fix="install the package that has it again",
        ) from error
