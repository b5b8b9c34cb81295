"""The policy's newest action chunk as a standard topic: what it is about to do, for whoever watches."""

from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from emma.control.policy_loop import PolicyLoop
from emma.robots.spec import RobotSpec
from emma.ros import messages, qos

CHUNK = "/policy/chunk"


class ChunkTopic:
    """`~/chunk` of a node: one JointTrajectory a chunk, stamped with the moment of its first action. Without a
    subscriber it costs a comparison a look."""

    def __init__(self, node: Node, spec: RobotSpec) -> None:
        self._node, self._spec, self._sent = node, spec, 0
        self.publisher = node.create_publisher(JointTrajectory, "~/chunk", qos.LATCHED)

    def look(self, loop: PolicyLoop) -> None:
        """Publish the chunk if it is new and has a reader."""
        if loop.chunks == self._sent or not self.publisher.get_subscription_count():
            return
        self._sent, ahead = loop.chunks, loop.ahead()
        if ahead is not None:
            positions, stamp_ns, fps = ahead
            self.publisher.publish(messages.chunk(self._spec, positions, stamp_ns, fps))

    def close(self) -> None:
        self._node.destroy_publisher(self.publisher)
