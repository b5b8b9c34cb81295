"""A bag converted, and what is wrong with the outcome, "" if nothing is."""

from pathlib import Path

import numpy as np

from emma.bench.inputs.robot import robot, state_at, target_at
from emma.conversion.config import ConvertConfig
from emma.conversion.convert_job import ConvertedJob, ConvertJob, encode_job
from emma.robots.spec import RobotSpec


def converted(folder: Path, spec: RobotSpec | None = None, **config: object) -> ConvertedJob:
    """The bag at `folder`, judged and encoded as `emma episodes convert` does it."""
    settings = ConvertConfig(instruction="test", **config)  # type: ignore[arg-type]
    staged = folder.parent / f"{folder.name}.parquet"
    return encode_job(
        ConvertJob(name=folder.name, folder=folder, meta=None, spec=spec or robot(), config=settings, staged=staged)
    )


def refused(job: ConvertedJob, *words: str) -> str:
    """What is wrong unless the bag was refused with these words."""
    if job.encoded is not None:
        return f"converted into {job.encoded.length} frames"
    missing = [word for word in words if word not in job.refused]
    return f"refused without {missing}: {job.refused}" if missing else ""


def follows(job: ConvertedJob, frames: int, *notes: str) -> str:
    """What is wrong unless there are that many frames with the states and targets of `drive`."""
    if job.encoded is None:
        return f"refused: {job.refused}"
    if job.encoded.length != frames:
        return f"{job.encoded.length} frames instead of {frames}"
    times = np.arange(frames) / 10
    for key, expected, tolerance in (("observation.state", state_at, 0.015), ("action", target_at, 0.015)):
        values = job.encoded.vectors[key]
        wanted = np.stack([expected(t, values.shape[1]) for t in times])
        if (worst := float(np.abs(values - wanted).max())) > tolerance:
            return f"{key} is off by {worst:.3f} rad"
    missing = [note for note in notes if not any(note in line for line in job.notes)]
    return f"no note about {missing}: {job.notes}" if missing else ""
