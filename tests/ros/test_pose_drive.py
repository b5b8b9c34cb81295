"""The arm goes to a proposed pose only when a person agrees, through the teleop node, and holds there."""

from pathlib import Path

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory

from emma.errors import EmmaError
from emma.messages import decode_command
from emma.ros import messages, qos
from emma.sessions.graph import NodeProcess
from emma.sessions.pose_drive import PoseDrive

SIM = NodeProcess(module="sim", parameters={"cameras": ["top"], "depth": False})


def test_it_asks_drives_within_limits_and_gives_the_arm_back(running_graph, listen, spec, tmp_path: Path) -> None:
    answers = iter(["s", ""])
    with running_graph(SIM, logs=tmp_path) as (_, client):
        commands = listen(client, JointTrajectory, spec.command.topic, qos.COMMAND)
        with PoseDrive("desk_arm", spec, tmp_path / "drive", ask=lambda _: next(answers)) as drive:
            start = drive.measured()
            wanted = start[:2] + np.array([0.25, -0.1])
            drive(spec.joint_names[:2], wanted)
            assert commands.messages == []
            drive(spec.joint_names[:2], wanted)
            assert drive.measured()[:2] == pytest.approx(wanted, abs=0.04)
            assert drive.measured()[2:] == pytest.approx(start[2:], abs=0.04)
            sent = len(commands.messages)
        way = np.array([decode_command(message, spec) for message in commands.messages], np.float64)[:, :2]
        far = np.abs(way[:-1] - wanted) > 0.04
        speeds = np.abs(np.diff(way, axis=0)) * spec.control_rate_hz
        assert far.any()
        assert (speeds <= [0.16 * joint.velocity for joint in spec.joints[:2]])[far].all()
        # Given back at rest: no command follows.
        assert len(commands.messages) <= sent + 1


def test_another_commander_keeps_the_arm(running_graph, spec, tmp_path: Path) -> None:
    with (
        running_graph(SIM, logs=tmp_path) as (_, client),
        PoseDrive("desk_arm", spec, tmp_path / "drive", ask=lambda _: "") as drive,
    ):
        start = drive.measured()
        publisher = client.node.create_publisher(JointTrajectory, spec.command.topic, qos.COMMAND)
        client.node.create_timer(
            0.02, lambda: publisher.publish(messages.command(spec, start, client.node.get_clock().now().nanoseconds))
        )
        with pytest.raises(EmmaError, match="cannot be driven"):
            drive(spec.joint_names[:1], start[:1] + 0.3)
        assert drive.measured() == pytest.approx(start, abs=0.02)


def test_without_a_person_it_stays(running_graph, spec, tmp_path: Path) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    with (
        running_graph(SIM, logs=tmp_path),
        PoseDrive("desk_arm", spec, tmp_path / "drive", ask=nobody) as drive,
    ):
        start = drive.measured()
        drive(spec.joint_names[:1], start[:1] + 0.3)
        assert drive.measured() == pytest.approx(start, abs=1e-3)
