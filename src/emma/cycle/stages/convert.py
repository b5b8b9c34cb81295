"""New bags to a LeRobotDataset, and those that are held out to one of their own."""

import shutil
from pathlib import Path

from emma.conversion.config import ConvertConfig
from emma.conversion.convert import EpisodeResult, convert
from emma.cycle.config import ConvertSettings
from emma.cycle.data import DATASET, HELD_OUT
from emma.cycle.inventory import Episode, held_out
from emma.cycle.job import Job, Made
from emma.cycle.manifest import dataset_hash
from emma.datasets.index import read_provenance


def work(job: Job) -> Made:
    """Converted episodes stay when this is killed; a bag that cannot be converted is named in the results."""
    episodes, settings = job.cycle.inventory.episodes, job.cycle.config.convert
    aside = frozenset[str]()
    if job.cycle.config.measure == "held-out":
        aside = held_out([e.id for e in episodes], settings.held_out)
    results: dict[str, EpisodeResult] = {}
    for i, episode in enumerate(episodes):
        out = job.folder / (HELD_OUT if episode.id in aside else DATASET)
        results[episode.id] = _convert(episode, out, job, settings)
        job.progress(i + 1, len(episodes), episode.id)
    outputs, counts = {}, {}
    for name in (DATASET, HELD_OUT):
        counts[name] = len(read_provenance(job.folder / name)) if (job.folder / name).is_dir() else 0
        if counts[name]:
            outputs[name] = dataset_hash(job.folder / name)
        else:
            shutil.rmtree(job.folder / name, ignore_errors=True)
    refused = {name: r.reason for name, r in results.items() if r.outcome in ("refused", "skipped")}
    return Made(
        outputs=outputs,
        results={
            "episodes": counts[DATASET],
            "held_out": counts[HELD_OUT],
            "refused": refused,
            "passed": dict(job.cycle.inventory.passed or {}),
        },
    )


def _convert(episode: Episode, out: Path, job: Job, settings: ConvertSettings) -> EpisodeResult:
    config = ConvertConfig(
        cameras=settings.cameras,
        depth=settings.depth,
        keep_failed=settings.keep_failed,
        keep_recovered=settings.keep_recovered,
        keep_stale=settings.keep_stale,
    )
    # One by one: which bags there are was decided when the cycle began, and more may lie beside them now.
    report = convert(episode.path, out, job.cycle.config.spec, config)
    return report.results[0]
