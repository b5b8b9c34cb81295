"""How pictures are stored: compressed depth, and colour with bytes too many."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from emma.bags.reader import Bag
from emma.bench.inputs.cases.case import Case, case_of
from emma.bench.inputs.cases.outcome import converted, follows, refused
from emma.bench.inputs.forms import Sent, emma_bag
from emma.bench.inputs.robot import (
    COMPRESSED,
    HEIGHT,
    IMAGE,
    NS,
    START_NS,
    WIDTH,
    drive,
    header,
    longer,
    new,
    packed,
    robot,
)
from emma.robots.spec import RobotSpec

CASES: list[Case] = []


def _with_depth(fmt: str, data: Callable[[np.ndarray], bytes]) -> tuple[RobotSpec, Sent]:
    spec = robot()
    spec = replace(spec, cameras=(replace(spec.cameras[0], depth_topic="/top/depth"),))
    sent = drive(1.0)
    for i in range(26):
        stamp = START_NS + i * NS // 25
        pixels = np.full((HEIGHT, WIDTH), 1000 + i, np.uint16)
        message = new(COMPRESSED, header=header(stamp), format=fmt, data=np.frombuffer(data(pixels), np.uint8))
        sent.append(("/top/depth", COMPRESSED, stamp + 20_000_000, packed(message)))
    return spec, sorted(sent, key=lambda message: message[2])


def _png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def _depth_right(folder: Path, spec: RobotSpec, sent: Sent, tolerance: float) -> str:
    from emma.messages import decode_depth

    emma_bag(folder / "bag", sent)
    with Bag(folder / "bag") as bag:
        for number, found in enumerate(bag.messages(["/top/depth"])):
            depth = decode_depth(found.message, spec.cameras[0])
            if np.abs(depth.astype(float) - 1000 - number).max() > tolerance:
                return f"{depth[0, 0]} mm instead of {1000 + number}"
    return follows(converted(folder / "bag", spec), 11)


@case_of(CASES)
def compressed_depth_in_millimetres(folder: Path) -> str:
    return _depth_right(folder, *_with_depth("16UC1; compressedDepth png", lambda p: bytes(12) + _png(p)), 0.0)


@case_of(CASES)
def compressed_depth_in_metres(folder: Path) -> str:
    a, b = 10_100.0, 1.0

    def encode(pixels: np.ndarray) -> bytes:
        return (
            np.array([0], "<i4").tobytes()
            + np.array([a, b], "<f4").tobytes()
            + _png(np.rint(a / (pixels / 1000.0) + b).astype(np.uint16))
        )

    return _depth_right(folder, *_with_depth("32FC1; compressedDepth", encode), 1.0)


@case_of(CASES)
def compressed_depth_that_is_not_read(folder: Path) -> str:
    spec, sent = _with_depth("16UC1; compressedDepth rvl", lambda p: bytes(12) + p.tobytes())
    return refused(converted(emma_bag(folder / "bag", sent), spec), "/top/depth", "rvl", "png")


@case_of(CASES)
def pictures_with_bytes_too_many(folder: Path) -> str:
    sent = [(t, k, ns, longer(data) if t == IMAGE else data) for t, k, ns, data in drive()]
    return refused(converted(emma_bag(folder / "bag", sent)), "bytes too many")
