"""Jobs in processes of their own: order, what needs what, what fails, and what dies with its parent."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from emma.bench.generalisation.jobs import HISTORY, Job, State, run_jobs
from emma.errors import EmmaError
from emma.policy.bundle import load_bundle


def there(file: Path) -> float:
    return float(file.is_file())


def job(folder: Path, name: str, *needs: str) -> Job:
    """Writes a file of its name."""
    file = folder / name
    return Job(name=name, work=partial(Path.write_text, file, name), share=partial(there, file), needs=needs, cost_s=1)


def test_each_comes_after_what_it_needs(tmp_path):
    (tmp_path / "done").write_text("as it was")
    # The order of the list is that of the work, unless one needs another.
    jobs = [job(tmp_path, "c", "b"), job(tmp_path, "done"), job(tmp_path, "a", "done"), job(tmp_path, "b", "a")]
    seen: list[float] = []
    run_jobs(jobs, 2, tmp_path / "logs", lambda state: seen.append(state.done_s()), imports=())
    times = [(tmp_path / name).stat().st_mtime_ns for name in "abc"]
    assert times == sorted(times)
    assert (tmp_path / "done").read_text() == "as it was"
    assert (seen[0], seen[-1]) == (1.0, 4.0)
    assert seen == sorted(seen)
    rows = [json.loads(line) for line in (tmp_path / "logs" / HISTORY).read_text().splitlines()]
    assert [row["job"] for row in rows] == ["a", "b", "c"]


def test_what_fails_is_told_and_the_others_are_done(tmp_path):
    broken = Job(name="paint it", work=partial(load_bundle, str(tmp_path)), share=partial(there, tmp_path / "wall"))
    jobs = [broken, job(tmp_path, "hang pictures", "paint it"), job(tmp_path, "a"), job(tmp_path, "b", "a")]
    with pytest.raises(EmmaError) as caught:
        run_jobs(jobs, 1, tmp_path / "logs", imports=())
    said = str(caught.value)
    assert "the job 'paint it' failed (exit code 1)" in said
    assert "is not a policy bundle" in said
    assert "the same command goes on" in said
    assert (tmp_path / "b").is_file()
    assert not (tmp_path / "hang pictures").exists()


def test_the_share_of_work_that_is_done_counts():
    jobs = [Job(name=n, work=print, share=lambda: 0.5, cost_s=10.0) for n in "abc"]
    assert State(jobs, done={"a"}, running=("b",)).done_s() == 15.0
    assert State(jobs).total_s == 30.0


DRIVER = """
import signal, sys, time
from functools import partial
from pathlib import Path
from emma.bench.generalisation.jobs import Job, run_jobs

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sleep = Job(name="sleep", work=partial(time.sleep, 3600), share=float)
    run_jobs([sleep], 1, Path(sys.argv[1]), imports=())
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_end_with_what_started_them(tmp_path, end):
    (tmp_path / "driver.py").write_text(DRIVER)
    words = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "logs")]
    driver = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    while not (tmp_path / "logs" / "sleep.txt").is_file():
        assert driver.poll() is None
        time.sleep(0.05)
    family = psutil.Process(driver.pid).children(recursive=True)
    assert family
    driver.send_signal(end)
    driver.wait()
    _, alive = psutil.wait_procs(family, timeout=600)
    assert not alive
