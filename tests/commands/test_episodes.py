"""`emma episodes` from the command line: what it prints and what it exits with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from emma.bags.episode import EpisodeMeta, Mark
from emma.bags.info import bag_info
from emma.commands import episodes
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec, load_robot

Make = Callable


def emma(*words: object) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    episodes.configure(parser)
    return episodes.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def robot(tmp_path: Path, spec: RobotSpec) -> Path:
    """The test robot as a robot.yaml."""
    cameras: Sequence[dict] = [
        {
            "name": c.name,
            "image_topic": c.image_topic,
            "info_topic": c.info_topic,
            "depth_topic": c.depth_topic,
            "width": c.width,
            "height": c.height,
            "rate_hz": c.rate_hz,
        }
        for c in spec.cameras
    ]
    joints = [
        {"name": j.name, "unit": "rad", "lower": -2.0, "upper": 2.0, "velocity": 2.0, "acceleration": 9.0}
        for j in spec.joints
    ]
    path = tmp_path / "robot.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": spec.name,
                "joints": joints,
                "cameras": cameras,
                "state_topic": "/joint_states",
                "command": {"topic": "/command", "kind": "joint_trajectory"},
                "control_rate_hz": 50,
                "fps": 10,
            }
        )
    )
    assert load_robot(path).topics() == spec.topics()
    return path


def test_from_bags_to_a_checked_dataset(
    tmp_path: Path, spec: RobotSpec, robot: Path, make_scene: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    bags = tmp_path / "bags"
    folder = make_scene(spec, seconds=1.0).record(bags, id="good", success=True)
    meta = EpisodeMeta.load(folder)
    meta.with_(marks=(Mark(time_ns=bag_info(folder).start_ns + 250_000_000, label="look here"),)).save(folder)
    make_scene(spec, seconds=1.0).record(bags, id="bad", state="discarded")
    assert emma("list", bags) == 0
    text = capsys.readouterr().out
    assert "2 bags, 1 saved" in text
    assert [line.split()[:4] for line in text.splitlines()[1:3]] == [
        ["bad", "discarded", "teleop", text.splitlines()[1].split()[3]],
        ["good", "saved", "teleop", "yes"],
    ]
    assert emma("info", bags / "good", "--robot", robot) == 0
    text = capsys.readouterr().out
    assert "good: saved, teleop, robot tiny_arm, success True" in text
    assert "  at 0.25 s: look here" in text
    assert "50.0 (robot.yaml: 50)" in text
    assert "not in the bag: /top/info, /wrist/info" in text
    assert emma("convert", bags, "--out", tmp_path / "data", "--robot", robot, "--workers", 1) == 0
    text = capsys.readouterr().out
    assert "skipped bad: discarded" in text
    assert "1 episodes, 10 frames" in text
    assert "s per GB of bag" in text
    assert emma("validate", tmp_path / "data") == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out
    (tmp_path / "data/meta/stats.json").unlink()
    assert emma("validate", tmp_path / "data") == 1


def test_refused_bags_end_with_1(
    tmp_path: Path, spec: RobotSpec, robot: Path, make_scene: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make_scene(spec, seconds=1.0).without(lambda topic, _: topic == "/command").record(tmp_path / "bags")
    assert emma("convert", tmp_path / "bags", "--out", tmp_path / "data", "--robot", robot) == 1
    assert "no message of command" in capsys.readouterr().out


def test_plot_writes_two_pictures(
    tmp_path: Path, spec: RobotSpec, make_scene: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make_scene(spec, seconds=0.5).record(tmp_path / "bags", id="e")
    assert emma("plot", tmp_path / "bags/e", "--out", tmp_path / "pictures", "--columns", 3) == 0
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == ["e_cameras.png", "e_joints.png"]
    assert "e_joints.png" in capsys.readouterr().out


def test_repair_finishes_what_was_left(
    tmp_path: Path, spec: RobotSpec, make_scene: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = make_scene(spec, seconds=0.5).record(tmp_path / "bags", id="e")
    file = bag / "e_0.mcap"
    file.write_bytes(file.read_bytes()[:-5000])
    EpisodeMeta.load(bag).with_(state="recording").save(bag)
    assert emma("repair", tmp_path / "bags") == 0
    assert "e: recovered" in capsys.readouterr().out
    assert emma("repair", tmp_path / "bags/e") == 0
    assert "1 bags, 1 whole" in capsys.readouterr().out
    file.write_text("this was a bag")
    (bag / "metadata.yaml").unlink()
    assert emma("repair", tmp_path / "bags") == 1


def test_a_broken_episode_yaml_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e/episode.yaml").write_text("id: [")
    assert emma("list", tmp_path) == 0
    text = capsys.readouterr().out
    assert "broken" in text
    assert "not valid YAML" in text
    with pytest.raises(EmmaError, match="no folder"):
        emma("list", tmp_path / "nowhere")


def test_convert_takes_the_robot_that_the_episodes_name(tmp_path: Path) -> None:
    for name, robot in (("one", "so101"), ("two", "so101")):
        (tmp_path / "bags" / name).mkdir(parents=True)
        EpisodeMeta(id=name, robot=robot, instruction="x").save(tmp_path / "bags" / name)
    assert episodes._robot_of_all(tmp_path / "bags") == "so101"
    EpisodeMeta(id="two", robot="another", instruction="x").save(tmp_path / "bags" / "two")
    with pytest.raises(EmmaError, match="several robots"):
        emma("convert", tmp_path / "bags", "--out", tmp_path / "out")
