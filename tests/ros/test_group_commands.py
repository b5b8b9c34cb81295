"""Command groups on a real graph: each at its rate, all of them when the robot stops, none beside another commander."""

import numpy as np
import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory
from two_arms import LEFT, RIGHT, two_arms

from emma.errors import EmmaError
from emma.robots.command_groups import CommandGroup
from emma.ros import messages, qos
from emma.ros.commanders import SEVERAL, Commanders
from emma.ros.gripper_action import GripperAction
from emma.ros.group_commands import GroupCommands

POSITION = np.array([0.5, 1.0, np.pi / 6, 0.02])


@pytest.fixture
def graph(context):
    """A commander of two arms, and who listens: (commands, commanders, left messages, right messages, spin)."""
    node, other = Node("commander", context=context), Node("driver", context=context)
    spec, left, right = two_arms(), [], []
    commanders = Commanders(node, spec.command_topics)
    commands = GroupCommands(node, spec, commanders=commanders)
    other.create_subscription(JointTrajectory, LEFT.topic, left.append, qos.COMMAND)
    other.create_subscription(Float64MultiArray, RIGHT.topic, right.append, qos.COMMAND)
    for group in spec.command_groups:
        kind = messages.COMMAND_TYPES[group.kind]
        topic = group.topic
        node.create_subscription(kind, topic, lambda d, t=topic: commanders.heard(t, d), qos.COMMAND, raw=True)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    executor.add_node(other)

    def spin(until) -> None:
        for _ in range(2000):
            if until():
                return
            executor.spin_once(timeout_sec=0.05)
        raise AssertionError("never")

    spin(lambda: commands.listeners > 0)
    yield commands, commanders, left, right, spin, other
    commands.close()
    executor.shutdown()
    node.destroy_node()
    other.destroy_node()


def test_a_slow_group_skips_ticks_and_is_sent_the_last_one_when_the_robot_stops(graph) -> None:
    commands, commanders, left, right, spin, _ = graph
    for tick in range(4):
        commands.publish(POSITION + tick / 100, 1_000)
    spin(lambda: len(right) == 4)
    # 10 Hz of 50.
    assert len(left) == 1
    np.testing.assert_allclose(right[0].data, [40.0, -0.01, 30.0])
    assert left[0].joint_names == ["swing", "turn"]
    assert left[0].points[0].time_from_start.nanosec == 100_000_000
    commands.flush()
    spin(lambda: len(left) == 2)
    np.testing.assert_allclose(left[1].points[0].positions, [0.53, 1.03])
    commands.flush()
    assert commanders.conflict == ""


def test_commands_of_others_to_one_arm_are_a_conflict_of_the_robot(graph) -> None:
    commands, commanders, _, _, spin, other = graph
    publisher = other.create_publisher(Float64MultiArray, RIGHT.topic, qos.COMMAND)
    commands.publish(POSITION, 1_000)
    spin(lambda: publisher.get_subscription_count() >= 2)
    for _ in range(SEVERAL):
        publisher.publish(Float64MultiArray(data=[1.0, 2.0, 3.0]))
    spin(lambda: commanders.conflict)
    assert RIGHT.topic in commanders.conflict
    assert "/driver" in commanders.conflict
    with pytest.raises(EmmaError, match="another node commands"):
        commanders.require_alone()
    commanders.forget()
    assert commanders.conflict == ""


def test_a_gripper_action_without_its_package_says_what_to_do(context) -> None:
    node = Node("hand", context=context)
    assert CommandGroup(name="g", topic="/grip", kind="gripper_action", joints=("x",)).recorded_topic == "/grip/target"
    with pytest.raises(EmmaError, match="needs the ROS package control_msgs"):
        GripperAction(node, "/grip")
    node.destroy_node()
