"""Live calibration: views by themselves, several cameras, and an arm that drives to what is proposed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import yaml
from console_browser import free_port
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from emma.bench.calibrate_rig import (
    BOARD,
    BoardCamera,
    Faults,
    Rig,
    SimArm,
    camera_poses,
    candidates,
    lens_of,
    make_rig,
    waypoints,
)
from emma.calibrate.closed_form import apart
from emma.calibrate.files import camera_text
from emma.calibrate.job import Job
from emma.cli import main
from emma.console.calibration_page import calibration_page
from emma.robots.spec import RobotSpec, load_robot, robots_dir
from emma.ros import messages, qos
from emma.ros.client import RosClient
from emma.ros.domain import own_domain
from emma.sessions.calibrate import Live, collect
from emma.sessions.graph import NodeProcess

WIDTH, HEIGHT = 480, 360
NAMES = ("j1", "j2", "j3", "j4", "j5", "j6")
PERIOD_S = 0.2


def robot_with(folder: Path, names: tuple[str, ...]) -> RobotSpec:
    """The desk arm with other cameras, its hand's frame as the tool."""
    folder.mkdir()
    content = yaml.safe_load((robots_dir() / "desk_arm" / "robot.yaml").read_text())
    content["kinematics"]["tools"][0]["frame"] = "hand"
    content["cameras"] = [
        {"name": name, "image_topic": f"/{name}/image", "width": WIDTH, "height": HEIGHT, "rate_hz": 5}
        for name in names
    ]
    (folder / "robot.yaml").write_text(yaml.safe_dump(content))
    return load_robot(folder)


@contextmanager
def showing(spec: RobotSpec, pictures: dict[str, list[np.ndarray]], hold: int) -> Iterator[None]:
    """A driver whose cameras see each picture `hold` times, then begin again."""
    with RosClient("driver") as driver:
        publishers = {
            name: driver.node.create_publisher(Image, spec.camera(name).image_topic, qos.SENSOR_OFFER)
            for name in pictures
        }
        shown = [0]

        def send() -> None:
            now = driver.node.get_clock().now().nanoseconds
            for name, stack in pictures.items():
                rgb = cv2.cvtColor(stack[shown[0] // hold % len(stack)], cv2.COLOR_GRAY2RGB)
                publishers[name].publish(messages.color_image(rgb, now, name))
            shown[0] += 1

        driver.node.create_timer(PERIOD_S, send)
        yield


def test_two_cameras_are_covered_in_one_run_with_a_page(tmp_path: Path) -> None:
    spec = robot_with(tmp_path / "robot", ("left", "right"))
    lens = lens_of(width=WIDTH, height=HEIGHT)
    rig = Rig(arm=SimArm(), mount="hand", lens=lens, x=np.eye(4), y=np.eye(4))
    camera, rng = BoardCamera(lens, BOARD), np.random.default_rng(1)
    stacks = {
        name: [camera.picture(pose[None], Faults(), rng) for pose in camera_poses(rig, 3, rng)]
        for name in spec.camera_names
    }
    jobs = [Job(spec=spec, camera=name, board=BOARD, out=tmp_path) for name in spec.camera_names]
    said: list[str] = []
    with own_domain(), showing(spec, stacks, hold=5), calibration_page(free_port()) as (page, address):
        live = Live(keep=tmp_path / "views", say=said.append, most=3, page=page)
        found = collect(jobs, [None, None], live)
        state = {each["camera"]: each for each in httpx.get(f"{address}state").json()}
    assert [len(each.views) for each in found] == [3, 3]
    assert {name: each["views"] for name, each in state.items()} == {"left": 3, "right": 3}
    for name in spec.camera_names:
        assert len(list((tmp_path / "views" / name).glob("*.png"))) == 3
        assert any(line.splitlines()[-1].startswith(f"{name}: taken: 3") for line in said)


@pytest.mark.slow
def test_hand_eye_while_the_arm_drives_to_what_is_proposed(
    running_graph, eventually, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four poses of a person, then sixteen that are proposed and driven to; the result is the rig's truth."""
    spec = robot_with(tmp_path / "robot", ("side",))
    arm, rng = SimArm(), np.random.default_rng(4)
    rig = make_rig(arm, "base", rng)
    rig = Rig(arm=arm, mount="base", lens=lens_of(width=WIDTH, height=HEIGHT), x=rig.x, y=rig.y)
    (tmp_path / "robot" / "side.yaml").write_text(camera_text(rig.lens, "side"))
    BOARD.write(tmp_path / "board")
    camera = BoardCamera(rig.lens, rig.board)
    # The sim node is the arm; its cameras are those of the robot that ships, which nothing here listens to.
    sim = NodeProcess(module="sim", parameters={"cameras": ["top"], "depth": False})
    with running_graph(sim, logs=tmp_path / "logs") as (_, client):
        joints: dict[str, float] = {}
        client.node.create_subscription(
            JointState, spec.state_topic, lambda m: joints.update(zip(m.name, m.position, strict=True)), qos.SENSOR_WANT
        )
        publisher = client.node.create_publisher(Image, "/side/image", qos.SENSOR_OFFER)

        def see() -> None:
            """The board in the hand, as the camera beside the robot sees it now."""
            if not joints:
                return
            now = client.node.get_clock().now().nanoseconds
            pose = rig.boards(np.array([[joints[name] for name in NAMES]]))[0]
            picture = camera.picture(pose[None], Faults(), rng)
            publisher.publish(messages.color_image(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), now, "side"))

        client.node.create_timer(PERIOD_S, see)
        agreed = threading.Event()

        def agree(_: str = "") -> str:
            agreed.set()
            return ""

        def person() -> None:
            """Brings the arm to other poses and lets go, until it is offered to drive there."""
            commands = client.node.create_publisher(JointTrajectory, spec.command.topic, qos.COMMAND)
            for pose in waypoints(rig, 9, np.random.default_rng(8), candidates(arm, number=12000)):
                begin = np.array([joints[name] for name in spec.joint_names])
                for share in np.linspace(0.0, 1.0, 200):
                    if agreed.is_set():
                        return
                    target = begin + share * (np.append(pose, begin[-1]) - begin)
                    commands.publish(messages.command(spec, target, client.node.get_clock().now().nanoseconds))
                    agreed.wait(0.02)
                agreed.wait(3.0)

        monkeypatch.setattr("builtins.input", agree)
        eventually(lambda: joints, "joint states")
        hand = threading.Thread(target=person)
        hand.start()
        common = ["--robot", str(tmp_path / "robot"), "--board", str(tmp_path / "board"), "--mount", "base"]
        keep = ["--keep", str(tmp_path / "views")]
        assert main(["calibrate", "hand-eye", "side", *common, "--drive", *keep]) == 0
        hand.join()
    told = capsys.readouterr().out
    assert agreed.is_set()
    assert told.count("taken: ") == 20
    entry = yaml.safe_load((tmp_path / "robot" / "extrinsics.yaml").read_text())["side"]
    mm, deg = apart(np.array(entry["transform"]), rig.x)
    assert mm < 3.0
    assert deg < 0.5
