"""Wan2.1-VACE in its real shapes, and a tiny one of the same classes, with random weights: for time and memory only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanVACETransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel

from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.prompts import Grammar
from emma.dreamtransfer.training.text import new_tokenizer, vocabulary


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Arguments of the three networks; those of the released folders' config.json."""

    transformer: Mapping[str, Any]
    vae: Mapping[str, Any]
    text: Mapping[str, Any]


_XXL: Final = {"vocab_size": 256_384, "d_model": 4096, "d_kv": 64, "d_ff": 10_240, "num_layers": 24, "num_heads": 64}
_WIDE: Final = {"attention_head_dim": 128, "text_dim": 4096, "vace_in_channels": 96}
SHAPES: Final[dict[str, Shape]] = {
    "tiny": Shape(
        transformer={
            "num_attention_heads": 2,
            "attention_head_dim": 12,
            "text_dim": 64,
            "freq_dim": 32,
            "ffn_dim": 64,
            "num_layers": 2,
            "vace_layers": [0, 1],
            "vace_in_channels": 96,
        },
        vae={"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1},
        text={"vocab_size": 512, "d_model": 64, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 4},
    ),
    "1.3B": Shape(
        transformer={
            **_WIDE,
            "num_attention_heads": 12,
            "ffn_dim": 8960,
            "num_layers": 30,
            "vace_layers": list(range(0, 30, 2)),
        },
        vae={},
        text=_XXL,
    ),
    "14B": Shape(
        transformer={
            **_WIDE,
            "num_attention_heads": 40,
            "ffn_dim": 13_824,
            "num_layers": 40,
            "vace_layers": list(range(0, 40, 5)),
        },
        vae={},
        text=_XXL,
    ),
}


def build(shape: Shape, device: str, dtype: torch.dtype) -> DreamTransfer:
    """A pipeline in memory. On the device `meta` its weights have shapes and no numbers."""
    tokenizer = new_tokenizer(vocabulary(Grammar.load("desk"), 50))
    tokenizer.model_max_length = 512
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            text = UMT5EncoderModel(UMT5Config(**shape.text))
            vae = AutoencoderKLWan(**shape.vae)
            transformer = WanVACETransformer3DModel(**shape.transformer)
    finally:
        torch.set_default_dtype(before)
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    )
    parts = {"text_encoder": text.eval(), "vae": vae.eval(), "transformer": transformer.eval()}
    return DreamTransfer(tokenizer=tokenizer, scheduler=scheduler, **parts)


def parameters(shape: Shape) -> dict[str, float]:
    """Part -> billions of parameters."""
    made = build(shape, "meta", torch.bfloat16)
    counts = {name: getattr(made, name).num_parameters() for name in ("transformer", "text_encoder", "vae")}
    return {name: count / 1e9 for name, count in counts.items()}
