"""The simulated arm on a thread of its own, in real time or in lockstep. No ROS here."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

import numpy as np

from emma.control.pacing import FixedRate
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.sim.outcome import Outcome
from emma.sim.simulator import Simulator
from emma.sim.task import Task

T = TypeVar("T")
NS = 1_000_000_000
# Lockstep time starts here: a stamp of zero means "not set" to many tools.
EPOCH_NS = NS
# Real time: this many ticks may be made up in a row; beyond it the simulator says that it cannot keep up.
CATCH_UP_TICKS = 5
# The first call waits until the scene is built and drawn for the first time; a busy machine takes long for that.
CALL_S = 60.0


class SimOutput(Protocol):
    """What becomes of the simulator's data. Called on its thread; stamps are in ns, arrays belong to the receiver."""

    def wants(self, camera: str) -> tuple[bool, bool]:
        """Whether the camera's colour and its depth have subscribers: drawing costs a simulator most."""
        ...

    def joints(self, stamp_ns: int, position: np.ndarray, velocity: np.ndarray) -> None:
        """(J,) measured positions and velocities, in the spec's order and units."""
        ...

    def picture(self, stamp_ns: int, camera: str, color: np.ndarray | None, depth: np.ndarray | None) -> None:
        """(H, W, 3) uint8 RGB and (H, W) uint16 mm, as far as wanted, both taken at `stamp_ns`."""
        ...

    def outcome(self, task: Task, outcome: Outcome, seconds: float) -> None:
        """Where the cube is after every tick, so many seconds into the episode."""
        ...

    def late(self, ticks: int) -> None:
        """Real time could not be kept: so many ticks were left out, and the arm's time stood still meanwhile."""
        ...

    def crashed(self, error: BaseException) -> None:
        """The simulator ended; nothing more will come."""
        ...


class SimLoop:
    """Owns a simulator: it is made, stepped, drawn and closed on one thread, because a GL context belongs to one.

    The last command is held until another comes. Real time follows the monotonic clock; `clock_ns` stamps it.
    Lockstep advances one tick for each command stamped with the present tick's stamp (or without a stamp), says
    everything again after `repeat_s` without one, and stamps with simulated time that never goes back.
    """

    def __init__(
        self,
        spec: RobotSpec,
        output: SimOutput,
        *,
        make: Callable[[], Simulator],
        cameras: tuple[str, ...],
        clock_ns: Callable[[], int],
        lockstep: bool = False,
        repeat_s: float = 0.25,
    ) -> None:
        self._spec, self._output, self._cameras = spec, output, cameras
        self._clock_ns, self._lockstep, self._repeat_s = clock_ns, lockstep, repeat_s
        self._period_ns = round(NS / spec.control_rate_hz)
        self._wake = threading.Condition()
        self._requests: deque[tuple[Callable[[Simulator], Any], Future]] = deque()
        self._command: tuple[np.ndarray, int | None] | None = None
        self._stop = threading.Event()
        self._ended: Exception | None = None
        self._started_ns = EPOCH_NS
        self._stamp_ns = EPOCH_NS
        self._previous: np.ndarray | None = None
        self._hold: np.ndarray | None = None
        self._taken_ns: dict[str, int] = {}
        self._due: list[str] = []
        self.lost_pictures = 0
        self._thread = threading.Thread(target=self._run, args=(make,), name="sim", daemon=True)

    def start(self) -> None:
        """Begin; the first snapshot follows at once."""
        self._thread.start()

    def command(self, position: np.ndarray, stamp_ns: int | None) -> None:
        """Take joint targets (J,). Those stamped before the last reset belong to another episode and are ignored."""
        with self._wake:
            if stamp_ns is None or stamp_ns >= self._started_ns:
                self._command = (position, stamp_ns)
                self._wake.notify()

    def call(self, work: Callable[[Simulator], T], timeout_s: float = CALL_S) -> T:
        """Run `work` on the simulator between two ticks; returns or raises what it does, or what ended it."""
        future: Future = Future()
        with self._wake:
            if self._ended is not None:
                raise self._ended
            self._requests.append((work, future))
            self._wake.notify()
        try:
            result: T = future.result(timeout_s)
        except TimeoutError:
            raise EmmaError(
                "the simulator does not answer",
                found=f"nothing within {timeout_s:.0f} s",
                expected="a tick",
                fix="give this machine less to do, or see `emma doctor` about OpenGL",
            ) from None
        return result

    def reset(self, work: Callable[[Simulator], T]) -> T:
        """`call` for work that resets the simulator; the new episode's first data are out when this returns."""

        def begin(sim: Simulator) -> T:
            result = work(sim)
            self._begin(sim)
            return result

        return self.call(begin)

    def close(self) -> None:
        """End the thread and free the graphics contexts."""
        self._stop.set()
        with self._wake:
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self, make: Callable[[], Simulator]) -> None:
        try:
            with make() as sim:
                self._begin(sim)
                (self._run_lockstep if self._lockstep else self._run_real_time)(sim)
        except Exception as error:  # the node must end with a message instead of falling silent
            with self._wake:
                self._ended = error
                for _, future in self._requests:
                    future.set_exception(error)
            self._output.crashed(error)

    def _run_real_time(self, sim: Simulator) -> None:
        rate = FixedRate(1.0 / self._spec.control_rate_hz, self._stop, slack=CATCH_UP_TICKS)
        while (beat := rate.wait()) is not None:
            if beat.missed:
                self._output.late(beat.missed)
            self._serve(sim)
            with self._wake:
                if self._command is not None:
                    self._hold = self._command[0]
                    self._command = None
            self._step(sim)
            self._draw_due(sim, rate)

    def _run_lockstep(self, sim: Simulator) -> None:
        while not self._stop.is_set():
            self._serve(sim)
            with self._wake:
                ready = self._wake.wait_for(
                    lambda: self._stop.is_set() or self._requests or self._command is not None, self._repeat_s
                )
                command, self._command = self._command, None
            if command is not None and command[1] in (None, self._stamp_ns):
                self._hold = command[0]
                self._step(sim)
            elif not ready:
                self._send(sim, self._cameras)

    def _serve(self, sim: Simulator) -> None:
        while self._requests:
            work, future = self._requests.popleft()
            try:
                future.set_result(work(sim))
            except Exception as error:  # belongs to whoever asked
                future.set_exception(error)

    def _begin(self, sim: Simulator) -> None:
        with self._wake:
            self._command = None
            self._stamp_ns = self._stamp_ns + self._period_ns if self._lockstep else self._clock_ns()
            self._started_ns = self._stamp_ns
        self._hold = sim.state()
        self._previous = None
        self._look(sim)

    def _step(self, sim: Simulator) -> None:
        assert self._hold is not None
        self._previous = sim.state()
        sim.step(self._hold)
        with self._wake:
            self._stamp_ns = self._stamp_ns + self._period_ns if self._lockstep else self._clock_ns()
        self._look(sim)

    def _look(self, sim: Simulator) -> None:
        """Cameras take their pictures; in lockstep they are drawn and sent before the joints, in real time after."""
        fresh = [camera for camera in self._cameras if sim.picture_tick(camera) == sim.tick]
        self._taken_ns |= dict.fromkeys(fresh, self._stamp_ns)
        if self._lockstep:
            self._send(sim, fresh)
            return
        self._send_joints(sim)
        self.lost_pictures += len(set(self._due) & set(fresh))
        # Whoever waits already comes first, with the new picture.
        self._due += [camera for camera in fresh if camera not in self._due]

    def _draw_due(self, sim: Simulator, rate: FixedRate) -> None:
        """Draw as many pictures as fit before the next tick, at least one; the rest waits, and may be overtaken.

        A machine that is too slow then lowers the cameras' rates, as real ones do, and never the arm's time.
        """
        while self._due:
            began = rate.left_s
            self._draw(sim, self._due.pop(0))
            took = began - rate.left_s
            if rate.left_s < took:
                return

    def _send(self, sim: Simulator, cameras: Iterable[str]) -> None:
        for camera in cameras:
            self._draw(sim, camera)
        self._send_joints(sim)

    def _draw(self, sim: Simulator, camera: str) -> None:
        color, depth = self._output.wants(camera)
        self._output.picture(
            self._taken_ns[camera],
            camera,
            sim.render(camera) if color else None,
            sim.depth(camera) if depth else None,
        )

    def _send_joints(self, sim: Simulator) -> None:
        state = sim.state()
        moved = np.zeros_like(state) if self._previous is None else state - self._previous
        self._output.joints(self._stamp_ns, state, moved * self._spec.control_rate_hz)
        self._output.outcome(sim.task, sim.outcome(), sim.time_s)
