"""Bags that stay, to be converted, and the frames that a node builds from the same topics live."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from emma.bags.reader import Bag
from emma.conversion.frames import EpisodeFrames
from emma.observation import Aligner
from emma.ros import qos
from emma.ros.load.rig import RecorderUnderLoad, Rig
from emma.ros.raw_subscriptions import message_class

# Cameras at 10 Hz: a second subscriber that decodes must not disturb the first.
FACTOR = 1 / 3
KEEP_S = 3600.0


def live_frames(rig: Rig, recorder: RecorderUnderLoad, seconds: float, out: Path) -> Path:
    """Record `seconds` of the load while listening to it, and write what was seen live to `out` as safetensors.

    The moments are those of the bag's frames. Returns the bag, which stays for its conversion.
    """
    others = rig.listeners()
    aligner, lock = Aligner(rig.spec, depth=True, span_s=KEEP_S), threading.Lock()

    def push(topic: str, message: Any) -> None:
        with lock:
            aligner.push(topic, message, rig.client.node.get_clock().now().nanoseconds)

    node = rig.client.node
    subscriptions = []
    for topic, kind in rig.spec.topics().items():
        cls = message_class(kind)
        assert cls is not None, f"{kind} comes with emma[ros]"
        subscriptions.append(node.create_subscription(cls, topic, lambda m, t=topic: push(t, m), qos.EXACT))
    rig.wait_for_listeners(others + 1)
    bag = recorder.start()
    rig.play(FACTOR, seconds)
    recorder.save()
    for subscription in subscriptions:
        node.destroy_subscription(subscription)
    rig.wait_for_listeners(others)
    with Bag(bag) as contents:
        moments = [int(t) for t in EpisodeFrames(contents, rig.spec).timeline.times_ns]
    with lock:
        save_file(_arrays(aligner, moments), out)
    return bag


def record(rig: Rig, recorder: RecorderUnderLoad, bags: Path, seconds: float, episodes: int) -> None:
    """Record the load at its own rates, `seconds` per episode, and put the bags into `bags`, where they stay."""
    bags.mkdir(parents=True)
    for _ in range(episodes):
        folder = recorder.start()
        rig.play(1.0, seconds)
        recorder.save()
        folder.rename(bags / folder.name)


def _arrays(aligner: Aligner, moments: Sequence[int]) -> dict[str, np.ndarray]:
    observations = [aligner.at(t) for t in moments]
    arrays = {"state": np.stack([o.state for o in observations])}
    arrays["action"] = np.stack([action for t in moments if (action := aligner.command_at(t)) is not None])
    for camera in aligner.cameras:
        arrays[f"images.{camera}"] = np.stack([o.images[camera] for o in observations])
        arrays[f"depth.{camera}"] = np.stack([o.depth[camera] for o in observations])
    return arrays
