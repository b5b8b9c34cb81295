"""The candidate's weights: what `emma train` does, on everything there is."""

import json
import threading
from dataclasses import fields
from pathlib import Path

from emma.adamix.config import AdaMixConfig
from emma.cycle.data import generated_datasets, human_datasets, real_datasets
from emma.cycle.job import Job, Made
from emma.files import sha256_file
from emma.policy.bundle import load_bundle
from emma.policy.exported import weights_of
from emma.training.checkpoints import checkpoint_folders
from emma.training.config import JOINT, TrainConfig, TrainOptions
from emma.training.loop import CONFIG, LOG, RUN, mean_loss, train

BUNDLE = "bundle"
LOOK_S = 1.0
# Samplers that mix kinds of data: with one kind there is nothing to mix.
MIXING = ("fixmix",)


def work(job: Job) -> Made:
    """Goes on from the newest checkpoint of a killed attempt, to the same weights (CPU)."""
    settings, baseline = job.cycle.config.train, load_bundle(job.baseline)
    real, generated = real_datasets(job.cycle, job.before), generated_datasets(job.cycle, job.before)
    human = human_datasets(job.cycle)
    start = settings.start == "current"
    mixed = bool(generated or human)
    sampler = "uniform" if settings.sampler in MIXING and not mixed else settings.sampler
    # What the current version was trained on, it goes on with.
    space = str(baseline.info.training.get("action_space", JOINT)) if start else settings.action_space
    config = TrainConfig(
        data=(
            *(f"real:{path}" for path in real),
            *(f"generated:{path}" for path in generated),
            *(f"human:{path}" for path in human),
        ),
        init=str(baseline.path) if start else "",
        cameras=baseline.info.cameras,
        seed=job.cycle.seed,
        log_every=min(50, max(1, settings.steps // 10)),
        **{
            **{spec.name: getattr(settings, spec.name) for spec in fields(TrainOptions)},
            "policy": baseline.info.policy_type if start else settings.policy,
            "sampler": sampler,
            "ratio": settings.ratio if mixed else None,
            "action_space": space,
        },
        # What goes on from a trained policy can be judged at once, when clips differ most by their look.
        adamix=AdaMixConfig.of({**({"warm_up": 0} if start else {}), **settings.adamix}),
    )
    out = job.folder / BUNDLE
    resume = bool(checkpoint_folders(out / RUN)) and (out / RUN / CONFIG).is_file()
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(job, out / RUN / LOG, settings.steps, over), daemon=True)
    watcher.start()
    try:
        train(config, out, resume=resume)
    finally:
        over.set()
        watcher.join()
    loss = mean_loss(out / RUN / LOG)
    return Made(
        outputs={f"{BUNDLE}/{name}": digest for name, digest in weights_of(out).items()}
        | {f"{BUNDLE}/emma.json": sha256_file(out / "emma.json")},
        results={
            "loss": loss,
            "steps": settings.steps,
            "sampler": sampler,
            "real": [str(path) for path in real],
            "generated": [str(path) for path in generated],
            "human": [str(path) for path in human],
            "resumed": resume,
        },
    )


def _watch(job: Job, log: Path, steps: int, over: threading.Event) -> None:
    """The loop writes a log; its last line says how far it is."""
    while not over.wait(LOOK_S):
        try:
            row = json.loads(log.read_text().splitlines()[-1])
        except (OSError, IndexError, ValueError):
            continue
        job.progress(int(row.get("step", 0)), steps, f"loss {row.get('loss', float('nan')):.4f}")
