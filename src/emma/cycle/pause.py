"""When the work stands still: on battery, while others need processor or memory, or on request."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from emma.cycle.config import PauseSettings

# A file of this name in the folder of the cycles stops the work for as long as it is there; its text is the reason.
PAUSE_FILE = "PAUSE"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """others_cpu: share of all cores in 0..1 that processes of normal priority take; battery: 0..1, None if plugged in
    or there is none; memory_mb: what could still be had."""

    others_cpu: float
    battery: float | None
    memory_mb: float


class Sensors:
    """Readings of this machine; the processor's share is since the reading before."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def __call__(self) -> Reading:
        now, before = psutil.cpu_times(), self._before
        self._before = now
        spent = {name: getattr(now, name) - getattr(before, name) for name in now._fields if "guest" not in name}
        total = sum(spent.values())
        # Ours is niced and therefore not in `user`.
        others = sum(spent.get(name, 0.0) for name in ("user", "system", "irq", "softirq"))
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return Reading(
            others_cpu=others / total if total > 0 else 0.0,
            battery=None if battery is None or battery.power_plugged else battery.percent / 100,
            memory_mb=psutil.virtual_memory().available / 2**20,
        )


class PauseRules:
    """`reason` says why the work stands still, "" while it may go on.

    A rule has to hold for `hold_s` before it counts, and to fail as long before it no longer does: a load that comes
    and goes each second must not make the work stutter. Battery and file count at once.
    """

    def __init__(
        self,
        settings: PauseSettings,
        folder: Path,
        *,
        sensors: Callable[[], Reading] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._file, self._clock = settings, folder / PAUSE_FILE, clock
        self._sensors = sensors or Sensors()
        self._next = clock() + settings.check_s
        self._measured = ""
        # Since when the measurement has been saying something else than what counts.
        self._differs: float | None = None

    def reason(self) -> str:
        """Cheap: looks at the machine once every `check_s`."""
        if told := self._told():
            return told
        now = self._clock()
        if self._settings.enabled and now >= self._next:
            self._next = now + self._settings.check_s
            self._judge(self._sensors(), now)
        return self._measured

    def _told(self) -> str:
        try:
            return self._file.read_text().strip() or f"{self._file} is there"
        except OSError:
            return ""

    def _judge(self, reading: Reading, now: float) -> None:
        limits = self._settings
        if reading.battery is not None and reading.battery < limits.battery_below:
            self._measured, self._differs = f"on battery, {reading.battery:.0%} left", None
            return
        found = ""
        if reading.memory_mb < limits.memory_below_mb:
            found = f"{reading.memory_mb:.0f} MB of memory left"
        elif reading.others_cpu > limits.others_cpu_above:
            found = f"others take {reading.others_cpu:.0%} of the processor"
        if bool(found) == bool(self._measured):
            self._differs = None
            self._measured = found
            return
        if self._differs is None:
            self._differs = now
        if now - self._differs >= limits.hold_s:
            self._measured, self._differs = found, None
