"""Where a robot's cameras are at a measured state: its calibration folder and its kinematics."""

import logging
from collections.abc import Mapping

import numpy as np

from emma.dreamtransfer.geometry import BASE, CalibratedPoses
from emma.errors import EmmaError
from emma.robots.kinematics import Kinematics
from emma.robots.spec import RobotSpec, load_robot

log = logging.getLogger(__name__)


class LinkFrames:
    """The poses (T, 4, 4) in the base frame of a robot's links for states (T, J); the names are the model's."""

    def __init__(self, spec: RobotSpec, links: frozenset[str]) -> None:
        self._kinematics, self._links = Kinematics.of(spec), sorted(links)

    def __call__(self, state: np.ndarray) -> Mapping[str, np.ndarray]:
        return self._kinematics.frames(np.asarray(state, np.float64), self._links)


def calibrated_poses(spec: RobotSpec) -> CalibratedPoses:
    """Poses of a robot's cameras: those on the base, and those on links where its kinematics are known.

    Raises EmmaError where there is no calibration, and for a camera on a link that the kinematic model lacks.
    """
    fixed = CalibratedPoses.load(spec)
    links = frozenset(parent for parent, _ in fixed.mounts.values() if parent != BASE)
    return CalibratedPoses.load(spec, LinkFrames(spec, links)) if links and spec.kinematics else fixed


def poses_or_none(robot: str) -> CalibratedPoses | None:
    """`calibrated_poses` of a robot by name; None, with a warning, where there are none."""
    try:
        return calibrated_poses(load_robot(robot))
    except EmmaError as error:
        log.warning("no camera poses of %s, so no score across views: %s", robot, error.problem)
        return None
