"""Tiny generators with random weights, of both kinds, and a clip to draw."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)

from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.prompts import Grammar
from emma.dreamtransfer.training.autoencoder import LATENTS, new_autoencoder
from emma.dreamtransfer.training.text import new_text_encoder, new_tokenizer, vocabulary
from emma.dreamtransfer.training.transformer import new_transformer

VIEWS = ("top", "wrist")


@pytest.fixture(scope="session")
def small_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("generators") / "small"
    tokenizer = new_tokenizer(vocabulary(Grammar.load("desk"), 50))
    transformer = new_transformer(layers=2, heads=2, head_width=16, hidden=32, every=1)
    # Zero outputs would hide what goes in.
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    DreamTransfer(
        tokenizer=tokenizer,
        text_encoder=new_text_encoder(tokenizer),
        vae=new_autoencoder(),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        views=VIEWS,
        latents_mean=[0.0] * LATENTS,
        latents_std=[1.0] * LATENTS,
        settings={"steps": 2, "window": 4, "overlap": 1},
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def large_generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wan2.1-VACE's classes in its own folder layout, tiny, with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("generators") / "wan"
    tokenizer = new_tokenizer(vocabulary(Grammar.load("desk"), 50))
    tokenizer.model_max_length = 512
    WanVACEPipeline(
        tokenizer=tokenizer,
        text_encoder=new_text_encoder(tokenizer),
        vae=AutoencoderKLWan(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
        ),
        transformer=WanVACETransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            text_dim=128,
            freq_dim=32,
            ffn_dim=32,
            num_layers=2,
            rope_max_seq_len=64,
            vace_layers=[0, 1],
            vace_in_channels=96,
        ),
    ).save_pretrained(folder)
    return folder
