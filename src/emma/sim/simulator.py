"""What a simulated robot offers, whoever made the simulator: the embedded arm, or an environment of others."""

import math
from typing import Any, Protocol, Self

import numpy as np

from emma.observation import Observation
from emma.robots.spec import RobotSpec
from emma.sim.outcome import Outcome
from emma.sim.task import Task


class Look(Protocol):
    """How everything looks: a name, and words for a picture of it."""

    @property
    def name(self) -> str: ...

    @property
    def caption(self) -> str: ...


class Script(Protocol):
    """A whole scripted demonstration, one row a control tick."""

    @property
    def commands(self) -> np.ndarray:
        """(T, J) float32: clean joint targets, what a policy should learn."""
        ...

    @property
    def executed(self) -> np.ndarray:
        """(T, J) float32: the same with a disturbance, what to send."""
        ...


class Simulator(Protocol):
    """A robot whose time advances through `step` alone, by one control tick. Not thread-safe.

    Joints (J,) are in the spec's order and units. Cameras take a picture every few ticks (their `rate_hz`); `render`
    and `depth` give the latest one, drawn only when asked for.
    """

    spec: RobotSpec
    cameras: tuple[str, ...]
    task: Task
    tick: int

    @property
    def domain(self) -> Look:
        """The present look."""
        ...

    def reset(self, seed: int, target: str | None = None, *, held_out_words: bool = False) -> Task:
        """Start over; the seed decides everything that is not given."""
        ...

    def set_task(self, name: str) -> None:
        """Ask for another kind of task from the next reset on. Raises EmmaError for one it does not have."""
        ...

    def set_domain(self, domain: Any) -> None:
        """Change how everything looks. Raises EmmaError for a look it does not have."""
        ...

    def step(self, command: np.ndarray) -> None:
        """Hold the joint targets (J,) for one control tick."""
        ...

    @property
    def time_s(self) -> float:
        """Seconds since the reset."""
        ...

    @property
    def stamp_ns(self) -> int:
        """Nanoseconds since the reset."""
        ...

    def state(self) -> np.ndarray:
        """(J,) float32: the joints as measured now."""
        ...

    def script(self, *, noise: float = 0.0) -> Script:
        """The scripted demonstration of the task from the reset on. noise: of what is executed, rad."""
        ...

    def outcome(self) -> Outcome:
        """Whether the task is done."""
        ...

    def render(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the camera's latest picture. Read-only."""
        ...

    def depth(self, camera: str) -> np.ndarray:
        """(H, W) uint16 mm in the camera's latest picture. Read-only. EmmaError where there is none."""
        ...

    def picture_tick(self, camera: str) -> int:
        """The tick at which the camera took its latest picture."""
        ...

    def camera_matrix(self, camera: str) -> np.ndarray:
        """(3, 3) pinhole matrix in pixels, pixel centres at whole numbers (as in sensor_msgs/CameraInfo)."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def observation(sim: Simulator, *, depth: bool = True) -> Observation:
    """What a policy may see at the current tick: the state now and each camera's latest picture, with its age."""
    stamps = {camera: sim.picture_tick(camera) for camera in sim.cameras}
    rate = sim.spec.control_rate_hz
    ages = {"state": 0.0}
    for kind in ("images", "depth") if depth else ("images",):
        ages |= {f"{kind}.{camera}": (sim.tick - tick) / rate for camera, tick in stamps.items()}
    return Observation(
        stamp_ns=sim.stamp_ns,
        state=sim.state(),
        images={camera: sim.render(camera) for camera in sim.cameras},
        depth={camera: sim.depth(camera) for camera in sim.cameras} if depth else {},
        ages_s=ages,
        skew_s=(max(stamps.values()) - min(stamps.values())) / rate if stamps else 0.0,
    )


def pinhole(width: int, height: int, field_of_view: float) -> np.ndarray:
    """(3, 3) matrix of a camera with a vertical field of view in degrees, pixel centres at whole numbers."""
    focal = 0.5 * height / np.tan(0.5 * np.deg2rad(field_of_view))
    return np.array([[focal, 0.0, 0.5 * (width - 1)], [0.0, focal, 0.5 * (height - 1)], [0.0, 0.0, 1.0]])


def takes_picture(tick: int, period: float) -> bool:
    """Whether a camera takes a picture at this tick. period: ticks between two, right on average (1.67: one or two)."""
    return math.floor(tick / period) > math.floor((tick - 1) / period)
