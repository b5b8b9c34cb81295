"""pi0's graphs. LeRobot builds pi0 in its own billions of parameters only, so its sizes are shrunk here while it is
built; what is traced and compared is its own code."""

import numpy as np
import onnxruntime
import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.pi0 import modeling_pi0
from lerobot.policies.pi0.configuration_pi0 import PI0Config
from lerobot.processor import NormalizerProcessorStep, UnnormalizerProcessorStep

from emma.policy.export.bundle_export import describe, policy_graphs
from emma.policy.export.write import write_graph
from emma.policy.loading import LoadedPolicy

CHUNK, STEPS, TOKENS, WIDTH = 4, 3, 6, 32


class Steps:
    """A pipeline is asked for its steps alone."""

    def __init__(self, *steps):
        self.steps = steps


@pytest.fixture(scope="module")
def loaded():
    with pytest.MonkeyPatch.context() as patch:
        whole = modeling_pi0.PaliGemmaForConditionalGenerationWithPiGemma

        def small(config):
            vision = config.vision_config
            vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads = 32, 2, 2
            vision.intermediate_size, vision.projection_dim = 64, WIDTH
            return whole(config=config)

        sizes = modeling_pi0.GemmaConfig(WIDTH, 2, 64, 2, 1, 16)
        patch.setattr(modeling_pi0, "get_gemma_config", lambda variant: sizes)
        patch.setattr(modeling_pi0, "PaliGemmaForConditionalGenerationWithPiGemma", small)
        torch.manual_seed(0)
        images = {"observation.images.top": PolicyFeature(FeatureType.VISUAL, (3, 28, 56))}
        config = PI0Config(
            input_features={**images, "observation.state": PolicyFeature(FeatureType.STATE, (7,))},
            output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
            image_resolution=(56, 56),
            chunk_size=CHUNK,
            n_action_steps=CHUNK,
            num_inference_steps=STEPS,
            tokenizer_max_length=TOKENS,
            device="cpu",
        )
        policy = modeling_pi0.PI0Policy(config).eval()
    stats = {
        key: {"mean": torch.linspace(-0.1, 0.1, 7), "std": torch.linspace(0.5, 2.0, 7)}
        for key in ("observation.state", "action")
    }
    features = {**config.input_features, **config.output_features}
    pre = NormalizerProcessorStep(features=features, norm_map=config.normalization_mapping, stats=stats)
    post = UnnormalizerProcessorStep(
        features=config.output_features, norm_map=config.normalization_mapping, stats=stats
    )
    return LoadedPolicy(config, policy, Steps(pre), Steps(post))


def test_graphs_in_onnxruntime_give_the_unpatched_policys_chunk(loaded, tmp_path):
    made = policy_graphs(loaded)
    info = describe(loaded, made)
    assert (info.flow.steps, info.chunk, info.tokens, info.cameras) == (STEPS, CHUNK, TOKENS, {"top": (28, 56)})
    sessions = {
        name: onnxruntime.InferenceSession(str(write_graph(name, graph, tmp_path)), providers=["CPUExecutionProvider"])
        for name, graph in made.graphs.items()
    }
    feeds = {name: tensor.numpy() for name, tensor in made.graphs["prefix"].inputs.items()}
    noise = torch.randn(1, CHUNK, made.width)
    mean, std = np.linspace(-0.1, 0.1, 7, dtype=np.float32), np.linspace(0.5, 2.0, 7, dtype=np.float32)
    batch = {
        "observation.images.top": torch.from_numpy(feeds["top"]).permute(0, 3, 1, 2) / 255,
        "observation.state": torch.from_numpy((feeds["state"] - mean) / std),
        "observation.language.tokens": torch.from_numpy(feeds["tokens"]),
        "observation.language.attention_mask": torch.from_numpy(feeds["mask"]),
    }
    with torch.no_grad():
        expected = loaded.policy.predict_action_chunk(batch, noise=noise.clone()).numpy()
    names = made.graphs["prefix"].outputs
    context = dict(zip(names, sessions["prefix"].run(list(names), feeds), strict=True))
    chunk = noise.numpy().copy()
    for step in range(STEPS):
        time = np.full((1, CHUNK), 1.0 - step / STEPS, np.float32)
        chunk -= sessions["step"].run(["velocity"], {"noisy": chunk, "time": time, **context})[0] / STEPS
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(chunk[..., :7], expected, atol=1e-4, rtol=0)
