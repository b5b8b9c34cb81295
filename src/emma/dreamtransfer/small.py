"""One window of the small generator: clean latents predicted under geometry and text, a few Euler steps."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.components import Components
from emma.dreamtransfer.control import control
from emma.dreamtransfer.settings import Settings
from emma.errors import EmmaError

# As many tokens as the text encoder was trained with.
TOKENS = 40


class SmallWindow:
    """Implements WindowModel for a pipeline with `AutoencoderDC`."""

    # A frame is some hundred tokens: drawn one by one, most of a step is overhead.
    frames_at_once = 16

    def __init__(self, pipeline: Components) -> None:
        self._pipeline = pipeline
        channels = (1, -1, 1, 1, 1)
        self._mean = torch.tensor(pipeline.config.latents_mean).view(channels)
        self._std = torch.tensor(pipeline.config.latents_std).view(channels)
        self._text = lru_cache(maxsize=32)(self._embedded)
        self._decoder = _quick_decoder(pipeline.vae)

    def guide(self, clip: Clip, settings: Settings) -> torch.Tensor:
        """(C, T, h, V w) float32."""
        return torch.from_numpy(control(clip))

    def __call__(
        self,
        guide: torch.Tensor,
        prompt: str,
        settings: Settings,
        *,
        known: np.ndarray,
        count: int,
        seed: int,
        windows: int = 1,
    ) -> np.ndarray:
        if windows != 1 and count:
            raise ValueError(f"{windows} windows at once with {count} known frames, not 0")
        pipeline = self._pipeline
        geometry = guide.unflatten(1, (windows, -1)).transpose(0, 1)
        frames, height, width = geometry.shape[2:]
        given = torch.zeros(windows, len(self._mean.flatten()), frames, height, width)
        mask = torch.zeros(windows, 1, frames, height, width)
        if count:
            given[:, :, :count] = self._encode(known[:count])
            mask[:, :, :count] = 1.0
        guide = torch.cat([geometry, given, mask], dim=1).to(pipeline.transformer.dtype)
        # Every window begins with the same noise.
        noise = self._noise(given[:1].shape, settings, seed).expand_as(given)
        scheduler = pipeline.scheduler
        scheduler.set_timesteps(settings.steps)
        # Known frames stay on their own straight path from noise to what they are.
        latents = noise
        for index, timestep in enumerate(scheduler.timesteps):
            sigma = scheduler.sigmas[index]
            latents = torch.where(mask > 0, (1.0 - sigma) * given + sigma * noise, latents)
            clean = self._predict(latents, timestep, prompt, guide, settings)
            latents = scheduler.step((latents - clean) / sigma, timestep, latents, return_dict=False)[0]
        latents = torch.where(mask > 0, given, latents)
        if not torch.isfinite(latents).all():
            raise EmmaError(
                "the generator made no picture", found="NaN or Inf in its latents", expected="finite numbers"
            )
        return self._decode(latents)

    def _predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, prompt: str, guide: torch.Tensor, settings: Settings
    ) -> torch.Tensor:
        transformer = self._pipeline.transformer
        scale = guide.new_full((len(transformer.config.vace_layers),), settings.control)

        def clean(text: torch.Tensor) -> torch.Tensor:
            made = transformer(
                hidden_states=latents.to(transformer.dtype),
                timestep=timestep.expand(len(latents)),
                encoder_hidden_states=text.expand(len(latents), -1, -1),
                control_hidden_states=guide,
                control_hidden_states_scale=scale,
                return_dict=False,
            )[0]
            return torch.as_tensor(made).float()

        with_text = clean(self._text(prompt))
        if settings.guidance == 1.0:
            return with_text
        without = clean(torch.zeros_like(self._text(prompt)))
        return without + settings.guidance * (with_text - without)

    def _noise(self, shape: torch.Size, settings: Settings, seed: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(seed)
        shared = torch.randn((*shape[:2], 1, *shape[3:]), generator=source)
        own = torch.randn(shape, generator=source)
        return settings.same_noise**0.5 * shared + (1.0 - settings.same_noise) ** 0.5 * own

    def _embedded(self, prompt: str) -> torch.Tensor:
        batch = self._pipeline.tokenizer(
            [prompt], padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
        )
        encoder = self._pipeline.text_encoder
        features = encoder(batch.input_ids, batch.attention_mask).last_hidden_state
        return torch.as_tensor(features * batch.attention_mask[..., None].to(features.dtype))

    def _encode(self, images: np.ndarray) -> torch.Tensor:
        """(T, H, V W, 3) uint8 to normalised latents (1, C, T, h, V w)."""
        vae = self._pipeline.vae
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).to(vae.dtype) / 127.5 - 1.0
        latents = vae.encode(pixels, return_dict=False)[0].float()
        return (latents.transpose(0, 1)[None] - self._mean) / self._std

    def _decode(self, latents: torch.Tensor) -> np.ndarray:
        """Normalised latents (windows, C, frames, h, V w) to (windows * frames, H, V W, 3) uint8."""
        frames = (latents * self._std + self._mean).transpose(1, 2).flatten(0, 1)
        pixels = self._decoder(frames.contiguous(memory_format=torch.channels_last)).float()
        values = pixels.clamp(-1, 1).add(1.0).mul(127.5).round().to(torch.uint8)
        return np.asarray(values.permute(0, 2, 3, 1).contiguous().numpy())


def _quick_decoder(vae: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Latents to pixels. On a CPU that multiplies bf16 it takes half the time of float32; pictures have eight bits."""
    abilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    if vae.device.type == "cpu" and vae.dtype == torch.float32 and abilities.get("avx512_bf16"):
        decoder = deepcopy(vae.decoder).to(torch.bfloat16)
        return lambda latents: torch.as_tensor(decoder(latents.to(torch.bfloat16)))
    return lambda latents: torch.as_tensor(vae.decode(latents.to(vae.dtype), return_dict=False)[0])
