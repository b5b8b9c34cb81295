"""The transformer of a small generator: Wan-VACE's class, trained by flow matching on latents of joined views.

It predicts the clean latents (Li and He, 2025: with patches wider than the network, the clean image is the one thing
that fits through), from which the velocity follows. Frames first, then clips, as in two-stage progressive training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from diffusers import WanVACETransformer3DModel
from torch.nn.attention import SDPBackend, sdpa_kernel

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.control import CHANNELS, describe
from emma.dreamtransfer.corpus import Corpus
from emma.dreamtransfer.geometry import CameraPoses
from emma.dreamtransfer.training.autoencoder import LATENTS
from emma.dreamtransfer.training.text import WIDTH
from emma.errors import EmmaError

TRAIN_STEPS: Final = 1000
# Known frames and their mask join the geometry in the control branch.
CONTROL: Final = CHANNELS + LATENTS + 1
# The loss of the velocity is that of the clean latents over t^2; below this t it grows no further.
LEAST_TIME: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """frames: length of a clip. Shares of samples: without text, without control, with frames known, one view alone.

    rare: extra weight of cells that hold objects or floor. shift: moves the times towards noise (Esser et al., 2024).
    """

    frames: int = 1
    no_text: float = 0.05
    no_control: float = 0.05
    known: float = 0.5
    most_known: int = 2
    alone: float = 0.1
    rare: float = 3.0
    shift: float = 3.0


def new_transformer(
    *, layers: int = 6, heads: int = 6, head_width: int = 32, hidden: int = 512, every: int = 2
) -> WanVACETransformer3DModel:
    """Untrained; a control block at every second layer."""
    return WanVACETransformer3DModel(
        patch_size=(1, 4, 4),
        num_attention_heads=heads,
        attention_head_dim=head_width,
        in_channels=LATENTS,
        out_channels=LATENTS,
        text_dim=WIDTH,
        freq_dim=128,
        ffn_dim=hidden,
        num_layers=layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=128,
        vace_layers=list(range(0, layers, every)),
        vace_in_channels=CONTROL,
    )


class TransformerLoss:
    """Flow matching on random clips of a corpus whose latents and text features are computed already.

    latents: (N, T, V, C, h, w), normalised, any float type; text: (N, L, D).
    """

    def __init__(
        self,
        model: WanVACETransformer3DModel,
        corpus: Corpus,
        latents: np.ndarray,
        text: torch.Tensor,
        poses: CameraPoses,
        batch_size: int,
        config: TransformerConfig,
    ) -> None:
        if config.frames > corpus.images.shape[1]:
            raise EmmaError(
                "clips of the corpus are too short", found=corpus.images.shape[1], expected=f"{config.frames} frames"
            )
        self.model, self.corpus, self.latents, self.text = model, corpus, latents, text
        self.poses, self.batch_size, self.config = poses, batch_size, config

    def __call__(self, rng: np.random.Generator, noise: torch.Generator) -> tuple[torch.Tensor, Mapping[str, float]]:
        config, n = self.config, self.batch_size
        clips = rng.integers(len(self.corpus), size=n)
        starts = rng.integers(self.corpus.images.shape[1] - config.frames + 1, size=n)
        views = list(range(len(self.corpus.views)))
        if rng.random() < config.alone:
            views = [int(rng.integers(len(views)))]
        pairs = [self._control(int(c), int(s), views) for c, s in zip(clips, starts, strict=True)]
        geometry = torch.from_numpy(np.stack([pair[0] for pair in pairs]))
        weight = 1.0 + config.rare * torch.from_numpy(np.stack([pair[1] for pair in pairs]))
        clean = torch.from_numpy(
            np.stack([self._latents(int(c), int(s), views) for c, s in zip(clips, starts, strict=True)])
        )

        known = torch.zeros(n, 1, config.frames, 1, 1)
        if config.frames > 1:
            counts = np.where(rng.random(n) < config.known, rng.integers(1, config.most_known + 1, n), 0)
            known = (torch.arange(config.frames)[None] < torch.from_numpy(counts)[:, None]).float()
            known = known[:, None, :, None, None]
        geometry = geometry * torch.from_numpy(rng.random(n) >= config.no_control).float().view(n, 1, 1, 1, 1)
        text = self.text[clips] * torch.from_numpy(rng.random(n) >= config.no_text).float().view(n, 1, 1)

        time = torch.sigmoid(torch.randn(n, generator=noise))
        time = (config.shift * time / (1.0 + (config.shift - 1.0) * time)).view(n, 1, 1, 1, 1)
        noisy = (1.0 - time) * clean + time * torch.randn(clean.shape, generator=noise)
        guide = torch.cat([geometry, known * clean, known.expand_as(clean[:, :1])], dim=1)
        # On a CPU the fused attention's backward pass takes half of a step of short sequences; the plain one less.
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            made = self.model(
                hidden_states=noisy,
                timestep=time.flatten() * TRAIN_STEPS,
                encoder_hidden_states=text,
                control_hidden_states=guide,
                return_dict=False,
            )[0]
        error = (made.float() - clean).square().mean(dim=1)
        share = weight * (1.0 - known[:, 0])
        each = (error * share).sum(dim=(1, 2, 3)) / share.sum(dim=(1, 2, 3))
        loss = (each / time.flatten().clamp_min(LEAST_TIME).square()).mean()
        return loss, {"error": float(each.detach().mean())}

    def _latents(self, clip: int, start: int, views: list[int]) -> np.ndarray:
        """(C, T, h, V w)."""
        part = self.latents[clip, start : start + self.config.frames][:, views].astype(np.float32)
        return np.concatenate(np.moveaxis(part, 1, 0), axis=-1).transpose(1, 0, 2, 3)

    def _control(self, clip: int, start: int, views: list[int]) -> tuple[np.ndarray, np.ndarray]:
        corpus, moments = self.corpus, slice(start, start + self.config.frames)
        names = [corpus.views[view] for view in views]
        geometry = self.poses(corpus.state[clip, moments])
        part = Clip(
            images={name: corpus.images[clip, moments, view] for name, view in zip(names, views, strict=True)},
            depth={name: corpus.depth[clip, moments, view] for name, view in zip(names, views, strict=True)},
            cameras={name: geometry[name] for name in names if name in geometry},
            fps=corpus.fps,
        )
        return describe(part)
