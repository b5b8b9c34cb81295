"""Pretrained judges: real transformers classes with tiny random weights, loaded from a folder."""

import json

import numpy as np
import pytest

from emma.dreamtransfer.metrics.model_scores import depth_sq_rel, text_score
from emma.dreamtransfer.metrics.models import TransformersDepth, TransformersText
from emma.errors import EmmaError


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (9, 40, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def depth_folder(tmp_path_factory):
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        is_hybrid=False,
    )
    folder = tmp_path_factory.mktemp("dpt")
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = "abcdefghijklmnopqrstuvwxyz,"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=32)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": len(words), "max_position_embeddings": 32, "eos_token_id": 1, "bos_token_id": 0}
    config = CLIPConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 8}, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def test_a_depth_model_gives_depth_of_the_pictures_size(depth_folder, pictures):
    model = TransformersDepth(str(depth_folder))
    assert model.inverse
    assert model(pictures).shape == (9, 40, 48)
    depth = {"top": np.random.default_rng(1).integers(300, 900, (9, 40, 48)).astype(np.uint16)}
    # Nothing can be learned from noise: the best fit is a constant, whose error this is about.
    error = depth_sq_rel({"top": pictures, "wrist": pictures}, depth, model, every=4)
    d = depth["top"] / 1000
    assert error == pytest.approx(np.mean((1 / (1 / d).mean() - d) ** 2 / d), rel=0.1)


def test_a_text_model_compares_pictures_with_the_prompt(clip_folder, pictures):
    model = TransformersText(str(clip_folder))
    similarity = model(pictures, "a red cube, a blue bin")
    assert similarity.shape == (9,)
    assert (np.abs(similarity) <= 1.0).all()
    assert similarity[:3] == pytest.approx(model(pictures[:3], "a red cube, a blue bin"), abs=1e-5)
    assert 0.0 <= text_score({"top": pictures}, "a red cube, a blue bin", model, every=4) <= 100.0


def test_models_that_are_not_there_or_of_another_kind_are_refused(depth_folder, tmp_path):
    with pytest.raises(EmmaError, match="cannot load the depth model"):
        TransformersDepth(str(tmp_path))
    with pytest.raises(EmmaError, match="compares no pictures with text"):
        TransformersText(str(depth_folder))
