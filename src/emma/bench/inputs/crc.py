"""What checking chunk CRCs costs a conversion: the same bag written with and without them, converted in turns."""

import statistics
import time
from pathlib import Path

import numpy as np
from mcap.writer import CompressionType

from emma.bench.inputs.forms import library_bag
from emma.bench.inputs.robot import IMAGE, IMAGE_DELAY_NS, drive, raw_image, robot
from emma.conversion.config import ConvertConfig
from emma.conversion.convert_job import ConvertJob, encode_job
from emma.errors import EmmaError
from emma.robots.spec import Camera

WIDTH, HEIGHT, SECONDS, ROUNDS, QUICK_ROUNDS = 640, 480, 4.0, 9, 3


def crc_cost(folder: Path, rounds: int) -> float:
    """Median time of a conversion that checks CRCs over one of a bag that has none; one camera of 640 x 480, raw."""
    camera = Camera(name="top", image_topic=IMAGE, width=WIDTH, height=HEIGHT, rate_hz=25)
    spec = robot(cameras=(camera,))
    sent = [(t, k, ns, _picture(ns) if t == IMAGE else data) for t, k, ns, data in drive(SECONDS)]
    bags = {
        crcs: library_bag(folder / f"crcs_{crcs}", sent, compression=CompressionType.NONE, enable_crcs=crcs)
        for crcs in (True, False)
    }
    config = ConvertConfig(instruction="test", cameras=("top",))
    took: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(rounds):
        for crcs in (True, False) if turn % 2 else (False, True):
            staged = folder / f"{crcs}.parquet"
            began = time.perf_counter()
            done = encode_job(
                ConvertJob(name="bag", folder=bags[crcs], meta=None, spec=spec, config=config, staged=staged)
            )
            took[crcs].append(time.perf_counter() - began)
            if done.encoded is None:
                raise EmmaError("a whole bag is not converted", found=done.refused, expected="frames")
    return statistics.median(took[True]) / statistics.median(took[False])


def _picture(log_ns: int) -> bytes:
    """A smooth picture with noise: as costly to encode as a camera's."""
    stamp_ns = log_ns - IMAGE_DELAY_NS
    slope = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) // 5
    noise = np.random.default_rng(stamp_ns // 1_000_000).integers(0, 4, (HEIGHT, WIDTH, 3))
    return raw_image(stamp_ns, (slope[..., None] + noise).astype(np.uint8))
