"""Engines that become ready while another runtime drives: taken into use once, and never in the way."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emma.errors import EmmaError
from emma.policy.engine_build import Phase
from emma.ros.nodes.policy_engines import PolicyEngines
from emma.ros.nodes.policy_parameters import PolicyParameters

BUNDLE = Path("bundle")


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, **_: object) -> None:
        self.lines.append(text)

    warning = info


@dataclass
class Build:
    """Stands where the process stands: its phases are played one after the other."""

    bundle: Path
    phases: list[Phase] = field(default_factory=lambda: [Phase.BUILDING, Phase.READY])
    closed: bool = False

    def poll(self) -> Phase:
        return self.phases.pop(0) if len(self.phases) > 1 else self.phases[0]

    def last_line(self) -> str:
        return "step 1 of 2"

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def builds() -> list[Build]:
    return []


def engines(builds: list[Build], swap, *, helps: bool = True, **values) -> tuple[PolicyEngines, Log]:
    def build(bundle: Path) -> Build:
        builds.append(Build(bundle))
        return builds[-1]

    log = Log()
    made = PolicyEngines(PolicyParameters(**values), log, swap, build, lambda *_, **__: helps)  # type: ignore[arg-type]
    return made, log


def test_engines_are_taken_into_use_when_they_are_ready(builds: list[Build]) -> None:
    swapped: list[Path] = []
    node, log = engines(builds, swapped.append)
    node.begin(BUNDLE, "onnxruntime (cuda)")
    node.poll()
    assert swapped == []
    node.poll()
    node.poll()
    assert swapped == [BUNDLE]
    assert builds[0].closed
    assert "engines: step 1 of 2" in log.lines
    # The changed-over policy begins anew, and is not built again.
    node.begin(BUNDLE, "onnxruntime (cuda)")
    assert len(builds) == 1


def test_another_policy_on_its_way_comes_first(builds: list[Build]) -> None:
    busy = [True, True, False]

    def swap(bundle: Path) -> None:
        if busy.pop(0):
            raise EmmaError("another policy is on its way")

    node, _ = engines(builds, swap)
    node.begin(BUNDLE, "torch")
    for _ in range(4):
        node.poll()
    assert busy == []
    assert builds[0].closed


def test_a_build_that_fails_leaves_the_policy_as_it_is(builds: list[Build]) -> None:
    node, log = engines(builds, pytest.fail)
    node.begin(BUNDLE, "torch")
    builds[0].phases = [Phase.FAILED]
    node.poll()
    assert "step 1 of 2" in log.lines[-1]
    node.begin(BUNDLE, "torch")
    assert len(builds) == 1


@pytest.mark.parametrize("values", [{"compile": False}, {"lockstep": True}])
def test_not_where_it_is_not_wanted(builds: list[Build], values: dict) -> None:
    node, _ = engines(builds, pytest.fail, **values)
    node.begin(BUNDLE, "torch")
    node.poll()
    assert builds == []


def test_a_node_that_ends_ends_the_build(builds: list[Build]) -> None:
    node, _ = engines(builds, pytest.fail)
    node.begin(BUNDLE, "torch")
    node.close()
    assert builds[0].closed
    node.poll()
