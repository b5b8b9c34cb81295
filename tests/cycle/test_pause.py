"""When the work stands still, on readings and a clock of the test's choice, and once on this machine's own."""

from pathlib import Path

from emma.cycle.config import PauseSettings
from emma.cycle.pause import PAUSE_FILE, PauseRules, Reading, Sensors

IDLE = Reading(others_cpu=0.1, battery=None, memory_mb=4000)
BUSY = Reading(others_cpu=0.95, battery=None, memory_mb=4000)


class Bench:
    """Rules with a clock that a test moves, a second a look."""

    def __init__(self, folder: Path, **settings: float) -> None:
        self.now, self.reading = 0.0, IDLE
        config = PauseSettings(**{"hold_s": 3.0, "check_s": 1.0, **settings})  # type: ignore[arg-type]
        self.rules = PauseRules(config, folder, sensors=lambda: self.reading, clock=lambda: self.now)

    def look(self, reading: Reading, seconds: int = 1) -> list[bool]:
        self.reading, said = reading, []
        for _ in range(seconds):
            self.now += 1.0
            said.append(bool(self.rules.reason()))
        return said


def test_load_of_others_counts_when_it_lasts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.look(BUSY, 2) + bench.look(IDLE, 2) + bench.look(BUSY, 2) == [False] * 6
    assert bench.look(BUSY, 3)[-1]
    assert "95%" in bench.rules.reason()
    # And ends when it has been quiet as long.
    assert bench.look(IDLE, 3) == [True] * 3
    assert bench.look(IDLE) == [False]


def test_battery_counts_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.look(Reading(others_cpu=0.0, battery=0.8, memory_mb=4000)) == [False]
    assert bench.look(Reading(others_cpu=0.0, battery=0.3, memory_mb=4000)) == [True]
    assert bench.rules.reason() == "on battery, 30% left"
    assert bench.look(IDLE, 4)[-1] is False


def test_little_memory_counts(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.look(Reading(others_cpu=0.0, battery=None, memory_mb=100), 4)[-1]


def test_a_file_stops_it_whatever_the_rules(tmp_path: Path) -> None:
    bench = Bench(tmp_path, enabled=False)
    assert bench.look(BUSY, 10) == [False] * 10
    (tmp_path / PAUSE_FILE).write_text("a visitor is here\n")
    assert bench.rules.reason() == "a visitor is here"
    (tmp_path / PAUSE_FILE).unlink()
    assert bench.rules.reason() == ""


def test_this_machine_can_be_read() -> None:
    reading = Sensors()()
    assert 0.0 <= reading.others_cpu <= 1.0
    assert reading.memory_mb > 0
