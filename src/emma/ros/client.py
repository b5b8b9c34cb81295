"""Talking to nodes from a program that is not one long callback: call a service, set parameters, read what was said."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Joy
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from emma.errors import EmmaError
from emma.records import Record, Topic, decode
from emma.ros import messages, qos
from emma.ros.settings import require_sound

# A service of a node on a busy machine: long, because waiting is cheaper than giving up an episode.
CALL_S = 30.0


class Watch[T]:
    """Remembers the first record for which `condition` holds, also if others follow before anyone looks."""

    def __init__(self, condition: Callable[[T], object]) -> None:
        self._condition = condition
        self.found: T | None = None

    def look(self, said: T | None) -> None:
        if self.found is None and said is not None and self._condition(said):
            self.found = said


class RosClient:
    """A node of its own on a thread of its own. A context manager; all methods may block the calling thread.

    alive: called while waiting; raises if waiting has become pointless, as when a node has ended.
    context: of a node in this process, which then has one DDS participant as before; None: one of its own.
    """

    def __init__(
        self,
        name: str,
        *,
        args: list[str] | None = None,
        alive: Callable[[], None] = lambda: None,
        context: Context | None = None,
    ) -> None:
        self._own = context is None
        self._context = Context() if context is None else context
        if self._own:
            require_sound()
            rclpy.init(args=args, context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(name, context=self._context)
        self.alive = alive
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="ros", daemon=True)
        self._clients: dict[str, Any] = {}
        self._publishers: dict[str, Publisher] = {}
        # By topic: the newest record, or why the newest message is none.
        self._said: dict[str, Any] = {}
        self._watched: dict[str, Watch[Any]] = {}
        self._followed: set[str] = set()
        self._heard_s: dict[str, float] = {}
        self._changed = threading.Condition()
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(2.0)
        self.node.destroy_node()
        if self._own:
            rclpy.try_shutdown(context=self._context)

    def trigger(self, service: str, timeout_s: float = CALL_S) -> str:
        """Call a std_srvs/Trigger and return its message. EmmaError if it refuses, is not there or does not answer."""
        return self._checked(service, self.call(Trigger, service, Trigger.Request(), timeout_s))

    def ask[T: Record](self, service: str, kind: type[T], timeout_s: float = CALL_S) -> T:
        """Call a std_srvs/Trigger whose message is a record."""
        return decode(kind, self.trigger(service, timeout_s), service)

    def switch(self, service: str, value: bool, timeout_s: float = CALL_S) -> str:
        """Call a std_srvs/SetBool and return its message."""
        return self._checked(service, self.call(SetBool, service, SetBool.Request(data=value), timeout_s))

    def set_parameters(self, node: str, values: Mapping[str, Any], timeout_s: float = CALL_S) -> None:
        """Set parameters of another node. EmmaError if it refuses one."""
        request = SetParameters.Request(
            parameters=[Parameter(k, value=v).to_parameter_msg() for k, v in values.items()]
        )
        response = self.call(SetParameters, f"{node}/set_parameters", request, timeout_s)
        for name, result in zip(values, response.results, strict=True):
            if not result.successful:
                raise EmmaError(f"{node} refuses parameter {name}", found=values[name], expected=result.reason)

    def say(self, topic: str, text: str) -> None:
        """Publish a latched std_msgs/String."""
        self._publisher(String, topic, qos.LATCHED).publish(String(data=text))

    def publish_axes(self, topic: str, axes: Sequence[float]) -> None:
        """Publish the deflections of a gamepad or of keys (sensor_msgs/Joy), stamped with the system clock."""
        header = messages.header(self.node.get_clock().now().nanoseconds)
        self._publisher(Joy, topic, qos.COMMAND).publish(Joy(header=header, axes=list(axes), buttons=[]))

    def listen(self, topic: Topic[Any]) -> None:
        """Follow a topic; `heard` gives the newest record."""
        if topic.name in self._followed:
            return
        self._followed.add(topic.name)
        self.node.create_subscription(String, topic.name, lambda message: self._hear(topic, message), qos.EVENTS)

    def heard[T: Record](self, topic: Topic[T]) -> T | None:
        """The newest record on a topic that is listened to, None before the first.

        Raises EmmaError if the newest message is no such record, as of another version.
        """
        with self._changed:
            said = self._said.get(topic.name)
        if isinstance(said, EmmaError):
            raise said
        return cast(T | None, said)

    def silent_s(self, topic: Topic[Any]) -> float:
        """Seconds since the newest message on a topic that is listened to; infinity before the first."""
        with self._changed:
            return time.monotonic() - self._heard_s.get(topic.name, -math.inf)

    def wait_for[T: Record](self, topic: Topic[T], condition: Callable[[T], object], timeout_s: float) -> T | None:
        """The first record of `topic` (the newest included) for which `condition` holds; None when time is up.

        Raises EmmaError as `heard` does.
        """
        deadline = time.monotonic() + timeout_s
        watch = Watch(condition)
        with self._changed:
            self._watched[topic.name] = watch
            watch.look(self.heard(topic))
            while watch.found is None and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, 0.5))
                self.alive()
                self.heard(topic)
        return watch.found

    def wait_for_service(self, service: str, timeout_s: float) -> None:
        """Wait until a node offers `service`. EmmaError when time is up."""
        deadline = time.monotonic() + timeout_s
        while not any(name == service for name, _ in self.node.get_service_names_and_types()):
            self.alive()
            if time.monotonic() > deadline:
                raise EmmaError(
                    f"no node offers {service}",
                    found=f"nothing after {timeout_s:.0f} s",
                    expected="a running node",
                    fix="start the node, and see that ROS_DOMAIN_ID is the same on both sides",
                )
            time.sleep(0.05)

    def call(self, kind: type, service: str, request: Any, timeout_s: float) -> Any:
        """Call any service and return its response. EmmaError if it is not there or does not answer."""
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        deadline = time.monotonic() + timeout_s
        while not client.wait_for_service(timeout_sec=0.2):
            self.alive()
            if time.monotonic() > deadline:
                raise EmmaError(f"no node offers {service}", found="no node", expected="a running node")
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        while not answered.wait(0.2):
            self.alive()
            if time.monotonic() > deadline:
                client.remove_pending_request(future)
                raise EmmaError(f"{service} does not answer", found=f"nothing within {timeout_s:.0f} s")
        return future.result()

    def _publisher(self, kind: type, topic: str, profile: QoSProfile) -> Publisher:
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(kind, topic, profile)
        return self._publishers[topic]

    def _checked(self, service: str, response: Any) -> str:
        if not response.success:
            raise EmmaError(f"{service} was refused", found=response.message)
        message: str = response.message
        return message

    def _hear(self, topic: Topic[Any], message: String) -> None:
        said: Any
        try:
            said = topic.read(message.data)
        except EmmaError as error:
            said = error
        with self._changed:
            self._said[topic.name], self._heard_s[topic.name] = said, time.monotonic()
            if topic.name in self._watched and not isinstance(said, EmmaError):
                self._watched[topic.name].look(said)
            self._changed.notify_all()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return
