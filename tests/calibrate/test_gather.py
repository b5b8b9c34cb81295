"""Views from folders and bags, and whole calibrations by the command line."""

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from bag_fixtures import START_NS, image_message, state_message

from emma.bags.writer import BagWriter
from emma.bench.calibrate_rig import BOARD, BoardCamera, Faults, Rig, SimArm, camera_poses, lens_of, make_rig, waypoints
from emma.calibrate.closed_form import apart
from emma.calibrate.files import camera_text
from emma.calibrate.gather import from_bag, from_pictures
from emma.cli import main
from emma.errors import EmmaError
from emma.robots.spec import MessageForm, RobotSpec, load_robot, robots_dir

WIDTH, HEIGHT, POSES = 480, 360, 12
NAMES = ("j1", "j2", "j3", "j4", "j5", "j6")


@pytest.fixture(scope="module")
def rig(arm: SimArm) -> Rig:
    return replace(make_rig(arm, "base", np.random.default_rng(4)), lens=lens_of(width=WIDTH, height=HEIGHT))


@pytest.fixture(scope="module")
def way(rig: Rig, reach: np.ndarray) -> np.ndarray:
    return waypoints(rig, POSES - 1, np.random.default_rng(8), reach)


@pytest.fixture(scope="module")
def pictures(rig: Rig, way: np.ndarray) -> list[np.ndarray]:
    camera, rng = BoardCamera(rig.lens, rig.board), np.random.default_rng(9)
    return [camera.picture(pose[None], Faults(), rng) for pose in rig.boards(way)]


@pytest.fixture
def robot(tmp_path: Path, rig: Rig) -> Path:
    """The desk arm with one camera of the rig's lens, its hand's frame as the tool."""
    folder = tmp_path / "robot"
    folder.mkdir()
    content = yaml.safe_load((robots_dir() / "desk_arm" / "robot.yaml").read_text())
    content["kinematics"]["tools"][0]["frame"] = "hand"
    content["cameras"] = [
        {"name": "side", "image_topic": "/side/image", "info_topic": "/side/info"}
        | {"width": WIDTH, "height": HEIGHT, "rate_hz": 25}
    ]
    (folder / "robot.yaml").write_text(yaml.safe_dump(content))
    (folder / "side.yaml").write_text(camera_text(rig.lens, "side"))
    BOARD.write(tmp_path / "board")
    return folder


def write_pictures(folder: Path, pictures: list[np.ndarray], way: np.ndarray) -> Path:
    folder.mkdir()
    with (folder / "joints.csv").open("w", newline="") as text:
        table = csv.writer(text)
        table.writerow(["image", *NAMES])
        for number, (picture, joints) in enumerate(zip(pictures, way, strict=True)):
            cv2.imwrite(str(folder / f"{number:02d}.png"), picture)
            table.writerow([f"{number:02d}.png", *joints])
    return folder


def write_bag(folder: Path, spec: RobotSpec, pictures: list[np.ndarray], way: np.ndarray, gap: int = -1) -> Path:
    """A second at every pose, two pictures and joint states at 50 Hz; without joint states at pose `gap`."""
    with BagWriter(folder) as bag:
        for topic, kind in ((spec.state_topic, "JointState"), ("/side/image", "Image")):
            bag.add_topic(topic, f"sensor_msgs/msg/{kind}")
        for number, (picture, joints) in enumerate(zip(pictures, way, strict=True)):
            begin = START_NS + number * 10**9
            for k in range(50):
                stamp = begin + k * 20_000_000
                data = state_message(stamp, [*NAMES, "gripper"], np.append(joints, 0.0))
                if number != gap:
                    bag.write(spec.state_topic, stamp + 1000, stamp, data)
                if k in (20, 35):
                    rgb = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
                    bag.write("/side/image", stamp + 2000, stamp, image_message(stamp, rgb))
    return folder


def test_hand_eye_by_the_command_line_then_a_check(
    tmp_path: Path,
    robot: Path,
    rig: Rig,
    way: np.ndarray,
    pictures: list[np.ndarray],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write_pictures(tmp_path / "pictures", pictures, way)
    common = ["side", "--robot", str(robot), "--board", str(tmp_path / "board"), "--from", str(source)]
    assert main(["calibrate", "hand-eye", *common, "--mount", "base"]) == 0
    entry = yaml.safe_load((robot / "extrinsics.yaml").read_text())["side"]
    assert entry["parent"] == "base"
    mm, deg = apart(np.array(entry["transform"]), rig.x)
    assert mm < 1.0
    assert deg < 0.2
    assert main(["calibrate", "check", *common]) == 0
    assert "the calibration holds" in capsys.readouterr().out
    entry["transform"][0][3] += 0.02
    entry["transform"][1][3] -= 0.02
    (robot / "extrinsics.yaml").write_text(yaml.safe_dump({"side": entry}))
    assert main(["calibrate", "check", *common]) == 1
    told = capsys.readouterr().out
    assert "the camera moved" in told
    assert f"picture: {robot / 'checks' / 'side.png'}" in told
    drawn = cv2.imread(str(robot / "checks" / "side.png")).astype(int)
    assert ((drawn[..., 2] - drawn[..., 1]) > 60).any()
    assert ((drawn[..., 1] - drawn[..., 2]) > 60).any()


@pytest.mark.parametrize(("shift", "code"), [(0, 0), (9, 1)])
def test_depth_is_checked_from_a_folder_and_from_a_bag(
    tmp_path: Path, robot: Path, rig: Rig, shift: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    poses = camera_poses(rig, 16, np.random.default_rng(3))
    camera, rng = BoardCamera(rig.lens, rig.board), np.random.default_rng(9)
    shown = [camera.picture(pose[None], Faults(), rng) for pose in poses]
    rays = rig.lens.distortion.rays(np.argwhere(np.ones((HEIGHT, WIDTH)))[:, ::-1] - [shift, 0.0], rig.lens.matrix)
    planes = [(pose[:3, 2] @ pose[:3, 3]) / (rays @ pose[:3, 2]) for pose in poses]
    depths = [np.clip(np.rint(plane * 1000), 0, 60_000).astype(np.uint16).reshape(HEIGHT, WIDTH) for plane in planes]
    folder = write_pictures(tmp_path / "pictures", shown, np.zeros((len(shown), 6)))
    (folder / "depth").mkdir()
    for number, depth in enumerate(depths):
        cv2.imwrite(str(folder / "depth" / f"{number:02d}.png"), depth)
    common = ["calibrate", "check", "side", "--robot", str(robot), "--board", str(tmp_path / "board"), "--depth"]
    assert main([*common, "--from", str(folder)]) == code
    by_folder = capsys.readouterr().out
    content = yaml.safe_load((robot / "robot.yaml").read_text())
    content["cameras"][0]["depth_topic"] = "/side/depth"
    (robot / "robot.yaml").write_text(yaml.safe_dump(content))
    with BagWriter(tmp_path / "bag") as bag:
        for topic in ("/side/image", "/side/depth"):
            bag.add_topic(topic, "sensor_msgs/msg/Image")
        for number, (picture, depth) in enumerate(zip(shown, depths, strict=True)):
            stamp = START_NS + number * 10**9
            rgb = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
            bag.write("/side/image", stamp, stamp, image_message(stamp, rgb))
            bag.write("/side/depth", stamp, stamp + 10**6, image_message(stamp + 10**6, depth))
    assert main([*common, "--from", str(tmp_path / "bag")]) == code
    by_bag = capsys.readouterr().out
    for told in (by_folder, by_bag):
        assert ("does not lie on colour" in told) is bool(code)
    lines = [next(line for line in told.splitlines() if "px from colour" in line) for told in (by_folder, by_bag)]
    assert lines[0] == lines[1]


def test_several_cameras_in_one_run_do_not_cost_each_other(
    tmp_path: Path,
    robot: Path,
    rig: Rig,
    way: np.ndarray,
    pictures: list[np.ndarray],
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = yaml.safe_load((robot / "robot.yaml").read_text())
    content["cameras"].append(
        content["cameras"][0] | {"name": "other", "image_topic": "/other/image", "info_topic": "/other/info"}
    )
    (robot / "robot.yaml").write_text(yaml.safe_dump(content))
    bag = write_bag(tmp_path / "bag", load_robot(robot), pictures, way)
    common = ["--robot", str(robot), "--board", str(tmp_path / "board"), "--mount", "base"]
    assert main(["calibrate", "hand-eye", "other", "side", *common, "--from", str(bag)]) == 2
    told = capsys.readouterr()
    assert "lacks /other/image" in told.err
    assert "not done: other" in told.err
    assert list(yaml.safe_load((robot / "extrinsics.yaml").read_text())) == ["side"]
    folder = write_pictures(tmp_path / "pictures", pictures, way)
    assert main(["calibrate", "hand-eye", "other", "side", *common, "--from", str(folder)]) == 2
    assert "of one camera" in capsys.readouterr().err


def test_a_bag_gives_the_same_views(
    tmp_path: Path, robot: Path, rig: Rig, way: np.ndarray, pictures: list[np.ndarray]
) -> None:
    spec = load_robot(robot)
    bag = write_bag(tmp_path / "bag", spec, pictures, way, gap=3)
    found = from_bag(bag, spec, spec.camera("side"), BOARD, NAMES)
    assert found.looked == 2 * POSES
    assert found.dropped == 2
    assert len(found.views) >= POSES
    for view in found.views:
        assert np.abs(view.joints - way[int(view.time_s)]).max() < 1e-5
    renamed = replace(spec, joints=(replace(spec.joints[0], message=MessageForm(name="elbow")), *spec.joints[1:]))
    with pytest.raises(EmmaError, match="lacks joints") as error:
        from_bag(bag, renamed, renamed.camera("side"), BOARD, NAMES)
    assert "elbow" in str(error.value)


def test_pictures_that_do_not_fit_are_named(tmp_path: Path, way: np.ndarray, pictures: list[np.ndarray]) -> None:
    source = write_pictures(tmp_path / "pictures", pictures[:3], way[:3])
    assert len(from_pictures(source, BOARD, NAMES).views) == 3
    with pytest.raises(EmmaError, match="lacks columns"):
        from_pictures(source, BOARD, ("elbow",))
    cv2.imwrite(str(source / "zz.png"), pictures[0][:100])
    with pytest.raises(EmmaError, match="lacks pictures"):
        from_pictures(source, BOARD, NAMES)
    with pytest.raises(EmmaError, match="another size"):
        from_pictures(source, BOARD)
    with pytest.raises(EmmaError, match="no pictures"):
        from_pictures(tmp_path / "nothing", BOARD)
    (source / "00.png").write_bytes(b"no picture")
    with pytest.raises(EmmaError, match="can be read"):
        from_pictures(source, BOARD)
