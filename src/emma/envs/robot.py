"""A robot in an environment of others, with the interface of the embedded arm (`emma.sim.simulator.Simulator`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from emma.envs.environments import Environment
from emma.envs.process import DriverProcess
from emma.envs.script import feasible, near_grips
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.sim.expert import check_steps, disturbance
from emma.sim.outcome import Outcome
from emma.sim.simulator import pinhole, takes_picture
from emma.sim.task import Task

LOOK, TARGET = "source", "goal"
_NOISE = 5


@dataclass(frozen=True, kw_only=True)
class EnvScript:
    """A scripted demonstration (`emma.sim.simulator.Script`)."""

    commands: np.ndarray
    executed: np.ndarray


@dataclass(frozen=True, kw_only=True)
class EnvLook:
    """The package's one look (`emma.sim.simulator.Look`)."""

    name: str
    caption: str


class EnvRobot:
    """The environment's robot. A context manager. Success counts from the first tick at which the package sees it."""

    def __init__(
        self,
        spec: RobotSpec,
        environment: Environment,
        *,
        cameras: Iterable[str] | None = None,
        seed: int = 0,
        python: str = "",
    ) -> None:
        """python: an interpreter with the package. Raises EmmaError if the environment and the spec do not fit."""
        self.spec = spec
        self.environment = environment
        self.domain = EnvLook(name=LOOK, caption=spec.description)
        self.cameras = tuple(spec.camera_names if cameras is None else (spec.camera(name).name for name in cameras))
        sizes = {name: (spec.camera(name).width, spec.camera(name).height) for name in self.cameras}
        self._driver = DriverProcess(self.environment, rate_hz=spec.control_rate_hz, sizes=sizes, python=python)
        try:
            self._order = self._joint_order()
            self._period = {name: max(1.0, spec.control_rate_hz / spec.camera(name).rate_hz) for name in self.cameras}
            self._taken: dict[str, int] = {}
            self._drawn: dict[str, np.ndarray] = {}
            self._said: dict[str, Any] = {}
            self.tick = 0
            self.task = self.reset(seed)
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> dict[str, Any]:
        """What the driver says of itself: joints, model file, cameras with their fields of view, MuJoCo's version."""
        return self._driver.info

    def reset(self, seed: int, target: str | None = None, *, held_out_words: bool = False) -> Task:
        """Start over as the package does with this seed. It has one target and one instruction."""
        if target not in (None, TARGET):
            raise EmmaError(f"unknown target '{target}'", found=target, expected=TARGET)
        self._said, state = self._driver.reset(seed, self.cameras)
        self._state = state[self._order]
        self._succeeded = False
        self.tick = 0
        self._pictures(self.cameras)
        x, y, _ = self._said["object"]
        self.task = Task(
            seed=seed,
            target=TARGET,
            instruction=self._said["instruction"],
            cube_pose=(x, y, 0.0),
            kind=self.environment.task,
        )
        return self.task

    def set_task(self, name: str) -> None:
        """The package has one task; another name is refused."""
        if name != self.environment.task:
            raise EmmaError(
                f"{self.environment.package} has no task '{name}'", found=name, expected=self.environment.task
            )

    def set_domain(self, domain: Any) -> None:
        """The package has one look; another name is refused."""
        if domain != LOOK:
            raise EmmaError(f"{self.environment.package} has one look", found=domain, expected=LOOK)

    def step(self, command: np.ndarray) -> None:
        """Hold the joint targets (J,) for one control tick. Raises EmmaError if they are not finite numbers."""
        values = np.asarray(command, dtype=np.float64)
        if values.shape != (len(self._order),) or not np.isfinite(values).all():
            raise EmmaError("bad command", found=repr(command), expected=f"{len(self._order)} finite joint targets")
        self.tick += 1
        due = tuple(name for name, period in self._period.items() if takes_picture(self.tick, period))
        targets = np.empty_like(values)
        targets[self._order] = values
        self._said, state = self._driver.step(targets, due)
        self._state = state[self._order]
        self._succeeded = self._succeeded or bool(self._said["success"])
        self._pictures(due)

    @property
    def time_s(self) -> float:
        """Seconds since the reset."""
        return self.tick / self.spec.control_rate_hz

    @property
    def stamp_ns(self) -> int:
        """Nanoseconds since the reset."""
        return round(self.tick * 1_000_000_000 / self.spec.control_rate_hz)

    def state(self) -> np.ndarray:
        """(J,) float32: the joints as measured now."""
        return self._state.astype(np.float32)

    def outcome(self) -> Outcome:
        """Success from the first tick at which the package judges so."""
        x, y, z = self._said["object"]
        done = self._succeeded
        return Outcome(placed_on=TARGET if done else None, success=done, settled=done, cube_xyz=(x, y, z))

    def script(self, *, noise: float = 0.0) -> EnvScript:
        """The package's scripted demonstration of the present episode, within the spec's velocity limits.

        Raises EmmaError if it cannot be made so.
        """
        raw = self._driver.script(self.task.seed)[:, self._order]
        commands = feasible(raw, self.state().astype(np.float64), self.spec)
        check_steps(commands, self.spec)
        executed = commands.copy()
        moving = [i for i, name in enumerate(self.spec.joint_names) if name not in self.spec.gripper]
        rng = np.random.default_rng([self.task.seed, _NOISE])
        dt = 1.0 / self.spec.control_rate_hz
        executed[:, moving] += disturbance(rng, near_grips(commands, self.spec), noise, dt, joints=len(moving))
        lower = np.array([joint.lower for joint in self.spec.joints])
        upper = np.array([joint.upper for joint in self.spec.joints])
        executed = np.clip(executed, lower, upper)
        return EnvScript(commands=commands.astype(np.float32), executed=executed.astype(np.float32))

    def render(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the camera's latest picture. Read-only."""
        self._known(camera)
        if camera not in self._drawn:
            image = self._driver.draw(camera)
            image.flags.writeable = False
            self._drawn[camera] = image
        return self._drawn[camera]

    def depth(self, camera: str) -> np.ndarray:
        """The packages have no depth camera: EmmaError."""
        raise EmmaError(f"{self.environment.package} has no depth", found=camera, expected="colour alone")

    def picture_tick(self, camera: str) -> int:
        """The tick at which the camera took its latest picture."""
        return self._taken[self._known(camera)]

    def camera_matrix(self, camera: str) -> np.ndarray:
        """(3, 3) pinhole matrix in pixels, pixel centres at whole numbers (as in sensor_msgs/CameraInfo)."""
        size = self.spec.camera(self._known(camera))
        return pinhole(size.width, size.height, float(self.info["cameras"][camera]))

    def tools(self, joints: np.ndarray) -> dict[str, np.ndarray]:
        """Tool -> (T, 4, 4) poses that the package's own model gives for joints (T, J)."""
        rows = np.empty_like(joints, dtype=np.float64)
        rows[:, self._order] = joints
        return self._driver.tools(rows)

    def close(self) -> None:
        """End the driver's process."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pictures(self, cameras: Iterable[str]) -> None:
        for camera in cameras:
            self._taken[camera] = self.tick
            self._drawn.pop(camera, None)

    def _known(self, camera: str) -> str:
        if camera not in self.cameras:
            raise EmmaError(f"this simulator has no camera '{camera}'", found=camera, expected=", ".join(self.cameras))
        return camera

    def _joint_order(self) -> np.ndarray:
        """(J,): the driver's index of each joint of the spec."""
        theirs = list(self.info["joints"])
        if sorted(theirs) != sorted(self.spec.joint_names):
            raise EmmaError(
                f"{self.environment.package} is another robot than {self.spec.name}",
                found=", ".join(theirs),
                expected=f"joints {', '.join(self.spec.joint_names)}",
                fix=f"correct the joints in {self.spec.folder / 'robot.yaml'}",
            )
        if missing := sorted(set(self.cameras) - set(self.info["cameras"])):
            raise EmmaError(
                f"{self.environment.package} has no such camera",
                found=", ".join(missing),
                expected=f"some of {', '.join(self.info['cameras'])}",
                fix=f"correct the cameras in {self.spec.folder / 'robot.yaml'}",
            )
        return np.array([theirs.index(name) for name in self.spec.joint_names])
