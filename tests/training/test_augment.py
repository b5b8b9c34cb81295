"""Image augmentations: the same for the same seed and step, alike over cameras, and nothing else is touched."""

import numpy as np
import pytest
import torch

from emma.training.augment import ORIGINAL_SHARE, make_augmentation

KEYS = ("observation.images.top", "observation.images.wrist")


def batch(samples=8, times=None):
    shape = (samples, *([times] if times else []), 3, 12, 16)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return {KEYS[0]: images, KEYS[1]: images.clone(), "observation.state": torch.ones(samples, 7)}


def augmented(name, seed=0, step=0, process=0, times=None, samples=8):
    changed = batch(samples, times)
    augment = make_augmentation(name, seed, process)
    assert augment is not None
    augment(changed, KEYS, step)
    return changed


def test_none_is_none():
    assert make_augmentation("none", 0) is None


@pytest.mark.parametrize("name", ["jitter", "randconv"])
@pytest.mark.parametrize("times", [None, 2])
def test_draws_follow_from_seed_step_and_process(name, times):
    before = torch.get_rng_state()
    first = augmented(name, times=times)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    again = augmented(name, times=times)
    for key in (*KEYS, "observation.state"):
        assert torch.equal(first[key], again[key])
    assert first[KEYS[0]].shape == batch(times=times)[KEYS[0]].shape
    for other in ({"seed": 1}, {"step": 1}, {"process": 1}):
        assert not torch.equal(augmented(name, times=times, **other)[KEYS[0]], first[KEYS[0]])


@pytest.mark.parametrize("name", ["jitter", "randconv"])
def test_cameras_of_a_sample_change_alike_and_samples_differ(name):
    changed = augmented(name)
    torch.testing.assert_close(changed[KEYS[0]], changed[KEYS[1]])
    deltas = (changed[KEYS[0]] - batch()[KEYS[0]]).flatten(1)
    moved = [d for d in deltas if d.abs().max() > 1e-3]
    assert len(moved) >= 2
    assert not torch.allclose(moved[0], moved[1], atol=1e-3)
    assert torch.equal(changed["observation.state"], batch()["observation.state"])


def test_the_batch_that_came_in_is_not_written_to():
    given = batch()
    images = given[KEYS[0]]
    before = images.clone()
    augment = make_augmentation("randconv", 0)
    assert augment is not None
    augment(given, KEYS, 0)
    assert torch.equal(images, before)
    assert not torch.equal(given[KEYS[0]], before)


def test_jitter_stays_an_image():
    changed = augmented("jitter")[KEYS[0]]
    assert type(changed) is torch.Tensor
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_random_convolution_keeps_half_of_the_samples_and_is_linear_in_the_image():
    changed = augmented("randconv", samples=200)[KEYS[0]]
    kept = (changed == batch(200)[KEYS[0]]).flatten(1).all(1).double().mean()
    assert float(kept) == pytest.approx(ORIGINAL_SHARE, abs=0.12)
    grey = {key: torch.full((40, 3, 12, 16), 0.5) for key in KEYS}
    augment = make_augmentation("randconv", 0)
    assert augment is not None
    augment(grey, KEYS, 0)
    # A constant image stays constant in every channel: shapes are kept, colours are not.
    spread = grey[KEYS[0]].flatten(2).std(-1)
    np.testing.assert_allclose(spread.numpy(), 0, atol=1e-5)
    assert float((grey[KEYS[0]].mean((2, 3)) - 0.5).abs().max()) > 0.05
