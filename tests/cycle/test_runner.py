"""The runner with stages that are quick: what is done is skipped, a kill anywhere changes nothing, a rule stops it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from emma.cycle.config import ImproveConfig
from emma.cycle.cycle import Cycle, new_cycle
from emma.cycle.inventory import Inventory
from emma.cycle.manifest import load_manifest
from emma.cycle.pause import PAUSE_FILE, PauseRules
from emma.cycle.runner import Runner
from emma.cycle.stage_plans import Stage
from emma.cycle.state import StateFile, read_state
from emma.errors import EmmaError

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def _toys_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def stage(name: str, work: str, after: str = "", **settings: object) -> Stage:
    return Stage(
        name=name,
        work=f"toy:{work}",
        describe=lambda cycle, before: (settings, before[after].outputs if after else {}),
    )


CHAIN = (stage("one", "chain"), stage("two", "chain", "one"), stage("three", "chain", "two"))


@pytest.fixture
def cycle(tmp_path: Path, tiny_config: Callable[..., ImproveConfig]) -> Cycle:
    return new_cycle(tiny_config(tmp_path), 1, 1, Inventory(), ())


def runner(cycle: Cycle, *stages: Stage) -> Runner:
    root = cycle.config.root
    return Runner(stages, PauseRules(cycle.config.pause, root), StateFile(root))


def test_done_stages_are_skipped_and_changed_ones_done_again(cycle: Cycle) -> None:
    first = runner(cycle, *CHAIN).run(cycle)
    stamps = {name: (cycle.stage(name) / "chain.txt").stat().st_mtime_ns for name in first}
    again = runner(cycle, *CHAIN).run(cycle)
    assert again == first
    assert stamps == {name: (cycle.stage(name) / "chain.txt").stat().st_mtime_ns for name in first}
    # Another setting of the second stage: its result is the same here, so that the third need not be done again.
    runner(cycle, CHAIN[0], stage("two", "chain", "one", more=1), CHAIN[2]).run(cycle)
    after = {name: (cycle.stage(name) / "chain.txt").stat().st_mtime_ns for name in first}
    assert [name for name in first if after[name] != stamps[name]] == ["two"]


def test_an_output_that_is_gone_is_made_again(cycle: Cycle) -> None:
    first = runner(cycle, *CHAIN[:1]).run(cycle)
    (cycle.stage("one") / "chain.txt").unlink()
    assert runner(cycle, *CHAIN[:1]).run(cycle)["one"].outputs == first["one"].outputs


def test_a_manifest_says_what_made_the_result(cycle: Cycle) -> None:
    made = runner(cycle, *CHAIN[:2]).run(cycle)["two"]
    assert made == load_manifest(cycle.stage("two"))
    assert made.plan.seed == cycle.seed
    assert made.plan.inputs == runner(cycle, *CHAIN[:2]).run(cycle)["one"].outputs
    assert made.commit
    assert made.versions
    assert made.attempts == 1


def test_a_damaged_manifest_is_named(cycle: Cycle) -> None:
    runner(cycle, *CHAIN[:1]).run(cycle)
    file = cycle.stage("one") / "manifest.json"
    file.write_text(file.read_text().replace('"seed": 1', '"seed": 2'))
    with pytest.raises(EmmaError, match="was changed"):
        runner(cycle, *CHAIN[:1]).run(cycle)


def test_errors_of_a_stage_come_through(cycle: Cycle) -> None:
    with pytest.raises(EmmaError) as caught:
        runner(cycle, stage("photo", "refuse")).run(cycle)
    assert (caught.value.problem, caught.value.fix) == ("photo: no film in the camera", "put one in")
    with pytest.raises(EmmaError) as caught:
        runner(cycle, stage("stairs", "crash")).run(cycle)
    assert "RuntimeError: fell" in str(caught.value)
    assert "about to fall" in (cycle.stage("stairs") / "log.txt").read_text()


DRIVER = """
import signal, sys
# Tests that are started in the background by a script inherit an ignored Ctrl+C.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_runner import CHAIN, runner
from emma.cycle.cycle import load_cycle
cycle = load_cycle(Path(sys.argv[1]))
runner(cycle, *CHAIN).run(cycle)
"""


def test_killed_anywhere_it_ends_at_the_same_result(cycle: Cycle, tmp_path: Path) -> None:
    other = replace(cycle, config=replace(cycle.config, out=str(tmp_path / "undisturbed")))
    other.save()
    wanted = {name: m.results["last"] for name, m in runner(other, *CHAIN).run(other).items()}
    # After so many of the 36 steps, also in the middle of writing the next.
    for steps in (1, 12, 17, 30):
        child = subprocess.Popen([sys.executable, "-c", DRIVER, str(cycle.folder), str(HERE)])
        wait_until(lambda at=steps: lines(cycle) >= at or child.poll() is not None)  # noqa: B023
        time.sleep(0.007 * (steps % 3))
        child.kill()
        child.wait()
    found = {name: m.results["last"] for name, m in runner(cycle, *CHAIN).run(cycle).items()}
    assert found == wanted


def lines(cycle: Cycle) -> int:
    """Steps that all stages together have done."""
    return sum(file.read_text().count("\n") for file in cycle.folder.glob("*/chain.txt"))


def test_the_stage_dies_with_its_parent(cycle: Cycle) -> None:
    driver = DRIVER.replace("*CHAIN", "stage('wait', 'wait')").replace("import CHAIN,", "import stage,")
    child = subprocess.Popen([sys.executable, "-c", driver, str(cycle.folder), str(HERE)], stdout=subprocess.PIPE)
    wait_until(lambda: (cycle.stage("wait") / "count").is_file())
    (stage_process,) = psutil.Process(child.pid).children()
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()
    wait_until(lambda: not stage_process.is_running() or stage_process.status() == psutil.STATUS_ZOMBIE)
    assert read_state(cycle.config.root).phase == "idle"


# Started in the background by a script, with Ctrl+C ignored; it would wait for its stage for ever.
BACKGROUND = """
import signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_runner import runner, stage
import emma.cycle.runner
from emma.cycle.cycle import load_cycle
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.default_int_handler)
emma.cycle.runner.PATIENCE_S = None
cycle = load_cycle(Path(sys.argv[1]))
runner(cycle, stage("wait", "wait")).run(cycle)
"""


def test_a_stage_hears_that_it_shall_end_although_ctrl_c_is_nobody(cycle: Cycle) -> None:
    words = [sys.executable, "-c", BACKGROUND, str(cycle.folder), str(HERE)]
    driver = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        wait_until((cycle.stage("wait") / "count").is_file)
        driver.terminate()
        wait_until(lambda: driver.poll() is not None)
    finally:
        driver.kill()
        driver.wait()


@pytest.mark.slow
def test_a_rule_stops_the_work_and_lets_it_go_on(cycle: Cycle) -> None:
    root, count = cycle.config.root, cycle.stage("wait") / "count"

    def look() -> int:
        return int(count.read_text() or -1)

    driver = subprocess.Popen(
        [
            sys.executable,
            "-c",
            DRIVER.replace("*CHAIN", "stage('wait', 'wait')").replace("import CHAIN,", "import stage,"),
            *(str(cycle.folder), str(HERE)),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(count.is_file)
        (root / PAUSE_FILE).write_text("lunch")
        # The file is there before its words are.
        wait_until(lambda: read_state(root).paused == "lunch")
        assert read_state(root).phase == "paused"
        (stage_process,) = psutil.Process(driver.pid).children()
        wait_until(lambda: stage_process.status() == psutil.STATUS_STOPPED)
        before = look()
        time.sleep(0.3)
        assert look() == before
        (root / PAUSE_FILE).unlink()
        wait_until(lambda: look() > before)
        wait_until(lambda: read_state(root).phase == "running")
        # Ctrl+C ends a stage, also one that stands still.
        (root / PAUSE_FILE).write_text("dinner")
        wait_until(lambda: stage_process.status() == psutil.STATUS_STOPPED)
        driver.send_signal(signal.SIGINT)
        wait_until(lambda: driver.poll() is not None)
        assert driver.returncode != -signal.SIGKILL
        assert not stage_process.is_running()
    finally:
        driver.kill()
        driver.wait()


def wait_until(condition: Callable[[], object]) -> None:
    """Ten minutes are for what hangs: on a busy machine a process alone may take one to start."""
    end = time.monotonic() + 600.0
    while not condition():
        assert time.monotonic() < end, "this takes too long"
        time.sleep(0.02)
