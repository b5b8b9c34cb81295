"""A small real dataset, made by the expert in the simulator."""

import pytest

from emma.episodes.dataset import DatasetWriter
from emma.robot import load_robot
from emma.sim.demonstrations import demonstrations


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("training") / "dataset"
    spec = load_robot("desk_arm")
    with DatasetWriter(root, spec, cameras=("top", "wrist"), depth=False) as writer:
        for episode in demonstrations(2, seed=0, noise=0.0, cameras=("top", "wrist")):
            writer.add_episode(zip(episode.observations, episode.action, strict=True), episode.instruction, {"seed": 0})
    return root
