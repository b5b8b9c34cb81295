"""Jobs in processes of their own, some at once: each goes on where it was killed, and dies with what started it.

A job is forked from a server that has imported the heavy libraries once, so that one that does little costs little.
Trainings need a process each anyway: accelerate decides on a precision once in a process.
"""

import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from emma.errors import EmmaError
from emma.files import atomic_write_text, read_json_lines

LOOK_S = 1.0
# An interrupted training saves a checkpoint.
PATIENCE_S = 60.0
LAST_LINES = 5
HISTORY, SERVER = "jobs.jsonl", "server.txt"
# Libraries that most jobs need. No simulator: a GL context must not be older than the process that draws.
IMPORTED_ONCE = ("emma.training.loop", "emma.policy.runtime", "emma.policy.export.bundle_export")


@dataclass(frozen=True, kw_only=True)
class Job:
    """work: a picklable call. needs: names of jobs before it. share: how much of it is done, 0..1, read from files.

    cost_s: how long it takes, estimated, in one process.
    """

    name: str
    work: Callable[[], object]
    share: Callable[[], float]
    needs: tuple[str, ...] = ()
    cost_s: float = 0.0


@dataclass
class State:
    """What is going on, for a progress bar. left_s: estimated seconds of work of one process."""

    jobs: Sequence[Job]
    done: set[str] = field(default_factory=set)
    running: tuple[str, ...] = ()

    @property
    def total_s(self) -> float:
        return sum(job.cost_s for job in self.jobs)

    def done_s(self) -> float:
        """Of `total_s`."""
        return sum(
            job.cost_s * (1.0 if job.name in self.done else job.share() if job.name in self.running else 0.0)
            for job in self.jobs
        )


def run_jobs(
    jobs: Sequence[Job],
    workers: int,
    logs: Path,
    changed: Callable[[State], None] = lambda _: None,
    *,
    imports: Sequence[str] = IMPORTED_ONCE,
) -> None:
    """Do what is not done yet, the first of the list first, `workers` at once.

    When one fails, those that need it are left out; in the end EmmaError is raised for the first. Interrupted, those at
    work are asked to save and end; they go on another time.
    """
    state = State(jobs, done={job.name for job in jobs if job.share() >= 1.0})
    changed(state)
    if len(state.done) == len(jobs):
        return
    logs.mkdir(parents=True, exist_ok=True)
    context = _context(logs / SERVER, imports)
    running: dict[str, tuple[Job, ForkServerProcess, float]] = {}
    failed: dict[str, EmmaError] = {}
    try:
        while True:
            for job in jobs:
                waiting = job.name not in state.done and job.name not in running and job.name not in failed
                if waiting and len(running) < workers and state.done.issuperset(job.needs):
                    log = logs / f"{_file_name(job.name)}.txt"
                    # Not a daemon: it may start processes of its own.
                    process = context.Process(target=_child, args=(job.work, str(log)), name=job.name)
                    process.start()
                    running[job.name] = (job, process, time.monotonic())
            if not running:
                break
            state.running = tuple(running)
            changed(state)
            connection.wait([process.sentinel for _, process, _ in running.values()], timeout=LOOK_S)
            for job, process, since in [r for r in running.values() if not r[1].is_alive()]:
                process.join()
                del running[job.name]
                if process.exitcode == 0:
                    state.done.add(job.name)
                    _note(logs / HISTORY, job, time.monotonic() - since)
                else:
                    failed[job.name] = _error(job, logs, process.exitcode or 0)
    finally:
        _end([process for _, process, _ in running.values()])
    state.running = ()
    changed(state)
    for error in failed.values():
        raise error


def _note(history: Path, job: Job, seconds: float) -> None:
    """How long jobs took: what the next estimate is judged by."""
    rows = read_json_lines(history) if history.is_file() else []
    rows.append({"job": job.name, "seconds": round(seconds, 1), "estimated_s": round(job.cost_s, 1)})
    atomic_write_text(history, "".join(json.dumps(row) + "\n" for row in rows))


def _context(log: Path, imports: Sequence[str]) -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(list(imports))
    # What libraries print when they are imported belongs into a log.
    before = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
            forkserver.ensure_running()
    finally:
        os.dup2(before, 2)
        os.close(before)
    return context


def _child(work: Callable[[], object], log: str) -> None:
    """Runs in the process of a job. Exit code 1: an error, whose last lines are in the log."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    # One thread a job, of a torch that is imported later and of one that is here: threads that wait for each other on
    # a busy machine cost more than they bring, and there are other jobs.
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        work()
    except EmmaError as error:
        print(error, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _die_with(sentinel: int) -> None:
    """Two runs must never work on the same files: nothing is saved here, as after a kill."""
    connection.wait([sentinel])
    os._exit(1)


def _end(processes: Sequence[ForkServerProcess]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + PATIENCE_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _error(job: Job, logs: Path, code: int) -> EmmaError:
    # Of a job that could not even begin, the server's log tells.
    log = next((file for file in (logs / f"{_file_name(job.name)}.txt", logs / SERVER) if file.is_file()), logs)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return EmmaError(
        f"the job '{job.name}' failed ({how})",
        found="\n            ".join(lines[-LAST_LINES:]) or "an empty log",
        fix=f"see {log}; the same command goes on from there",
    )


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name).strip("-")
