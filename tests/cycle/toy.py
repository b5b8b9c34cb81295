"""Stages that are quick and still real: each leaves files, goes on where it was killed, and depends on its seed."""

import hashlib
import json
import time
from pathlib import Path

from emma.cycle.job import Job, Made
from emma.errors import EmmaError
from emma.files import sha256_file

STEPS = 12


def chain(job: Job) -> Made:
    """A chain of hashes, a line a step: what is there is gone on from, as a training does from its checkpoint."""
    start = json.dumps([job.cycle.seed, {name: dict(m.outputs) for name, m in job.before.items()}], sort_keys=True)
    file = job.folder / "chain.txt"
    lines = file.read_text().splitlines() if file.is_file() else []
    if file.is_file() and not file.read_text().endswith("\n"):
        lines = lines[:-1]
    for step in range(len(lines), STEPS):
        lines.append(hashlib.sha256((lines[-1] if lines else start).encode()).hexdigest())
        file.write_text("".join(line + "\n" for line in lines))
        job.progress(step + 1, STEPS, "")
        time.sleep(0.01)
    return Made(outputs={"chain.txt": sha256_file(file)}, results={"last": lines[-1]})


def refuse(job: Job) -> Made:
    raise EmmaError("no film in the camera", found="nothing", expected="a film", fix="put one in")


def crash(job: Job) -> Made:
    print("about to fall")
    raise RuntimeError("fell")


def wait(job: Job) -> Made:
    """Counts up until somebody ends it."""
    for i in range(100_000):
        (job.folder / "count").write_text(str(i))
        job.progress(i, 0, "")
        time.sleep(0.02)
    return Made(outputs={"count": sha256_file(Path(job.folder / "count"))})
