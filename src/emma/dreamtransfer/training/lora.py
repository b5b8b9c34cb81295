"""LoRA on Wan2.1-VACE with the user's own robot videos: depth as control video, half resolution first, then full."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers.pipelines.wan.pipeline_wan_vace import retrieve_latents
from peft import LoraConfig as PeftLora
from PIL import Image

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.dataset import DatasetClips
from emma.dreamtransfer.depth import DepthEstimate
from emma.dreamtransfer.pipeline import LORA_ABOUT, DreamTransfer
from emma.dreamtransfer.settings import GUIDES
from emma.dreamtransfer.training.stage import StageConfig, run_stage
from emma.dreamtransfer.vace import guide_pictures, wan_pipeline
from emma.dreamtransfer.views import join
from emma.errors import EmmaError
from emma.files import atomic_write_text

TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
WORK = "training"

Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """rank: of the added weights. frames: of a window, 4 k + 1. scales: each stage's resolution and share of the steps.

    no_text: share of samples without text, for guidance. shift: moves the times towards noise; 3 for 480 lines. guide:
    what the control video shows, one of `settings.GUIDES`.
    """

    views: tuple[str, ...]
    rank: int = 16
    frames: int = 81
    steps: int = 1000
    scales: tuple[tuple[float, float], ...] = ((0.5, 0.5), (1.0, 0.5))
    learning_rate: float = 1e-4
    no_text: float = 0.1
    shift: float = 3.0
    guide: str = "depth"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.guide not in GUIDES:
            raise EmmaError("no such guide", found=self.guide, expected=" or ".join(GUIDES))
        if self.frames % 4 != 1 or self.rank < 1 or self.steps < len(self.scales):
            raise EmmaError(
                "a LoRA training that cannot run",
                found=f"{self.frames} frames, rank {self.rank}, {self.steps} steps",
                expected="4 k + 1 frames (81, 49, 17, ...), rank from 1, a step for each resolution",
            )


def train_lora(
    data: Sequence[Path],
    base: str | Path,
    out: Path,
    config: LoraConfig,
    progress: Progress = lambda *_: None,
    depth: DepthEstimate | None = None,
) -> None:
    """Train on windows of the datasets' episodes and write LoRA weights to `out` (diffusers' format).

    depth: estimates the depth that a dataset lacks.

    Raises EmmaError for data without depth or captions, episodes shorter than a window, or a base of another kind.
    """
    generator = DreamTransfer.load(base)
    if generator.small:
        raise EmmaError(
            f"{base} is a small generator",
            found="AutoencoderDC",
            expected="Wan2.1-VACE",
            fix="train a small one whole, without --lora",
        )
    torch.manual_seed(config.seed)
    transformer = generator.transformer
    transformer.requires_grad_(False)
    transformer.add_adapter(
        PeftLora(r=config.rank, lora_alpha=config.rank, target_modules=list(TARGETS), init_lora_weights="gaussian")
    )
    if transformer.device.type == "cuda":
        transformer.enable_gradient_checkpointing()
    added = _Added([p for p in transformer.parameters() if p.requires_grad])
    windows = [(dataset, *place) for dataset in _open(data, config) for place in _windows(dataset, config.frames)]
    if not windows:
        raise EmmaError(
            "no episode is as long as a window",
            found="0 windows",
            expected=f"{config.frames} frames",
            fix="lower --frames",
        )
    for number, (scale, share) in enumerate(config.scales):
        steps = max(1, round(config.steps * share))
        stage = StageConfig(
            steps=steps,
            batch_size=1,
            learning_rate=config.learning_rate,
            warmup=min(50, steps),
            average=0.99,
            seed=config.seed + number,
            save_every=100,
        )
        name = f"{scale:g}x"
        loss = _Loss(generator, windows, config, scale, depth)
        run_stage(added, loss, stage, out / WORK / name, _watch(progress, name, steps))
    transformer.save_lora_adapter(out, safe_serialization=True)
    about = {"base": str(base), "views": config.views, "rank": config.rank, "settings": {"guide": config.guide}}
    atomic_write_text(out / LORA_ABOUT, json.dumps(about, indent=2) + "\n")


def _watch(progress: Progress, name: str, steps: int) -> Callable[[int, float], None]:
    return lambda done, value: progress(f"LoRA at {name}", done, steps, f"loss {value:.4f}")


class _Added(torch.nn.Module):
    """The trained parameters alone: checkpoints do not hold the base."""

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        super().__init__()
        self.added = torch.nn.ParameterList(parameters)


def _open(data: Sequence[Path], config: LoraConfig) -> list[DatasetClips]:
    return [DatasetClips.open(path, views=config.views) for path in data]


def _windows(dataset: DatasetClips, frames: int) -> list[tuple[int, int]]:
    """(episode, first frame) of windows that do not overlap."""
    lengths = dataset.meta.episodes["length"]
    return [(i, start) for i, n in enumerate(lengths) for start in range(0, int(n) - frames + 1, frames)]


class _Loss:
    """Flow matching of the velocity on one random window a step; its latents are computed once and kept."""

    def __init__(
        self,
        generator: DreamTransfer,
        windows: list[tuple[DatasetClips, int, int]],
        config: LoraConfig,
        scale: float,
        depth: DepthEstimate | None,
    ) -> None:
        self._generator, self._windows, self._config, self._scale = generator, windows, config, scale
        self._depth = depth
        self._wan = wan_pipeline(generator)
        self._device = generator._execution_device
        self._kept: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def __call__(self, rng: np.random.Generator, noise: torch.Generator) -> tuple[torch.Tensor, Mapping[str, float]]:
        number = int(rng.integers(len(self._windows)))
        clean, guide, text = (part.to(self._device) for part in self._prepared(number))
        if rng.random() < self._config.no_text:
            text = torch.zeros_like(text)
        time = torch.sigmoid(torch.randn(1, generator=noise))
        time = (self._config.shift * time / (1.0 + (self._config.shift - 1.0) * time)).to(self._device)
        drawn = torch.randn(clean.shape, generator=noise).to(clean)
        made = self._generator.transformer(
            hidden_states=((1.0 - time) * clean + time * drawn).to(guide.dtype),
            timestep=time * 1000.0,
            encoder_hidden_states=text,
            control_hidden_states=guide,
            return_dict=False,
        )[0]
        return (made.float() - (drawn - clean).float()).square().mean(), {"time": float(time)}

    @torch.no_grad()
    def _prepared(self, number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents (1, C, t, h, w), control (1, 96, t, h, w) and text (1, L, D) of a window, on the CPU."""
        if number not in self._kept:
            dataset, episode, start = self._windows[number]
            clip = dataset[episode].clip.part(start, start + self._config.frames)
            wan, vae = self._wan, self._generator.vae
            video = self._pictures(join(clip.images, clip.views))
            guide = self._pictures(join(guide_pictures(self._with_depth(clip), self._config.guide), clip.views))
            size = {"height": guide[0].height, "width": guide[0].width, "num_frames": len(guide)}
            kind: dict[str, Any] = {"dtype": vae.dtype, "device": self._device}
            pixels, _, _ = wan.preprocess_conditions(video, None, None, 1, **size, **kind)
            depth, mask, none = wan.preprocess_conditions(guide, None, None, 1, **size, **kind)
            latents = retrieve_latents(vae.encode(pixels.to(vae.dtype)), sample_mode="argmax").float()
            mean, std = (
                torch.tensor(values, device=latents.device).view(1, -1, 1, 1, 1)
                for values in (vae.config.latents_mean, vae.config.latents_std)
            )
            control = wan.prepare_video_latents(depth, mask, none, None, self._device)
            control = torch.cat([control, wan.prepare_masks(mask, none).to(control)], dim=1)
            text, _ = wan.encode_prompt(dataset.caption(episode), do_classifier_free_guidance=False)
            self._kept[number] = tuple(  # type: ignore[assignment]
                part.to("cpu", guide_type(self._generator)) for part in ((latents - mean) / std, control, text)
            )
        return self._kept[number]

    def _with_depth(self, clip: Clip) -> Clip:
        missing = [view for view in clip.views if view not in clip.depth]
        if not missing or self._config.guide == "edges":
            return clip
        if self._depth is None:
            raise EmmaError(
                "videos without depth teach the control branch nothing",
                found=f"no depth of {', '.join(missing)}",
                expected="depth of every view",
                fix="record depth topics, or estimate it with --depth-model",
            )
        return replace(clip, depth=self._depth(clip))

    def _pictures(self, images: np.ndarray) -> list[Image.Image]:
        """Scaled to this stage's resolution, rounded to what the transformer's patches divide."""
        edge = self._wan.vae_scale_factor_spatial * self._wan.transformer.config.patch_size[1]
        height, width = (max(edge, int(side * self._scale) // edge * edge) for side in images.shape[1:3])
        return [Image.fromarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)) for image in images]


def guide_type(generator: DreamTransfer) -> torch.dtype:
    """The type the transformer computes in."""
    dtype: torch.dtype = generator.transformer.dtype
    return dtype
