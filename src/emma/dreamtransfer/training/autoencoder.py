"""The light autoencoder of a small generator: diffusers' deep-compression class at a quarter of the resolution.

A video autoencoder of Wan's kind takes seconds per training step on a CPU; this one, frame by frame, takes a fraction
of one. A quarter rather than an eighth keeps objects of a few pixels.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderDC
from torch.nn import functional

from emma.dreamtransfer.corpus import Corpus

CHANNELS: Final = (32, 48, 96)
LAYERS: Final = (0, 1, 2)
LATENTS: Final = 8
# Weight of differences between neighbouring pixels: edges matter more than their share of the pixels.
EDGES: Final = 1.0
# Noise on training latents, in their own standard deviations: the decoder must stand a generator's small errors.
LATENT_NOISE: Final = 0.05
# Keeps latents from growing without bound.
SMALL: Final = 1e-4


def new_autoencoder() -> AutoencoderDC:
    """Untrained: (N, 3, H, W) in -1..1 to latents (N, 8, H/4, W/4) and back."""
    stages = len(CHANNELS)
    return AutoencoderDC(
        in_channels=3,
        latent_channels=LATENTS,
        attention_head_dim=32,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=CHANNELS,
        decoder_block_out_channels=CHANNELS,
        encoder_layers_per_block=LAYERS,
        decoder_layers_per_block=LAYERS,
        encoder_qkv_multiscales=((),) * stages,
        decoder_qkv_multiscales=((),) * stages,
        scaling_factor=1.0,
    )


class AutoencoderLoss:
    """L1 on pixels and on their differences, over random frames of random clips and views."""

    def __init__(self, model: AutoencoderDC, corpus: Corpus, batch_size: int) -> None:
        self.model = model.to(memory_format=torch.channels_last)
        self.corpus = corpus
        self.batch_size = batch_size

    def __call__(self, rng: np.random.Generator, noise: torch.Generator) -> tuple[torch.Tensor, Mapping[str, float]]:
        shape = self.corpus.images.shape[:3]
        at = tuple(rng.integers(limit, size=self.batch_size) for limit in shape)
        pixels = to_pixels(self.corpus.images[at])
        with torch.autocast("cpu", torch.bfloat16):
            latents = self.model.encode(pixels, return_dict=False)[0].float()
            spread = latents.detach().std()
            shaken = latents + LATENT_NOISE * spread * torch.randn(latents.shape, generator=noise)
            made = self.model.decode(shaken, return_dict=False)[0].float()
        flat = functional.l1_loss(made, pixels)
        across = functional.l1_loss(made.diff(dim=-1), pixels.diff(dim=-1))
        down = functional.l1_loss(made.diff(dim=-2), pixels.diff(dim=-2))
        loss = flat + EDGES * (across + down) + SMALL * latents.square().mean()
        error = (made.detach().clamp(-1, 1) - pixels).square().mean() / 4.0
        return loss, {"psnr_db": float(-10.0 * torch.log10(error))}


def to_pixels(images: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32 in -1..1, channels last in memory."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return tensor.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)


def to_images(pixels: torch.Tensor) -> np.ndarray:
    """(N, 3, H, W) in -1..1 to (N, H, W, 3) uint8."""
    values = pixels.detach().float().clamp(-1, 1).add(1.0).mul(127.5).round()
    return np.asarray(values.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy())


@torch.no_grad()
def encode(model: AutoencoderDC, images: np.ndarray, *, batch: int = 64) -> np.ndarray:
    """(N, H, W, 3) uint8 to latents (N, 8, H/4, W/4) float32."""
    parts = []
    for start in range(0, len(images), batch):
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(model.encode(to_pixels(images[start : start + batch]), return_dict=False)[0].float().numpy())
    return np.concatenate(parts)
