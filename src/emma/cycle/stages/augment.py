"""Every real dataset in new looks, by `emma augment` or another program; datasets that were done before are used again.

What is generated lies in `OUT/generated/<hash of its inputs>`, so that a cycle pays for its new episodes only.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from emma.augmentation.config import AugmentConfig, ToolOptions
from emma.augmentation.job import augment
from emma.augmentation.tools import tools_for
from emma.cycle.config import AugmentSettings
from emma.cycle.data import DATASET, real_datasets
from emma.cycle.external_program import run_program
from emma.cycle.job import Job, Made
from emma.cycle.job import Progress as StageProgress
from emma.cycle.manifest import dataset_hash
from emma.cycle.stage_plans import generator_hash
from emma.dreamtransfer.filter_config import FilterConfig
from emma.dreamtransfer.prompts import Grammar
from emma.files import atomic_write_text

MADE = "made.json"


def work(job: Job) -> Made:
    """Raises EmmaError; finished clips are kept then."""
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
            _draw(settings, dataset, folder, seed, job.progress)
            atomic_write_text(folder / MADE, json.dumps(decisive | {"of": str(dataset)}, indent=2) + "\n")
        name = os.path.relpath(folder / DATASET, job.folder)
        outputs[name] = dataset_hash(folder / DATASET)
        rows.append({"of": str(dataset), "made": name, "used_again": again})
    job.progress(len(datasets), len(datasets), "")
    return Made(outputs=outputs, results={"datasets": rows})


def _decisive(settings: AugmentSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in ("prompts", "variants", "settings", "reject", "command")}


def _draw(settings: AugmentSettings, dataset: Path, folder: Path, seed: int, progress: StageProgress) -> None:
    out = folder / DATASET
    if settings.command:
        values = {
            "dataset": str(dataset),
            "generator": settings.generator,
            "prompts": settings.prompts,
            "variants": str(settings.variants),
            "seed": str(seed),
            "workers": str(settings.workers),
            "out": str(out),
        }
        run_program(settings.command, values, folder, lambda note: progress(0, 0, note))
        return
    options = ToolOptions(generator=settings.generator, settings=settings.settings)
    config = AugmentConfig(
        variants=settings.variants,
        seed=seed,
        workers=settings.workers,
        filter=FilterConfig(reject=settings.reject),
        also=options.decisive,
    )
    augment(dataset, out, tools_for(dataset, options), Grammar.load(settings.prompts).sample, config, progress)
