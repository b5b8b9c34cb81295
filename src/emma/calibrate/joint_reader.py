"""The joints of one chain out of a driver's JointStates: any topic, name, unit and part of the joints in a message."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from emma.calibrate.joint_track import Track
from emma.messages import named_positions
from emma.robots.spec import RobotSpec

LEAST = 3
# Joints without a reading so close to a picture have dropped out, s.
GAP_S = 0.1


class JointReader:
    """Collects rows (J,) in rad and m, in the order of `joints`, which are names of the spec. Not thread-safe."""

    def __init__(self, spec: RobotSpec, joints: Sequence[str], *, keep: int | None = None) -> None:
        """keep: how many of the newest rows; None: all."""
        self._joints = [spec.joint(name) for name in joints]
        self.topics = tuple(each.topic for each in spec.state_topics if set(each.joints) & set(joints))
        self.heard: dict[str, float] = {}
        self._rows: deque[tuple[float, np.ndarray]] = deque(maxlen=keep)

    def push(self, topic: str, message: Any, time_s: float) -> None:
        """Take a message. A row follows once every joint has a position, and time has gone on.

        Raises EmmaError for names and positions that do not fit.
        """
        self.heard |= named_positions(message.name, message.position, topic)
        if not all(joint.message_name in self.heard for joint in self._joints):
            return
        if not self._rows or time_s > self._rows[-1][0]:
            read = ((joint.scale, self.heard[joint.message_name]) for joint in self._joints)
            self._rows.append((time_s, np.array([a * value + b for (a, b), value in read])))

    def reach(self, time_s: float) -> bool:
        """Whether there are enough rows for a track, and it goes on until `time_s` or less than `GAP_S` before."""
        return self.ready and self._rows[-1][0] >= time_s - GAP_S

    @property
    def ready(self) -> bool:
        """Whether there are enough rows for a track."""
        return len(self._rows) >= LEAST

    def track(self) -> Track:
        """The rows so far. A driver that counts an angle within one turn jumps where the joint does not."""
        times, rows = zip(*self._rows, strict=True)
        turns = [joint.continuous for joint in self._joints]
        joints = np.stack(rows)
        joints[:, turns] = np.unwrap(joints[:, turns], axis=0)
        return Track(np.array(times), joints)
