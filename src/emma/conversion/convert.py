"""Bags to a LeRobotDataset v3: each episode judged, encoded in a process of its own, and put in its place in order."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emma.bags.episode import EpisodeMeta, is_episode
from emma.bags.files import find_bags, find_joined
from emma.conversion.config import ConvertConfig
from emma.conversion.convert_job import ConvertedJob, ConvertJob, encode_job, one_line
from emma.datasets.writer import DatasetWriter
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec
from emma.worker_pool import in_order


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """What became of one bag. outcome: converted, present (since before), skipped (its state) or refused (broken).

    notes: what was dropped, repaired or guessed in a converted bag.
    """

    episode: str
    outcome: str
    reason: str = ""
    frames: int = 0
    bag_bytes: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ConvertReport:
    """The results of all bags in order, and how long it took."""

    results: tuple[EpisodeResult, ...]
    seconds: float

    def count(self, outcome: str) -> int:
        return sum(result.outcome == outcome for result in self.results)

    @property
    def frames(self) -> int:
        return sum(result.frames for result in self.results)

    @property
    def bag_bytes(self) -> int:
        """Bytes of the bags that were converted now."""
        return sum(result.bag_bytes for result in self.results if result.outcome == "converted")

    @property
    def s_per_gb(self) -> float:
        return self.seconds / (self.bag_bytes / 1e9) if self.bag_bytes else 0.0


def convert(
    bags: Path | str,
    out: Path | str,
    spec: RobotSpec,
    config: ConvertConfig | None = None,
    *,
    progress: Callable[[EpisodeResult, int], None] | None = None,
) -> ConvertReport:
    """Convert every bag at or below `bags` into the dataset at `out`, which is made or continued.

    Episodes that are in the dataset already are left alone, so a second run adds only what is new. Interrupted, the
    dataset holds the episodes that were done. `progress` hears each result and how many bags there are. Raises
    EmmaError if there is no bag, or `out` holds something else; a bag that cannot be converted is refused in the
    report.
    """
    config, start = config or ConvertConfig(), time.monotonic()
    folders = find_joined(bags) if config.joined else find_bags(bags)
    if not folders:
        raise EmmaError(
            f"no episodes below {bags}",
            found=f"no episode.yaml, .mcap, .db3 or metadata.yaml{' in folders of their own' if config.joined else ''}",
            expected="folders of recorded bags",
            fix="record some with `emma record`, or check the path",
        )
    results: list[EpisodeResult] = []
    with _writer(Path(out), spec, config) as writer:
        present = {str(entry.get("episode_id")) for entry in writer.provenance}
        planned = [
            _plan(folder, _name(folder, Path(bags)), present, spec, config, writer.staging) for folder in folders
        ]
        jobs = [job for job in planned if isinstance(job, ConvertJob)]
        done = _run(jobs, config.workers)
        try:
            for plan in planned:
                result = plan if isinstance(plan, EpisodeResult) else _place(plan, next(done), writer)
                results.append(result)
                if progress is not None:
                    progress(result, len(folders))
        except OSError as error:
            raise EmmaError(
                f"stopped after {writer.num_episodes} episodes in {out}",
                found=error.strerror or str(error),
                expected="a disk to read from and one to write to",
                fix="make room and run it again: what is in the dataset stays",
            ) from error
    return ConvertReport(results=tuple(results), seconds=time.monotonic() - start)


def _writer(out: Path, spec: RobotSpec, config: ConvertConfig) -> DatasetWriter:
    try:
        return DatasetWriter(out, spec, cameras=config.cameras, depth=config.depth, video=config.video)
    except OSError as error:
        raise EmmaError(
            f"cannot write a dataset to {out}",
            found=error.strerror or str(error),
            expected="a folder to write to, or a free name for one",
            fix="choose another --out, or change the rights of its folder",
        ) from None


def _name(folder: Path, root: Path) -> str:
    """What a bag without an `episode.yaml` is called in the dataset: its path below `root`."""
    return folder.name if folder == root else folder.relative_to(root).as_posix()


def _plan(
    folder: Path, name: str, present: set[str], spec: RobotSpec, config: ConvertConfig, staging: Path
) -> ConvertJob | EpisodeResult:
    """Decide from `episode.yaml` alone; what is left becomes a job."""
    try:
        meta = EpisodeMeta.load(folder) if is_episode(folder) else None
    except EmmaError as error:
        return EpisodeResult(episode=name, outcome="refused", reason=one_line(error))
    name = meta.id if meta else name
    if name in present:
        return EpisodeResult(episode=name, outcome="present")
    present.add(name)
    if meta is not None:
        if reason := _unwanted(meta, config):
            return EpisodeResult(episode=name, outcome="skipped", reason=reason)
        if meta.robot != spec.name:
            reason = f"recorded with robot {meta.robot}, not {spec.name} (--robot: a name, or a robot.yaml)"
            return EpisodeResult(episode=name, outcome="refused", reason=reason)
    if not (config.instruction or (meta and meta.instruction.strip())):
        reason = "no instruction in episode.yaml; give one with --instruction"
        return EpisodeResult(episode=name, outcome="refused", reason=reason)
    return ConvertJob(
        name=name, folder=folder, meta=meta, spec=spec, config=config, staged=staging / f"{len(present):06d}.parquet"
    )


def _unwanted(meta: EpisodeMeta, config: ConvertConfig) -> str:
    if meta.state == "discarded":
        return "discarded"
    if meta.state == "recording":
        return "unfinished: finish it with `emma episodes repair`"
    if meta.state == "recovered" and not config.keep_recovered:
        return "cut short by a crash (--keep-recovered takes it)"
    if meta.success is False and not config.keep_failed:
        return "failed"
    return ""


def _place(job: ConvertJob, done: ConvertedJob, writer: DatasetWriter) -> EpisodeResult:
    if done.encoded is None:
        return EpisodeResult(episode=job.name, outcome="refused", reason=done.refused, bag_bytes=done.bag_bytes)
    words = job.meta.instruction if job.meta and job.meta.instruction.strip() else job.config.instruction
    writer.add_encoded(done.encoded, words, done.provenance)
    return EpisodeResult(
        episode=job.name,
        outcome="converted",
        frames=done.encoded.length,
        bag_bytes=done.bag_bytes,
        notes=done.notes,
    )


def _run(jobs: Sequence[ConvertJob], workers: int) -> Iterator[ConvertedJob]:
    """The jobs' results in their order."""
    few = min(workers, len(jobs))
    return map(encode_job, jobs) if few < 2 else in_order(encode_job, jobs, few)
