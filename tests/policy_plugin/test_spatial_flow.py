"""The spatial_flow policy by itself: registration, size, determinism, frozen prefixes, words."""

import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class
from lerobot.utils.import_utils import register_third_party_plugins

from lerobot_policy_spatial_flow import SpatialFlowConfig
from lerobot_policy_spatial_flow.modeling_spatial_flow import random_shift
from lerobot_policy_spatial_flow.processor_spatial_flow import WordsProcessorStep, vocabulary_of

IMAGES = {f"observation.images.{c}": PolicyFeature(FeatureType.VISUAL, (3, 96, 96)) for c in ("top", "wrist")}
STATE = {"observation.state": PolicyFeature(FeatureType.STATE, (7,))}
ACTION = {"action": PolicyFeature(FeatureType.ACTION, (7,))}


def make(inputs=None, **changes):
    torch.manual_seed(0)
    config = SpatialFlowConfig(
        device="cpu",
        input_features={**IMAGES, **STATE} if inputs is None else inputs,
        output_features=ACTION,
        **changes,
    )
    policy = get_policy_class("spatial_flow")(config)
    # The head starts at zero; give it something to say.
    torch.nn.init.normal_(policy.net.output.weight, std=0.05)
    return policy


def batch(n=3, cameras=IMAGES, **more):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.tensor([[2, 3, 4, 0]]).repeat(n, 1)
    observation = {key: torch.rand(n, *f.shape, generator=generator) for key, f in {**cameras, **STATE}.items()}
    words = {"observation.language.tokens": tokens, "observation.language.attention_mask": tokens > 1}
    return {**observation, **words, "action": torch.randn(n, 16, 7, generator=generator), **more}


def test_lerobot_finds_the_plugin_and_it_is_small():
    register_third_party_plugins()
    assert sum(p.numel() for p in make().parameters()) < 2_000_000


def test_the_same_noise_gives_the_same_chunk_and_noise_matters():
    policy, noise = make(), torch.randn(3, 16, 7)
    first = policy.predict_action_chunk(batch(), noise=noise)
    torch.testing.assert_close(policy.predict_action_chunk(batch(), noise=noise), first, rtol=0, atol=0)
    assert not torch.allclose(policy.predict_action_chunk(batch(), noise=-noise), first)


def test_the_instruction_changes_the_chunk():
    policy, noise = make(), torch.zeros(3, 16, 7)
    torch.nn.init.normal_(policy.net.condition[0].weight, std=0.3)
    for block in policy.net.blocks:
        torch.nn.init.normal_(block.modulate.weight, std=0.1)
    other = batch()
    other["observation.language.tokens"] = torch.tensor([[5, 6, 7, 8]]).repeat(3, 1)
    other["observation.language.attention_mask"] = other["observation.language.tokens"] > 1
    first, second = (policy.predict_action_chunk(b, noise=noise) for b in (batch(), other))
    assert (first - second).abs().max() > 1e-4


def test_padding_does_not_count_in_the_loss():
    policy = make()
    pad = torch.zeros(3, 16, dtype=torch.bool)
    pad[:, 8:] = True
    clean, broken = batch(action_is_pad=pad), batch(action_is_pad=pad)
    broken["action"] = broken["action"].clone()
    broken["action"][:, 8:] = 100.0
    policy.eval()
    policy.net.input.weight.data.zero_()  # so that padded inputs cannot reach the counted outputs
    losses = []
    for item in (clean, broken):
        torch.manual_seed(3)
        losses.append(policy.forward(item)[0])
    torch.testing.assert_close(*losses)


def test_loss_per_sample_averages_to_the_loss():
    policy = make().eval()
    torch.manual_seed(3)
    each, _ = policy.forward(batch(), reduction="none")
    torch.manual_seed(3)
    loss, _ = policy.forward(batch())
    torch.testing.assert_close(each.mean(), loss)


def test_a_frozen_prefix_is_kept_and_is_off_unless_trained():
    previous = torch.randn(3, 10, 7)
    noise = torch.randn(3, 16, 7)
    kwargs = {"noise": noise, "inference_delay": 4, "prev_chunk_left_over": previous}
    chunk = make(rtc_max_delay=6).predict_action_chunk(batch(), **kwargs)
    torch.testing.assert_close(chunk[:, :4], previous[:, :4])
    assert not torch.allclose(chunk[:, 4:8], previous[:, 4:8])
    plain = make().predict_action_chunk(batch(), **kwargs)
    assert not torch.allclose(plain[:, :4], previous[:, :4])


def test_one_or_three_cameras_of_other_sizes():
    for names, size in ((("front",), (64, 80)), (("a", "b", "c"), (96, 128))):
        cameras = {f"observation.images.{n}": PolicyFeature(FeatureType.VISUAL, (3, *size)) for n in names}
        chunk = make({**cameras, **STATE}).predict_action_chunk(batch(2, cameras))
        assert chunk.shape == (2, 16, 7)


def test_select_action_plays_the_chunk_in_order():
    policy, noise = make(n_action_steps=4), torch.randn(1, 16, 7)
    one = batch(1)
    chunk = policy.predict_action_chunk(one, noise=noise)
    policy.reset()
    for k in range(4):
        torch.testing.assert_close(policy.select_action(one, noise=noise), chunk[:, k])


def test_a_shift_moves_but_keeps_the_size():
    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.float32).reshape(2, 3, 8, 8)
    torch.manual_seed(0)
    assert random_shift(images, 2).shape == images.shape
    assert random_shift(images, 0) is images
    assert not torch.equal(random_shift(images, 2), images)


def test_words_are_read_without_case_and_punctuation_and_unknown_ones_are_masked():
    step = WordsProcessorStep(vocabulary_of(["Put the cube, in the bin!"], 100), max_tokens=8)
    assert step.vocabulary == ["bin", "cube", "in", "put", "the"]
    step._current_transition = {"complementary_data": {"task": ["PUT the block in the bin"]}}
    got = step.observation({})
    mask = got["observation.language.attention_mask"][0]
    assert mask.tolist() == [True, True, False, True, True, True, False, False]


def test_too_many_words_and_bad_configurations_are_refused():
    with pytest.raises(ValueError, match="raise vocabulary_size"):
        vocabulary_of(["one two three"], 4)
    with pytest.raises(ValueError, match="rtc_max_delay"):
        SpatialFlowConfig(device="cpu", rtc_max_delay=16)
    with pytest.raises(ValueError, match="at least one camera"):
        make(STATE)


def test_new_words_get_ids_of_their_own_and_known_ones_keep_theirs():
    step = WordsProcessorStep(vocabulary_of(["put the cube in the bin"], 64), 8)
    before = list(step.vocabulary)
    step.learn(["put the cube beside the plate"], 64)
    assert step.vocabulary == [*before, "beside", "plate"]
    with pytest.raises(ValueError, match="new words"):
        step.learn(["one two three four"], len(step.vocabulary) + 4)


def test_depth_beside_the_cameras_is_left_aside():
    depth = {"observation.depth.top": PolicyFeature(FeatureType.VISUAL, (1, 96, 96))}
    policy = make({**IMAGES, **depth, **STATE})
    assert list(policy.config.image_features) == list(IMAGES)
    with pytest.raises(ValueError, match="at least one camera"):
        make({**depth, **STATE})
