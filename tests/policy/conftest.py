"""Bundles of every exportable policy class, made by the public training function, and their exports: once a session."""

import shutil

import pytest

from emma.datasets.writer import DatasetWriter
from emma.policy.bundle import load_bundle
from emma.policy.export.bundle_export import export_bundle
from emma.policy.export.parity import Case
from emma.robots.spec import load_robot
from emma.sim.demonstrations import demonstrations
from emma.training.config import TrainConfig
from emma.training.loop import train

OPTIONS = {
    "spatial_flow": {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 2},
    "act_small": {},
    "smolvla_small": {"num_steps": 4, "num_vlm_layers": 2},
    "diffusion": {
        "pretrained_backbone_weights": None,
        "down_dims": [16, 32],
        "n_groups": 4,
        "spatial_softmax_num_keypoints": 4,
        "diffusion_step_embed_dim": 16,
        "num_train_timesteps": 4,
        "horizon": 8,
        "n_action_steps": 6,
    },
}


@pytest.fixture(scope="session")
def episode():
    return next(iter(demonstrations(1, seed=0, cameras=("top", "wrist"), depth=False)))


@pytest.fixture(scope="session")
def cases(episode):
    """Observations spread over an episode."""
    return [Case(o, episode.instruction) for o in episode.observations[:: len(episode.observations) // 3]]


@pytest.fixture(scope="session")
def trained(tmp_path_factory, episode):
    """policy name -> folder of a bundle after a few steps; not to be written to."""
    root = tmp_path_factory.mktemp("bundles")
    with DatasetWriter(root / "data", load_robot("desk_arm"), cameras=("top", "wrist"), depth=False) as writer:
        writer.add_episode(zip(episode.observations, episode.action, strict=True), episode.instruction)
    made = {}

    def build(policy):
        if policy not in made:
            config = TrainConfig(
                data=(str(root / "data"),), policy=policy, steps=3, batch_size=4, log_every=1, options=OPTIONS[policy]
            )
            made[policy] = train(config, root / policy)
        return made[policy]

    return build


@pytest.fixture(scope="session")
def exported(trained, cases):
    """policy name -> (bundle with graphs, what its export says); not to be written to."""
    made = {}

    def build(policy):
        if policy not in made:
            bundle = load_bundle(trained(policy))
            made[policy] = bundle, export_bundle(bundle, cases, reference="simulator")
        return made[policy]

    return build


@pytest.fixture
def own_copy(exported, tmp_path):
    """A copy of spatial_flow's bundle with its export, to be spoiled."""
    shutil.copytree(exported("spatial_flow")[0].path, tmp_path / "bundle")
    return load_bundle(tmp_path / "bundle")
