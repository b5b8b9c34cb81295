"""A robot's joints as end-effector vectors and back: 10 numbers a tool (`poses.GROUP`), in the robot's base frame.

Opening is the share of the gripper's range, 0 at its joints' lower limits and 1 at the upper ones. A tool without a
gripper keeps opening 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emma.errors import EmmaError
from emma.policy.end_effector.poses import COMPONENTS, GROUP, POSE, from_vector, group_names, to_vector
from emma.robots.kinematics import Kinematics
from emma.robots.pose_path import PathSolution, PosePath
from emma.robots.spec import RobotSpec


def groups_of(names: Sequence[str] | None) -> tuple[str, ...]:
    """The groups of an end-effector vector's names (`right.x`, ..., `right.opening`); empty for any other vector."""
    names = tuple(names or ())
    groups = tuple(dict.fromkeys(name.rpartition(".")[0] for name in names))
    return groups if names and list(names) == group_names(groups) else ()


@dataclass(frozen=True)
class _Gripper:
    """The joints of one tool's gripper: places in the spec's order, and their range."""

    places: np.ndarray
    lower: np.ndarray
    width: np.ndarray


class EndEffectorSpace:
    """Vectors (..., J) of joints to (..., 10 G) of tools, and chunks back to joints. One thread at a time."""

    def __init__(self, spec: RobotSpec) -> None:
        """Raises EmmaError for a robot without kinematics, and for grippers that belong to no one tool."""
        self.spec = spec
        self._kinematics = Kinematics.of(spec)
        self._path = PosePath(self._kinematics, spec)
        self.groups = self._kinematics.tools
        self.names = group_names(self.groups)
        self._grippers = [_gripper(spec, tool, self.groups) for tool in self.groups]

    @property
    def size(self) -> int:
        return GROUP * len(self.groups)

    def encode(self, joints: np.ndarray) -> np.ndarray:
        """(N, J) joints in the spec's order and units -> (N, 10 G) float64."""
        joints = np.asarray(joints, np.float64)
        out = np.empty((len(joints), self.size))
        for row, values in zip(out, joints, strict=True):
            poses = self._kinematics.forward(values)
            for i, (tool, gripper) in enumerate(zip(self.groups, self._grippers, strict=True)):
                row[i * GROUP : i * GROUP + POSE] = to_vector(poses[tool])
                row[i * GROUP + POSE] = self._opening(values, gripper)
        return out

    def decode(self, chunk: np.ndarray, joints: np.ndarray, step_s: float) -> PathSolution:
        """Absolute vectors (K, 10 G), `step_s` apart, to joints (K, J), starting from `joints` (J,).

        Raises EmmaError for vectors that are no poses.
        """
        parts = np.asarray(chunk, np.float64).reshape(len(chunk), len(self.groups), GROUP)
        poses = from_vector(parts[..., :POSE])
        found = self._path.solve({tool: poses[:, i] for i, tool in enumerate(self.groups)}, joints, step_s)
        for i, gripper in enumerate(self._grippers):
            opening = np.clip(parts[:, i, POSE], 0.0, 1.0)
            found.joints[:, gripper.places] = gripper.lower + opening[:, None] * gripper.width
        return found

    def places_of(self, groups: Sequence[str], what: str) -> list[int]:
        """Where each group of a dataset (`right`, `left`) goes among the tools.

        One group and one tool belong together whatever their names. Raises EmmaError where names do not match.
        """
        if len(groups) == len(self.groups) == 1:
            return [0]
        places = []
        for group in groups:
            matching = [i for i, tool in enumerate(self.groups) if group == tool or group in tool.split("_")]
            if len(matching) != 1:
                raise EmmaError(
                    f"{what}: no tool of {self.spec.name} for '{group}'",
                    found=f"groups {', '.join(groups)}; tools {', '.join(self.groups)}",
                    expected="groups named as tools, or one of each",
                    fix="import with --hands right or left, or name the tools so in kinematics.tools of robot.yaml",
                )
            places.append(matching[0])
        return places

    @staticmethod
    def _opening(joints: np.ndarray, gripper: _Gripper) -> float:
        if not len(gripper.places):
            return 0.0
        return float(((joints[gripper.places] - gripper.lower) / gripper.width).mean())


def opening_columns(size: int) -> np.ndarray:
    """Which numbers of a vector are openings."""
    return np.arange(POSE, size, len(COMPONENTS))


def _gripper(spec: RobotSpec, tool: str, tools: Sequence[str]) -> _Gripper:
    names = list(spec.gripper)
    if len(tools) > 1:
        names = [name for name in names if _side(name, tools) == tool]
        if unclear := [name for name in spec.gripper if _side(name, tools) is None]:
            raise EmmaError(
                f"robot {spec.name}: the gripper joint {unclear[0]} belongs to no one tool",
                found=f"grippers {', '.join(spec.gripper)}; tools {', '.join(tools)}",
                expected="gripper joints that begin or end with their tool's name",
                fix="rename the tools in kinematics.tools of robot.yaml, such as left and right",
            )
    places = [spec.joint_names.index(name) for name in names]
    lower = np.array([spec.joints[i].lower for i in places])
    return _Gripper(np.array(places, dtype=int), lower, np.array([spec.joints[i].upper for i in places]) - lower)


def _side(joint: str, tools: Sequence[str]) -> str | None:
    """The tool whose words a gripper joint's name shares: left_gripper belongs to left and to left_tool."""
    words = set(joint.split("_"))
    shared = {tool: len(words & set(tool.split("_"))) for tool in tools}
    best = max(shared.values())
    winners = [tool for tool, count in shared.items() if count == best]
    return winners[0] if best and len(winners) == 1 else None
