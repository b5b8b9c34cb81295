"""What the policy node loads and builds from its parameters: bundle, robot, a warm runtime, the controller."""

import logging
from dataclasses import dataclass
from pathlib import Path

from emma.calibrate.check_result import warnings_of
from emma.control.chunk_executor import ExecutorConfig
from emma.control.controller import Controller, WatchdogConfig
from emma.control.workspace import Workspace
from emma.errors import EmmaError
from emma.observation import Aligner
from emma.policy.bundle import Bundle, load_bundle
from emma.policy.chunk_blending import choose_join
from emma.policy.fitted import fitted
from emma.policy.isolated import IsolatedRuntime
from emma.policy.runtime import PolicyRuntime, open_runtime
from emma.policy.warm_up import warm_up
from emma.robots.agreement import parse_map
from emma.robots.spec import RobotSpec, load_robot
from emma.ros.nodes.policy_parameters import PolicyParameters

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A policy that can begin at once. cameras: those of the robot that it sees."""

    bundle: Bundle
    robot: RobotSpec
    runtime: PolicyRuntime
    cameras: tuple[str, ...]

    def aligner(self) -> Aligner:
        """An Aligner over the streams that the policy sees."""
        return Aligner(self.robot, cameras=self.cameras, depth=self.bundle.info.depth)


def load(values: PolicyParameters, path: str | Path) -> Loaded:
    """Load and warm up, which takes seconds. Raises EmmaError for a bundle that is broken or does not fit."""
    bundle = load_bundle(Path(path), load_robot(values.robot) if values.robot else None)
    robot = load_robot(values.robot or bundle.info.robot)
    agreement = bundle.check(robot, renamed=parse_map(values.map), units=values.units)
    for line in (*bundle.assumed, *agreement.assumed):
        log.warning("assumed: %s", line)
    for line in warnings_of(robot.folder, tuple(agreement.cameras)):
        log.warning("%s", line)
    start = IsolatedRuntime if values.isolate and not values.lockstep else open_runtime
    opened: PolicyRuntime = start(
        bundle, kind=values.runtime, device=values.device, threads=values.threads, robot=robot
    )
    runtime = fitted(opened, agreement)
    try:
        warm_up(runtime, bundle, robot, agreement.cameras)
    except EmmaError:
        runtime.close()
        raise
    return Loaded(bundle=bundle, robot=robot, runtime=runtime, cameras=tuple(agreement.cameras))


def executor_config(values: PolicyParameters, loaded: Loaded) -> ExecutorConfig:
    """Raises EmmaError for parameters that do not fit together."""
    try:
        return ExecutorConfig(
            fps=loaded.bundle.info.fps,
            replan_s=values.replan_s or loaded.bundle.info.replan_s,
            blend_s=values.blend_s,
            join=choose_join(values.join, loaded.runtime),
        )
    except ValueError as error:
        raise EmmaError("parameters do not fit together", found=error) from None


def build_controller(values: PolicyParameters, loaded: Loaded) -> Controller:
    """Raises EmmaError for parameters that do not fit together, and for a workspace without kinematics."""
    try:
        return Controller(
            loaded.robot,
            executor_config(values, loaded),
            watchdog=WatchdogConfig(warn_age_s=values.warn_age_s, hold_age_s=values.hold_age_s),
            ramp_s=values.ramp_s,
            workspace=Workspace.of(loaded.robot, values.workspace) if values.workspace else None,
        )
    except ValueError as error:
        raise EmmaError("parameters do not fit together", found=error) from None
