"""What one tick commands: chunk executor, watchdog, tracking guard and safety filter together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from emma.arrays import Array
from emma.control.chunk_executor import ChunkExecutor, ExecutorConfig
from emma.control.safety import SafeCommand, SafetyFilter
from emma.control.tracking import BLIND_S, TrackingGuard
from emma.control.workspace import Workspace
from emma.observation import STATE
from emma.robots.spec import RobotSpec

# A chunk and its grace are over, and no new one came.
RAN_OUT = "the last chunk ran out"


class Mode(StrEnum):
    """What the controller is doing.

    INACTIVE: no policy is loaded. STOPPED: it let go by itself, and moves again only after `enable`.
    """

    INACTIVE = "inactive"
    DISABLED = "disabled"
    STOPPED = "stopped"
    WAITING = "waiting"
    RAMPING = "ramping"
    RUNNING = "running"
    HOLDING = "holding"


@dataclass(frozen=True, kw_only=True)
class WatchdogConfig:
    """Ages in seconds.

    Past `warn_age_s` a stream is reported; past `hold_age_s` the arm holds, and without joint states it is let go of.
    stuck_s: how long a command may wait at the end of its reach for an arm that does not follow.
    """

    warn_age_s: float = 0.15
    hold_age_s: float = BLIND_S
    stuck_s: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.warn_age_s <= self.hold_age_s:
            raise ValueError(f"0 < warn_age_s <= hold_age_s, not {self.warn_age_s} and {self.hold_age_s}")
        if not self.stuck_s > 0:
            raise ValueError(f"stuck_s must be above 0, not {self.stuck_s}")


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What one tick commands and why. command: (J,) float64 to publish now, None for silence."""

    command: Array | None
    mode: Mode
    reason: str = ""
    warnings: tuple[str, ...] = field(default=())
    clipped: tuple[str, ...] = field(default=())


class Controller:
    """Not thread-safe: all calls belong to one thread or one lock."""

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
        self.guard = TrackingGuard(spec)
        self._watchdog = watchdog or WatchdogConfig()
        self._ramp_ns = int(ramp_s * 1e9)
        self._enabled_ns: int | None = None
        self._releasing = ""
        self._stopped = ""
        self._stuck_ns: int | None = None
        self._joints = len(spec.joints)

    @property
    def enabled(self) -> bool:
        return self._enabled_ns is not None

    @property
    def releasing(self) -> bool:
        """Whether it comes to rest, to let go."""
        return bool(self._releasing)

    @property
    def stopped(self) -> str:
        """Why it let go by itself since it was last enabled; "" if it did not."""
        return self._stopped

    def enable(self, t_ns: int, pose: Array) -> None:
        """Start commanding from the measured or last commanded pose (J,), ramping the speed in.

        Raises ValueError if it is not finite.
        """
        self.executor.reset()
        self.safety.start(pose)
        self._enabled_ns, self._releasing, self._stopped, self._stuck_ns = t_ns, "", "", None

    def disable(self) -> None:
        """Stop following the policy. The arm stays where it was last commanded."""
        self.executor.reset()
        self._enabled_ns, self._releasing, self._stopped = None, "", ""

    def stop(self) -> Array | None:
        """Stop at once, without braking. Returns the pose (J,) to hold, None if nothing was commanded."""
        held = self.safety.hold().position if self.enabled else None
        self.disable()
        return held

    def release(self, why: str = "") -> None:
        """Come to rest, then disable. why: the reason to show afterwards, for one that a person did not ask for."""
        if self.enabled:
            self._releasing, self._stopped = why or "handing over", why

    def offer(self, actions: Array, t_obs_ns: int, t_ns: int) -> str | None:
        """Hand in a chunk (K, J). Returns why it was refused, or None if it is used from now on."""
        if not self.enabled:
            return "disabled"
        if actions.ndim != 2 or actions.shape[1] != self._joints:
            return f"chunk of shape {actions.shape}, expected (K, {self._joints})"
        try:
            taken = self.executor.offer(actions, t_obs_ns, t_ns)
        except ValueError as error:
            return str(error)
        return None if taken else "older than the active chunk"

    def tick(self, t_ns: int, ages_s: Mapping[str, float], measured: Array | None = None) -> Tick:
        """The command for `t_ns`.

        ages_s: seconds since the last good sample of every stream the policy depends on, `math.inf` for one that never
        came. measured: (J,) the newest measured pose. No command lies further from it than `guard.reach`.
        """
        if self._enabled_ns is None:
            return Tick(command=None, mode=Mode.STOPPED if self._stopped else Mode.DISABLED, reason=self._stopped)
        state_age = ages_s.get(STATE, 0.0)
        if state_age > self._watchdog.hold_age_s:
            # The pose is unknown: a driver that restarts may find the arm anywhere and must receive no old command.
            return self._let_go(f"no joint states for {state_age:.2f} s", None)
        held = self.safety.position
        assert held is not None  # enabled, so it was started
        if measured is not None and (excess := self.guard.excess(held, measured)):
            return self._let_go(excess, measured)
        tick = self._wanted(t_ns, ages_s, measured)
        if measured is not None and tick.command is not None and (excess := self.guard.excess(tick.command, measured)):
            # Braking at the end of the reach.
            return self._let_go(excess, measured)
        if self._releasing and self.safety.at_rest:
            why = self._stopped
            self.disable()
            self._stopped = why
        return tick

    def _wanted(self, t_ns: int, ages_s: Mapping[str, float], measured: Array | None) -> Tick:
        assert self._enabled_ns is not None
        if self._releasing:
            return Tick(command=self.safety.brake().position, mode=Mode.HOLDING, reason=self._releasing)
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
                reason="no chunk yet" if first else RAN_OUT,
                warnings=late,
            )
        ramp = (t_ns - self._enabled_ns) / self._ramp_ns if self._ramp_ns else 1.0
        reach = None if measured is None else (measured - self.guard.reach, measured + self.guard.reach)
        safe = self.safety.step(target, speed=min(max(ramp, 0.05), 1.0), within=reach)
        if (stuck := self._stuck(t_ns, safe)) and measured is not None:
            return self._let_go(stuck, measured)
        return Tick(
            command=safe.position,
            mode=Mode.RUNNING if ramp >= 1.0 else Mode.RAMPING,
            warnings=late,
            clipped=safe.clipped,
        )

    def _stuck(self, t_ns: int, safe: SafeCommand) -> str:
        if not safe.waits:
            self._stuck_ns = None
            return ""
        if self._stuck_ns is None:
            self._stuck_ns = t_ns
        waited = (t_ns - self._stuck_ns) / 1e9
        return f"the arm does not follow its commands for {waited:.1f} s" if waited > self._watchdog.stuck_s else ""

    def _let_go(self, why: str, measured: Array | None) -> Tick:
        """Hold once where the robot is, then command nothing until `enable`; nothing at all where that is not known."""
        self.disable()
        self._stopped = why
        return Tick(command=self.guard.hold_at(measured), mode=Mode.STOPPED, reason=why)
