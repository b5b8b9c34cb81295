"""Converted bags in LeRobot's own programs: its training makes a step on them, its visualiser draws them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.scripts import lerobot_dataset_viz, lerobot_train
from lerobot.utils.feature_utils import dataset_to_policy_features
from safetensors.torch import load_file

from emma.conversion.config import ConvertConfig
from emma.conversion.convert import convert
from emma.robots.spec import RobotSpec

Make = Callable


@pytest.fixture
def bags(tmp_path: Path, spec: RobotSpec, make_scene: Make) -> Path:
    for seed in range(2):
        make_scene(spec, seconds=1.0, seed=seed).record(tmp_path / "bags", id=f"e{seed}")
    return tmp_path / "bags"


def trained(root: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **policy: Any) -> dict[str, torch.Tensor]:
    """The weights of ACT after one step of `lerobot-train` on two frames."""
    monkeypatch.setattr(lerobot_train, "init_logging", lambda **_: None)
    monkeypatch.setattr(sys, "argv", ["lerobot-train"])
    size = {"dim_model": 32, "n_heads": 2, "dim_feedforward": 64, "n_encoder_layers": 1, "n_vae_encoder_layers": 1}
    config = TrainPipelineConfig(
        dataset=DatasetConfig(repo_id="local/test", root=str(root)),
        policy=ACTConfig(
            device="cpu",
            push_to_hub=False,
            pretrained_backbone_weights=None,
            chunk_size=5,
            n_action_steps=5,
            **size,
            **policy,
        ),
        output_dir=out,
        num_workers=0,
        batch_size=2,
        steps=1,
        log_freq=1,
    )
    lerobot_train.train(config)
    return load_file(out / "checkpoints/last/pretrained_model/model.safetensors")


def test_its_training_makes_a_step(
    tmp_path: Path, spec: RobotSpec, bags: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(bags, tmp_path / "data", spec, ConvertConfig(depth=False))
    weights = trained(tmp_path / "data", tmp_path / "out", monkeypatch)
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())
    assert "model.action_head.weight" in weights
    assert weights["model.action_head.weight"].shape == (3, 32)


def test_with_depth_its_policies_are_told_what_they_see(
    tmp_path: Path, spec: RobotSpec, bags: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LeRobot 0.6.1 gives a policy every picture it finds, and ACT's backbone takes none with one channel."""
    convert(bags, tmp_path / "data", spec)
    features = dataset_to_policy_features(LeRobotDatasetMetadata("local/test", root=tmp_path / "data").features)
    seen = {
        key: value for key, value in features.items() if key.startswith(("observation.state", "observation.images"))
    }
    assert trained(tmp_path / "data", tmp_path / "out", monkeypatch, input_features=seen)


def test_its_visualiser_draws_an_episode(tmp_path: Path, spec: RobotSpec, bags: Path) -> None:
    pytest.importorskip("rerun", reason="LeRobot's visualiser needs rerun-sdk (lerobot[viz])")
    convert(bags, tmp_path / "data", spec)
    dataset = LeRobotDataset("local/test", root=tmp_path / "data", episodes=[1])
    file = lerobot_dataset_viz.visualize_dataset(dataset, 1, save=True, output_dir=tmp_path / "viz")
    assert file is not None
    assert file.stat().st_size > 10_000
