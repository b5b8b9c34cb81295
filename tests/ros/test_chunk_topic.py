"""`~/chunk`: what the policy is about to do, as any ROS tool receives it."""

from typing import Any

import numpy as np
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from emma.robots.spec import RobotSpec
from emma.ros import qos
from emma.ros.chunk_topic import CHUNK, ChunkTopic


class Loop:
    """The part of a PolicyLoop that is read."""

    chunks = 0
    positions: np.ndarray | None = None

    def ahead(self) -> tuple[np.ndarray, int, float] | None:
        return None if self.positions is None else (self.positions, 7_250_000_000, 20.0)


def test_a_chunk_is_published_once_and_only_for_readers(context: Context, spec: RobotSpec, eventually: Any) -> None:
    node = Node("policy", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    loop, topic, heard = Loop(), ChunkTopic(node, spec), []
    loop.positions, loop.chunks = np.arange(3 * len(spec.joints), dtype=float).reshape(3, -1), 1
    topic.look(loop)
    node.create_subscription(JointTrajectory, CHUNK, heard.append, qos.LATCHED)
    eventually(topic.publisher.get_subscription_count, "a reader")
    for _ in range(3):
        topic.look(loop)

    def received() -> list[JointTrajectory]:
        executor.spin_once(timeout_sec=0.05)
        return heard

    eventually(received, "the chunk")
    executor.spin_once(timeout_sec=0.2)
    (message,) = heard
    assert list(message.joint_names) == list(spec.joint_names)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (7, 250_000_000)
    assert [list(point.positions) for point in message.points] == loop.positions.tolist()
    assert [point.time_from_start.nanosec for point in message.points] == [0, 50_000_000, 100_000_000]
    loop.positions, loop.chunks = None, 2
    topic.look(loop)
    executor.shutdown()
    node.destroy_node()
