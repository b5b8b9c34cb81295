"""Every real dataset in new looks, by `emma augment` or another program; datasets that were done before are used again.

What is generated lies in `OUT/generated/<hash of its inputs>`, so that a cycle pays for its new episodes only.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from emma.cycle.config import AugmentSettings
from emma.cycle.data import DATASET, real_datasets
from emma.cycle.job import Job, Made
from emma.cycle.manifest import dataset_hash
from emma.cycle.priority import die_with_parent
from emma.cycle.stage_plans import generator_hash
from emma.errors import EmmaError
from emma.files import atomic_write_text

# {placeholders} are filled in; the same call again goes on where it was killed.
COMMAND = (
    *("{python}", "-m", "emma", "augment", "{dataset}", "--generator", "{generator}", "--prompts", "{prompts}"),
    *("--variants", "{variants}", "--seed", "{seed}", "--workers", "{workers}", "--out", "{out}"),
)
MADE, LOG = "made.json", "augment.log"
LOOK_S = 0.5


def work(job: Job) -> Made:
    """Raises EmmaError with the end of the program's log if it fails."""
    settings = job.cycle.config.augment
    generator = generator_hash(Path(settings.generator)) if settings.generator else ""
    datasets = real_datasets(job.cycle, job.before)
    outputs, rows = {}, []
    for i, dataset in enumerate(datasets):
        job.progress(i, len(datasets), dataset.name)
        source = dataset_hash(dataset)
        # The seed is the configuration's, not the cycle's: else nothing would ever be used again.
        seed = job.cycle.config.seed
        decisive = {"source": source, "generator": generator, "seed": seed, **_decisive(settings)}
        key = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
        folder = job.cycle.config.root / "generated" / key
        again = (folder / MADE).is_file()
        if not again:
            _run(
                _words(settings, dataset, folder / DATASET, seed),
                folder,
                lambda note, i=i: job.progress(i, len(datasets), note),
            )
            atomic_write_text(folder / MADE, json.dumps(decisive | {"of": str(dataset)}, indent=2) + "\n")
        name = os.path.relpath(folder / DATASET, job.folder)
        outputs[name] = dataset_hash(folder / DATASET)
        rows.append({"of": str(dataset), "made": name, "used_again": again})
    job.progress(len(datasets), len(datasets), "")
    return Made(outputs=outputs, results={"datasets": rows})


def _decisive(settings: AugmentSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("prompts", "variants", "command", "options")}


def _words(settings: AugmentSettings, dataset: Path, out: Path, seed: int) -> list[str]:
    values = {
        "python": sys.executable,
        "dataset": str(dataset),
        "generator": settings.generator,
        "prompts": settings.prompts,
        "variants": str(settings.variants),
        "seed": str(seed),
        "workers": str(settings.workers),
        "out": str(out),
    }
    try:
        return [word.format_map(values) for word in (*(settings.command or COMMAND), *settings.options)]
    except (KeyError, ValueError, IndexError) as error:
        raise EmmaError(
            "augment.command has an unknown placeholder",
            found=str(error),
            expected=", ".join(f"{{{v}}}" for v in values),
        ) from None


def _run(words: list[str], folder: Path, note: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log, me = folder / LOG, os.getpid()
    with log.open("ab") as file:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: die_with_parent(me),
        )
    while child.poll() is None:
        time.sleep(LOOK_S)
        note(_last_line(log))
    if child.returncode != 0:
        raise EmmaError(
            "the augmentation failed",
            found=f"exit code {child.returncode}: {_last_line(log)}",
            expected="exit code 0",
            fix=f"see {log}; run by hand: {' '.join(words)}",
        )


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-400:].decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:120]
