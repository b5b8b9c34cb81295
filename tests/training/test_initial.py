"""Training that starts from a bundle: same weights and processors, other options where they fit."""

import numpy as np
import pytest
from lerobot.configs.policies import PreTrainedConfig
from safetensors.torch import load_file

from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.policy.loading import load_preprocessor
from emma.training import loop
from emma.training.config import TrainConfig

SMALL = {"conv_channels": [8, 8, 8], "condition_dim": 32, "hidden_dim": 32, "num_blocks": 1}


def config(dataset, **changes):
    settings = {"policy": "spatial_flow", "steps": 2, "batch_size": 4, "log_every": 1, "ema": 0.0, **changes}
    return TrainConfig(data=(str(dataset),), **settings)


@pytest.fixture(scope="module")
def first(dataset, tmp_path_factory):
    return loop.train(config(dataset, options=SMALL), tmp_path_factory.mktemp("first") / "bundle")


def test_continues_from_the_weights_and_keeps_the_processors(dataset, first, tmp_path):
    still = {"rtc_max_delay": 3, "optimizer_lr": 1e-9, "optimizer_weight_decay": 0.0}
    out = loop.train(config(dataset, init=str(first), options=still), tmp_path / "bundle")
    before, after = (load_file(folder / "model.safetensors") for folder in (first, out))
    for name, tensor in before.items():
        np.testing.assert_allclose(after[name].numpy(), tensor.numpy(), atol=2e-5, err_msg=name)
    saved = PreTrainedConfig.from_pretrained(out)
    assert saved.rtc_max_delay == 3
    assert list(saved.conv_channels) == SMALL["conv_channels"]
    task = {"task": "put the cube in the bin", "observation.state": np.zeros(7, np.float32)}
    words = [load_preprocessor(load_bundle(folder))(dict(task)) for folder in (first, out)]
    np.testing.assert_array_equal(*(batch["observation.language.tokens"].numpy() for batch in words))
    assert load_bundle(out).info.training["init"]["name"] == "bundle"


@pytest.mark.parametrize("options", [{"rtc_max_delay": 99}, {"no_such": 1}])
def test_an_option_that_does_not_fit_is_refused(dataset, first, tmp_path, options):
    with pytest.raises(EmmaError, match=r"rtc_max_delay|no_such"):
        loop.train(config(dataset, init=str(first), options=options), tmp_path / "bundle")


def test_other_cameras_are_refused(dataset, first, tmp_path):
    with pytest.raises(EmmaError, match="cameras"):
        loop.train(config(dataset, init=str(first), cameras=("top",)), tmp_path / "bundle")
