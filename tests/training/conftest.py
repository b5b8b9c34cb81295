"""A small real dataset, made by the expert in the simulator, and a stand-in for a generated one."""

from itertools import pairwise

import numpy as np
import pytest

from emma.datasets.writer import DatasetWriter
from emma.observation import Observation
from emma.robots.spec import load_robot
from emma.sim.demonstrations import demonstrations
from emma.training.frames import FrameTable, open_source


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("training") / "dataset"
    spec = load_robot("desk_arm")
    with DatasetWriter(root, spec, cameras=("top", "wrist"), depth=False) as writer:
        for episode in demonstrations(2, seed=0, noise=0.0, cameras=("top", "wrist")):
            writer.add_episode(zip(episode.observations, episode.action, strict=True), episode.instruction, {"seed": 0})
    return root


@pytest.fixture(scope="session")
def generated(dataset, tmp_path_factory):
    """The same motions with other colours, twice: four episodes."""
    root = tmp_path_factory.mktemp("generated") / "generated"
    table = FrameTable([open_source(dataset)], ("top", "wrist"))
    with DatasetWriter(root, load_robot("desk_arm"), cameras=("top", "wrist"), depth=False) as writer:
        for channels in ([2, 0, 1], [1, 2, 0]):
            for episode, (first, end) in enumerate(pairwise(table.starts)):
                at = np.arange(first, end)
                images = {camera: table.pixels(camera, at)[..., channels] for camera in table.cameras}
                frames = [
                    Observation(
                        stamp_ns=0,
                        state=table.states[i].numpy(),
                        images={camera: images[camera][i - first] for camera in images},
                    )
                    for i in at
                ]
                rows = zip(frames, table.actions[at].numpy(), strict=True)
                origin = {"dataset": dataset.name, "episode": episode}
                writer.add_episode(rows, table.tasks[first], {"source": "generated", "from": origin})
    return root
