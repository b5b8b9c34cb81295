"""Live calibration: a person shows the board or moves the arm, views are taken by themselves, and kept as pictures."""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from emma.calibrate.arm import Chain
from emma.calibrate.detect import as_gray
from emma.calibrate.files import load_intrinsics
from emma.calibrate.gather import JOINTS, Found
from emma.calibrate.guide import Guide, Status
from emma.calibrate.hand_eye import Mount
from emma.calibrate.job import Job
from emma.calibrate.propose import in_words, next_pose
from emma.errors import EmmaError
from emma.messages import decode_image
from emma.ros.camera_feed import CameraFeed

WAIT_S = 10.0
Say = Callable[[str], None]


def collect(
    job: Job, chain: Chain | None, keep: Path, say: Say = print, most: int = 60, mount: Mount | None = None
) -> Found:
    """Take views until enough is covered or there are `most`.

    chain, mount: for hand-eye, the arm whose joints are needed, and where the camera is; then poses are proposed.

    Pictures (and joints.csv) go to the new folder `keep`, so that a calibration can be repeated. Raises EmmaError.
    """
    camera = job.spec.camera(job.camera)
    if keep.exists():
        raise EmmaError(
            f"{keep} exists", found="a folder of views", expected="a new folder", fix="choose another --keep"
        )
    size = (camera.width, camera.height)
    guide = Guide(job.board, size, poses=None if chain is None else chain.poses)
    names = () if chain is None else chain.names
    lens = load_intrinsics(job.out, job.camera, size)
    last: Status | None = None
    looked = 0
    with CameraFeed(job.spec, camera, names) as feed:
        say(f"waiting for {camera.image_topic}; Ctrl+C ends without a result")
        while guide.missing and len(guide.views) < most:
            message, time_s, joints = feed.picture(WAIT_S)
            looked += 1
            status = guide.offer(as_gray(decode_image(message, camera)), time_s, joints)
            if status is Status.TAKEN:
                _save(keep, guide, names)
                say(
                    "\n".join(
                        [*guide.draw(), f"taken: {len(guide.views)}; next: {'; '.join(guide.missing[:2]) or 'done'}"]
                    )
                )
                if chain is not None and mount is not None and lens is not None and guide.missing:
                    wanted = next_pose(chain, guide.views, lens, mount, job.board)
                    if wanted is not None and (words := in_words(names, joints, wanted)):
                        say(words)
            elif status is not last:
                say(str(status))
            last = status
        return Found(views=tuple(guide.views), size=size, looked=looked, info=feed.info)


def _save(keep: Path, guide: Guide, names: tuple[str, ...]) -> None:
    """Add the newest view to the folder."""
    keep.mkdir(parents=True, exist_ok=True)
    view, picture = guide.views[-1], guide.pictures[-1]
    guide.pictures.clear()
    cv2.imwrite(str(keep / view.name), picture)
    if not names:
        return
    fresh = not (keep / JOINTS).exists()
    with (keep / JOINTS).open("a", newline="") as text:
        table = csv.writer(text)
        if fresh:
            table.writerow(["image", *names])
        table.writerow([view.name, *np.round(view.joints, 7)])
