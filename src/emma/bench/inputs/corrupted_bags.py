"""Damaged bags: converted, listed, repaired, and compared with the whole bag."""

import shutil
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from emma.bags.files import storage_of
from emma.bags.info import bag_info, list_episodes
from emma.bags.metadata import METADATA_NAME
from emma.bags.reader import Bag
from emma.bags.repair import repair
from emma.bench.inputs.families import Attempt, Family, damage_file
from emma.bench.inputs.forms import MakeBag, emma_bag, files_packed, messages_packed, split_bag, sqlite_bag
from emma.bench.inputs.robot import drive, robot
from emma.conversion.config import ConvertConfig
from emma.conversion.convert_job import ConvertedJob, ConvertJob, encode_job
from emma.errors import EmmaError

SECONDS = 1.0
# How a refusal begins for which no error was foreseen.
UNFORESEEN = "cannot be converted ("
NO_CHECKSUMS = "has no checksums"


class Truth(NamedTuple):
    """What the whole bag becomes."""

    table: pa.Table
    first_stamp_ns: int


def _job(bag: Path, staged: Path) -> ConvertedJob:
    config = ConvertConfig(instruction="test")
    return encode_job(ConvertJob(name="bag", folder=bag, meta=None, spec=robot(), config=config, staged=staged))


def _prepare(make: MakeBag, folder: Path) -> Truth:
    bag = make(folder / "bag", drive(SECONDS))
    job = _job(bag, folder / "truth.parquet")
    if job.encoded is None:
        raise EmmaError("the whole bag does not convert", found=job.refused, expected="frames")
    return Truth(pq.read_table(job.encoded.path), job.provenance["first_stamp_ns"])


def _attempt(folder: Path, scratch: Path, truth: Truth, chance: Random) -> Attempt:
    bag = scratch / "bag"
    shutil.copytree(folder / "bag", bag)
    done = _damage(bag, chance)
    try:
        for look in (bag_info, list_episodes):
            try:
                look(bag)
            except EmmaError:
                continue
        job = _job(bag, scratch / "bag.parquet")
        if job.refused.startswith(UNFORESEEN):
            return Attempt(damage=done, traceback=job.refused)
        differs = job.encoded is not None and not _same(job, truth)
        told = [note for note in job.notes if NO_CHECKSUMS not in note]
        return Attempt(
            damage=done,
            silent=differs and not job.notes,
            unprotected=differs and bool(job.notes) and not told,
            lost=_lost_by_repair(bag),
            refused=job.encoded is None,
        )
    except Exception as error:  # that is what is counted
        return Attempt(damage=done, traceback=f"{type(error).__name__}: {error}")


def _damage(bag: Path, chance: Random) -> str:
    """Damage one file of the bag, mostly one with messages; or lose it."""
    files = sorted(bag.iterdir())
    stored = [file for file in files if file.name != METADATA_NAME]
    file = chance.choice(stored if chance.random() < 0.9 else files)
    return damage_file(file, file.name, chance, lost=0.03)


def _same(job: ConvertedJob, truth: Truth) -> bool:
    assert job.encoded is not None
    if job.provenance["first_stamp_ns"] != truth.first_stamp_ns:
        return False
    return bool(pq.read_table(job.encoded.path).equals(truth.table))


def _readable(bag: Path) -> Counter[tuple[str, int, bytes]]:
    try:
        with Bag(bag) as opened:
            index = opened.index
            return Counter(
                (opened.topic(int(index.topic[i])).name, int(index.log_ns[i]), bytes(opened.raw(i)))
                for i in range(len(index))
            )
    except EmmaError:
        return Counter()


def _lost_by_repair(bag: Path) -> int:
    """Messages and files that were there before a repair and are not after it."""
    before, files = _readable(bag), _stored(bag)
    with suppress(EmmaError):
        repair(bag, settle_s=0)
    return (before - _readable(bag)).total() + (files - _stored(bag)).total()


def _stored(bag: Path) -> Counter[bytes]:
    names = [file for file in bag.iterdir() if storage_of(file.with_name(file.name.partition(".original")[0]))]
    return Counter(file.read_bytes() for file in names)


def _family(name: str, attempts: int, make: MakeBag) -> Family:
    return Family(name=name, attempts=attempts, prepare=partial(_prepare, make), attempt=_attempt)


def _packed(folder: Path, sent: Any) -> Path:
    return emma_bag(folder, messages_packed(sent))


FAMILIES = (
    _family("bag_raw", 200, emma_bag),
    _family("bag_zstd_chunks", 150, partial(emma_bag, compress=True)),
    _family("bag_zstd_messages", 150, _packed),
    _family("bag_zstd_files", 150, files_packed),
    _family("bag_sqlite3", 150, sqlite_bag),
    _family("bag_split", 200, split_bag),
)
