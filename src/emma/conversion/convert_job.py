"""One bag to one encoded episode: the part of a conversion that runs in a process of its own."""

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emma import __version__
from emma.bags.episode import EpisodeMeta
from emma.bags.file_users import writers_of
from emma.bags.files import bag_files
from emma.bags.reader import Bag
from emma.conversion.config import ConvertConfig
from emma.conversion.frames import EpisodeFrames, age_statistics, interventions
from emma.datasets.encode import EncodedEpisode, encode_episode
from emma.datasets.features import dataset_features
from emma.errors import EmmaError
from emma.files import no_room
from emma.robots.spec import RobotSpec

log = logging.getLogger(__name__)

# Lines of damage that a refusal names; the rest is counted.
DAMAGE_SHOWN = 4


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
    """Either an encoded episode or the reason why there is none. notes: what was dropped or guessed on the way."""

    bag_bytes: int
    notes: tuple[str, ...] = ()
    encoded: EncodedEpisode | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    refused: str = ""


def encode_job(job: ConvertJob) -> ConvertedJob:
    """Judge one bag and encode its frames. Whatever is wrong with the bag is in the result, not raised."""
    size = 0
    try:
        if writers := writers_of(bag_files(job.folder)):
            raise EmmaError(f"the bag is still written by {', '.join(writers)}", fix="stop it, then convert")
        with Bag(job.folder) as bag:
            size = bag.size
            if not bag.finished:
                raise EmmaError("the bag is unfinished", fix=f"emma episodes repair {job.folder}")
            damage = [*bag.damage, *_unlike_recorded(bag, job.meta)]
            if damage and not job.config.keep_damaged:
                return ConvertedJob(bag_bytes=size, refused=f"{_some(damage)}; --keep-damaged takes what is left")
            frames = EpisodeFrames(bag, job.spec, cameras=job.config.cameras, depth=job.config.depth)
            stale = _beyond_limits(frames, job.spec)
            if stale and not job.config.keep_stale:
                return ConvertedJob(bag_bytes=size, refused=stale)
            features = dataset_features(job.spec, job.config.cameras, job.config.depth, job.config.video)
            encoded = encode_episode(frames, features, job.spec.fps, job.staged)
            provenance = _provenance(job, frames, stale)
            if damage:
                provenance["bag_damage"] = damage
            if notes := (*bag.notes, *frames.notes):
                provenance["bag_notes"] = list(notes)
            return ConvertedJob(bag_bytes=size, encoded=encoded, provenance=provenance, notes=(*damage, *notes))
    except EmmaError as error:
        refused = one_line(error)
    except OSError as error:
        if no_room(error):
            raise
        refused = f"{error.strerror or error}: {error.filename or job.folder}"
    except Exception as error:  # whatever a damaged bag provokes, the other bags are converted
        log.debug("conversion of %s failed", job.folder, exc_info=True)
        refused = f"cannot be converted ({type(error).__name__}: {error})"
    job.staged.unlink(missing_ok=True)
    return ConvertedJob(bag_bytes=size, refused=refused)


def _some(lines: list[str]) -> str:
    more = len(lines) - DAMAGE_SHOWN
    return "; ".join(lines[:DAMAGE_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _unlike_recorded(bag: Bag, meta: EpisodeMeta | None) -> list[str]:
    """Where the bag holds other messages than its recorder counted."""
    if meta is None or meta.state not in ("saved", "recovered"):
        return []
    index = bag.index
    found = {name: len(index.of(topic.number)) for name, topic in bag.topics.items()}
    return [
        f"episode.yaml counts {stated.count} messages of {topic}, there are {found.get(topic, 0)}"
        for topic, stated in meta.topics.items()
        if stated.count and stated.count != found.get(topic, 0)
    ]


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
    for stream, early in line.early_s.items():
        if early > spec.max_age_s:
            found.append(f"{stream} ends {early:.3f} s before the others: {total} frames are no whole episode")
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
    for path in sorted(bag_files(folder)):
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
