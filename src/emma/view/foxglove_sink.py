"""Foxglove: a WebSocket server on the loopback with standard ROS 2 topics, whichever the source is.

`/camera/<name>` sensor_msgs/CompressedImage, `/joint_states` and `/joint_commands` sensor_msgs/JointState,
`/policy/chunk` trajectory_msgs/JointTrajectory, `/words` std_msgs/String.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emma.bags.message_definitions import definition, typestore
from emma.errors import EmmaError
from emma.view.sink import STATE

PORT = 8765
NS = 1_000_000_000
IMAGE, JOINTS = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/JointState"
TRAJECTORY, TEXT = "trajectory_msgs/msg/JointTrajectory", "std_msgs/msg/String"


def library() -> Any:
    """The foxglove package. Raises EmmaError without it."""
    try:
        import foxglove
    except ImportError:
        raise EmmaError(
            "Foxglove is not installed",
            found="no package foxglove-sdk",
            expected="the extra view",
            fix="pip install foxglove-sdk",
        ) from None
    return foxglove


class FoxgloveSink:
    """Serves while it is open; the Foxglove app connects to `url`."""

    def __init__(self, names: Sequence[str], port: int = PORT) -> None:
        self._foxglove, self._names, self._types = library(), list(names), typestore().types
        self._context = self._foxglove.Context()
        self._channels: dict[str, Any] = {}
        try:
            self._server = self._foxglove.start_server(
                name="emma", host="127.0.0.1", port=port, context=self._context, supported_encodings=["cdr"]
            )
        except RuntimeError as error:
            raise EmmaError(
                f"cannot listen on port {port}", found=str(error), expected="a free port", fix="choose another --port"
            ) from None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.port}"

    def picture(self, camera: str, time_ns: int, data: bytes, media: str) -> None:
        values = {"format": media.rpartition("/")[2], "data": np.frombuffer(data, np.uint8)}
        self._log(f"/camera/{camera}", IMAGE, time_ns, header=self._header(time_ns, camera), **values)

    def joints(self, kind: str, time_ns: int, values: Sequence[float]) -> None:
        topic, empty = "/joint_states" if kind == STATE else "/joint_commands", np.zeros(0)
        row = {"name": self._names, "position": np.asarray(values, np.float64), "velocity": empty, "effort": empty}
        self._log(topic, JOINTS, time_ns, header=self._header(time_ns), **row)

    def chunk(self, times_ns: Sequence[int], positions: np.ndarray) -> None:
        begin = int(times_ns[0])
        point, duration = (
            self._types["trajectory_msgs/msg/JointTrajectoryPoint"],
            self._types["builtin_interfaces/msg/Duration"],
        )
        empty = np.zeros(0)
        points = [
            point(
                positions=np.asarray(row, np.float64),
                velocities=empty,
                accelerations=empty,
                effort=empty,
                time_from_start=duration(*divmod(int(time_ns) - begin, NS)),
            )
            for time_ns, row in zip(times_ns, positions, strict=True)
        ]
        self._log(
            "/policy/chunk", TRAJECTORY, begin, header=self._header(begin), joint_names=self._names, points=points
        )

    def words(self, time_ns: int, text: str) -> None:
        self._log("/words", TEXT, time_ns, data=text)

    def close(self) -> None:
        self._server.stop()

    def _header(self, time_ns: int, frame: str = "") -> Any:
        stamp = self._types["builtin_interfaces/msg/Time"](*divmod(time_ns, NS))
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)

    def _log(self, topic: str, kind: str, time_ns: int, **values: Any) -> None:
        channel = self._channels.get(topic)
        if channel is None:
            text = definition(kind)
            assert text is not None, f"{kind} is a standard type"
            schema = self._foxglove.Schema(name=kind, encoding="ros2msg", data=text.text.encode())
            channel = self._foxglove.Channel(topic, schema=schema, message_encoding="cdr", context=self._context)
            self._channels[topic] = channel
        if channel.has_sinks():
            message = self._types[kind](**values)
            channel.log(bytes(typestore().serialize_cdr(message, kind)), log_time=time_ns)
