"""One control tick: chunk executor, watchdog and safety filter together. The policy node and the simulator's
evaluation run this same class; only the clock and the thread around it differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from emma.control.chunk_executor import ChunkExecutor, ExecutorConfig
from emma.control.safety import SafetyFilter
from emma.control.workspace import Workspace
from emma.robots.spec import RobotSpec


class Mode(StrEnum):
    """What the controller is doing."""

    DISABLED = "disabled"
    WAITING = "waiting"
    RAMPING = "ramping"
    RUNNING = "running"
    HOLDING = "holding"


@dataclass(frozen=True, kw_only=True)
class WatchdogConfig:
    """Ages in seconds. Past `warn_age_s` a stream is reported; past `hold_age_s` the arm holds."""

    warn_age_s: float = 0.15
    hold_age_s: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.warn_age_s <= self.hold_age_s:
            raise ValueError(f"0 < warn_age_s <= hold_age_s, not {self.warn_age_s} and {self.hold_age_s}")


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What one tick commands and why. command: (J,) float64, or None while disabled and nothing was commanded yet."""

    command: np.ndarray | None
    mode: Mode
    reason: str = ""
    warnings: tuple[str, ...] = field(default=())
    clipped: tuple[str, ...] = field(default=())


class Controller:
    """Not thread-safe: `tick`, `offer`, `enable` and `disable` belong to one thread or one lock."""

    def __init__(
        self,
        spec: RobotSpec,
        executor: ExecutorConfig,
        *,
        watchdog: WatchdogConfig | None = None,
        ramp_s: float = 0.5,
        workspace: Workspace | None = None,
    ) -> None:
        self.executor = ChunkExecutor(executor)
        self.safety = SafetyFilter(spec, workspace=workspace)
        self._watchdog = watchdog or WatchdogConfig()
        self._ramp_ns = int(ramp_s * 1e9)
        self._enabled_ns: int | None = None
        self._releasing = False
        self._joints = len(spec.joints)

    @property
    def enabled(self) -> bool:
        return self._enabled_ns is not None

    def enable(self, t_ns: int, pose: np.ndarray) -> None:
        """Start commanding from the measured or last commanded pose (J,), ramping the speed in.

        Raises ValueError if it is not finite.
        """
        self.executor.reset()
        self.safety.start(pose)
        self._enabled_ns, self._releasing = t_ns, False

    def disable(self) -> None:
        """Stop following the policy. The arm stays where it was last commanded."""
        self.executor.reset()
        self._enabled_ns, self._releasing = None, False

    def stop(self) -> np.ndarray | None:
        """Stop at once, without braking. Returns the pose (J,) to hold, None if nothing was commanded."""
        held = self.safety.hold().position if self.enabled else None
        self.disable()
        return held

    def release(self) -> None:
        """Come to rest, then disable: somebody else takes the robot over."""
        self._releasing = self.enabled

    def offer(self, actions: np.ndarray, t_obs_ns: int, t_ns: int) -> str | None:
        """Hand in a chunk (K, J). Returns why it was refused, or None if it is in play."""
        if not self.enabled:
            return "disabled"
        if actions.ndim != 2 or actions.shape[1] != self._joints:
            return f"chunk of shape {actions.shape}, expected (K, {self._joints})"
        try:
            taken = self.executor.offer(actions, t_obs_ns, t_ns)
        except ValueError as error:
            return str(error)
        return None if taken else "older than the chunk in play"

    def tick(self, t_ns: int, ages_s: Mapping[str, float]) -> Tick:
        """The command for `t_ns`, given the age in seconds of every stream the policy depends on.

        Use `math.inf` for a stream that never came.
        """
        if self._enabled_ns is None:
            return Tick(command=self.safety.position, mode=Mode.DISABLED)
        if self._releasing:
            if not self.safety.at_rest:
                return Tick(command=self.safety.brake().position, mode=Mode.HOLDING, reason="handing over")
            self.disable()
            return Tick(command=self.safety.position, mode=Mode.DISABLED)
        dead = [f"{s} {age:.2f} s old" for s, age in ages_s.items() if age > self._watchdog.hold_age_s]
        if dead:
            return Tick(command=self.safety.hold().position, mode=Mode.HOLDING, reason="stale: " + ", ".join(dead))
        late = tuple(f"{s} {age:.2f} s old" for s, age in ages_s.items() if age > self._watchdog.warn_age_s)
        target = self.executor.target(t_ns)
        if target is None:
            first = not self.executor.started
            return Tick(
                command=self.safety.hold().position,
                mode=Mode.WAITING if first else Mode.HOLDING,
                reason="no chunk yet" if first else "the last chunk ran out",
                warnings=late,
            )
        ramp = (t_ns - self._enabled_ns) / self._ramp_ns if self._ramp_ns else 1.0
        safe = self.safety.step(target, speed=min(max(ramp, 0.05), 1.0))
        return Tick(
            command=safe.position,
            mode=Mode.RUNNING if ramp >= 1.0 else Mode.RAMPING,
            warnings=late,
            clipped=safe.clipped,
        )
