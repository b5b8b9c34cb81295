"""Live calibration: a person shows the board or moves the arm, views are taken by themselves, and kept as pictures."""

import csv
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from emma.calibrate.arm import Chain
from emma.calibrate.detect import Corners, as_gray
from emma.calibrate.files import load_intrinsics
from emma.calibrate.gather import DEPTH, JOINTS, Found
from emma.calibrate.guide import Guide, Status
from emma.calibrate.job import Job, mount_for
from emma.calibrate.propose import in_words, next_pose
from emma.errors import EmmaError
from emma.messages import decode_depth, decode_image
from emma.ros.camera_feed import CameraFeed

WAIT_S = 10.0
# Another pose is proposed when one gave no view for so long: after a drive, and where a person moves the arm.
AGAIN_S, AGAIN_BY_HAND_S = 4.0, 30.0
Say = Callable[[str], None]
# Drives the arm's joints (names, positions in rad) there if the person agrees.
Mover = Callable[[Sequence[str], np.ndarray], None]


class Page(Protocol):
    """Where the newest picture of each camera is shown, with what is covered and what comes next."""

    def show(self, camera: str, picture: np.ndarray, corners: Corners | None, guide: Guide, status: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Live:
    """How views are taken. keep: new folder for pictures, with a folder below it for each camera.

    most: views of a camera at which it stops, whatever is still missing; propose: the next pose for hand-eye, from the
    lens in force; depth: views keep the depth of their moment, which must come.
    """

    keep: Path
    say: Say = print
    most: int = 60
    propose: bool = False
    depth: bool = False
    move: Mover | None = None
    page: Page | None = None


@dataclass
class _Station:
    """One camera at work. joints: where its chain's joints are in those of the feed."""

    job: Job
    guide: Guide
    keep: Path
    chain: Chain | None
    joints: list[int]
    looked: int = 0
    last: Status | None = None
    proposals: int = 0
    proposed_s: float = np.inf


def collect(jobs: Sequence[Job], chains: Sequence[Chain | None], live: Live) -> list[Found]:
    """Take views of every job's camera until enough is covered.

    chains: of each job, for hand-eye, the arm whose joints are needed. Pictures, depth and joints.csv are kept, so that
    a calibration can be repeated. Raises EmmaError.
    """
    if live.keep.exists():
        raise EmmaError(
            f"{live.keep} exists", found="a folder of views", expected="a new folder", fix="choose another --keep"
        )
    spec = jobs[0].spec
    moving = {name for chain in chains if chain is not None for name in chain.names}
    names = tuple(name for name in spec.joint_names if name in moving)
    stations = {job.camera: _station(job, chain, live, names) for job, chain in zip(jobs, chains, strict=True)}
    cameras = [spec.camera(job.camera) for job in jobs]
    with CameraFeed(spec, cameras, names, depth=live.depth) as feed:
        live.say(f"waiting for {', '.join(camera.image_topic for camera in cameras)}; Ctrl+C ends without a result")
        while unfinished := [name for name, each in stations.items() if _wants(each, live)]:
            taken = feed.picture(WAIT_S, unfinished)
            station = stations[taken.camera]
            camera = spec.camera(taken.camera)
            picture = as_gray(decode_image(taken.image, camera))
            depth = None if taken.depth is None else decode_depth(taken.depth, camera)
            status = station.guide.offer(picture, taken.time_s, taken.joints[station.joints], depth)
            station.looked += 1
            prefix = f"{taken.camera}: " if len(stations) > 1 else ""
            if status is Status.TAKEN:
                _save(station)
                missing = "; ".join(station.guide.missing[:2]) or "done"
                drawn = [*station.guide.coverage.draw(), f"{prefix}taken: {len(station.guide.views)}; next: {missing}"]
                live.say("\n".join(drawn))
            elif status is not station.last:
                live.say(f"{prefix}{status}")
            station.last = status
            if live.page is not None:
                live.page.show(taken.camera, picture, station.guide.corners, station.guide, str(status))
            patience_s = AGAIN_BY_HAND_S if live.move is None else AGAIN_S
            fruitless = status is not Status.MOVING and time.monotonic() - station.proposed_s > patience_s
            if live.propose and (status is Status.TAKEN or fruitless) and _wants(station, live):
                _propose(station, live, taken.joints[station.joints])
        return [
            Found(views=tuple(s.guide.views), size=s.guide.size, looked=s.looked, info=feed.info(s.job.camera))
            for s in stations.values()
        ]


def _station(job: Job, chain: Chain | None, live: Live, names: tuple[str, ...]) -> _Station:
    camera = job.spec.camera(job.camera)
    return _Station(
        job=job,
        guide=Guide(job.board, (camera.width, camera.height), poses=None if chain is None else chain.poses),
        keep=live.keep / job.camera,
        chain=chain,
        joints=[] if chain is None else [names.index(name) for name in chain.names],
    )


def _wants(station: _Station, live: Live) -> bool:
    return bool(station.guide.missing) and len(station.guide.views) < live.most


def _propose(station: _Station, live: Live, joints: np.ndarray) -> None:
    """The next pose in words, from the present joints (J,); with a mover, the way there."""
    chain, views = station.chain, station.guide.views
    lens = load_intrinsics(station.job.out, station.job.camera, station.guide.size)
    if chain is None or lens is None:
        return
    mount = mount_for(station.job)
    wanted = next_pose(chain, views, lens, mount, station.job.board, seed=station.proposals)
    station.proposals += 1
    station.proposed_s = time.monotonic()
    if wanted is None or not (words := in_words(chain.names, joints, wanted)):
        return
    live.say(words)
    if live.move is not None:
        try:
            live.move(chain.names, wanted)
        except EmmaError as error:
            # The views so far are worth more than this pose.
            live.say(str(error))
        # The drive itself is no time in which a view could have been taken.
        station.proposed_s = time.monotonic()


def _save(station: _Station) -> None:
    """Add the newest view to the folder."""
    station.keep.mkdir(parents=True, exist_ok=True)
    view = station.guide.views[-1]
    assert view.picture is not None
    _write(station.keep / view.name, view.picture)
    if view.depth_mm is not None:
        (station.keep / DEPTH).mkdir(exist_ok=True)
        _write(station.keep / DEPTH / view.name, view.depth_mm)
    if station.chain is None:
        return
    fresh = not (station.keep / JOINTS).exists()
    with (station.keep / JOINTS).open("a", newline="") as text:
        table = csv.writer(text)
        if fresh:
            table.writerow(["image", *station.chain.names])
        table.writerow([view.name, *np.round(view.joints, 7)])


def _write(file: Path, picture: np.ndarray) -> None:
    if not cv2.imwrite(str(file), picture):
        raise EmmaError(f"cannot write {file}", found="no room or no permission", expected="a folder to write in")
