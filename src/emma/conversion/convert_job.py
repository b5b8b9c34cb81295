"""One bag to one encoded episode: the part of a conversion that runs in a process of its own."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from emma import __version__
from emma.bags.episode import EpisodeMeta
from emma.bags.files import bag_files
from emma.bags.reader import Bag
from emma.conversion.frames import EpisodeFrames, age_statistics, interventions
from emma.datasets.encode import EncodedEpisode, encode_episode
from emma.datasets.features import dataset_features
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """What to convert and how strictly.

    cameras: None for all; depth: store it, lossless; video: colour as lossy video instead of exact images.
    instruction: words for bags without an episode.yaml, or without words in it. keep_failed: take episodes that were
    marked as failures; keep_recovered: take those that were cut short by a crash. keep_stale: take episodes in which a
    stream is older than the robot's max_age_s, or the cameras further apart than max_skew_s, and say so in the
    provenance, instead of refusing them. joined: the bags in each folder are one episode.
    """

    cameras: tuple[str, ...] | None = None
    depth: bool = True
    video: bool = False
    workers: int = 1
    instruction: str = ""
    keep_failed: bool = True
    keep_recovered: bool = False
    keep_stale: bool = False
    joined: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise EmmaError("bad value for workers", found=self.workers, expected="1 or more")


@dataclass(frozen=True, kw_only=True)
class ConvertJob:
    """A bag that `episode.yaml` says nothing against."""

    name: str
    folder: Path
    meta: EpisodeMeta | None
    spec: RobotSpec
    config: ConvertConfig
    staged: Path


@dataclass(frozen=True, kw_only=True)
class ConvertedJob:
    """Either an encoded episode or the reason why there is none."""

    bag_bytes: int
    encoded: EncodedEpisode | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    refused: str = ""


def start_worker() -> None:
    """Set up a process of a pool."""
    # One process per core is the parallelism; threads of its own would only get in the way.
    cv2.setNumThreads(1)


def encode_job(job: ConvertJob) -> ConvertedJob:
    """Judge one bag and encode its frames. Whatever is wrong with the bag is in the result, not raised."""
    size = 0
    try:
        with Bag(job.folder) as bag:
            size = bag.size
            if not bag.finished:
                raise EmmaError("the bag is unfinished", fix=f"emma episodes repair {job.folder}")
            frames = EpisodeFrames(bag, job.spec, cameras=job.config.cameras, depth=job.config.depth)
            stale = _beyond_limits(frames, job.spec)
            if stale and not job.config.keep_stale:
                return ConvertedJob(bag_bytes=size, refused=stale)
            features = dataset_features(job.spec, job.config.cameras, job.config.depth, job.config.video)
            encoded = encode_episode(frames, features, job.spec.fps, job.staged)
            provenance = _provenance(job, frames, stale)
    except EmmaError as error:
        job.staged.unlink(missing_ok=True)
        return ConvertedJob(bag_bytes=size, refused=one_line(error))
    return ConvertedJob(bag_bytes=size, encoded=encoded, provenance=provenance)


def _beyond_limits(frames: EpisodeFrames, spec: RobotSpec) -> str:
    """What of an episode's timing is beyond the robot's limits, with numbers; "" if nothing is."""
    line, total, found = frames.timeline, len(frames), []
    for stream, count in line.stale(spec.max_age_s).items():
        oldest = line.ages_s[stream].max()
        found.append(f"{stream} older than {spec.max_age_s:g} s in {count} of {total} frames (up to {oldest:.3f} s)")
    if count := line.skewed(spec.max_skew_s):
        worst = line.skew_s.max()
        found.append(
            f"cameras more than {spec.max_skew_s:g} s apart in {count} of {total} frames (up to {worst:.3f} s)"
        )
    return "; ".join(found)


def _provenance(job: ConvertJob, frames: EpisodeFrames, stale: str) -> dict[str, Any]:
    meta, times = job.meta, frames.timeline.times_ns
    entry: dict[str, Any] = {
        "source": "bag",
        "episode_id": job.name,
        "embodiment": job.spec.name,
        "bag": str(job.folder),
        "bag_sha256": _bag_hash(job.folder),
        "first_stamp_ns": int(times[0]),
        "converter": f"emma {__version__}",
        **age_statistics(frames.timeline),
    }
    if stale:
        entry["beyond_limits"] = stale
    if meta is not None:
        entry |= {
            "kind": meta.kind,
            "success": meta.success,
            "state": meta.state,
            "operator": meta.operator,
            "recorded": meta.started,
            "policy": meta.policy,
            "software": dict(meta.software),
            "lost_messages": meta.dropped,
            "interventions": interventions(meta, times),
            "notes": meta.notes,
        }
    return entry


def _bag_hash(folder: Path) -> str:
    """SHA-256 over the message files: `episode.yaml` may still be corrected without making it another episode."""
    digest = hashlib.sha256()
    for path in sorted(file.path for file in bag_files(folder)):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def one_line(error: EmmaError) -> str:
    parts = [error.problem.rstrip(":")]
    if error.found is not None:
        parts.append(f"found {error.found}")
    if error.expected is not None:
        parts.append(f"expected {error.expected}")
    return ", ".join(parts) + (f"; {error.fix}" if error.fix else "")
