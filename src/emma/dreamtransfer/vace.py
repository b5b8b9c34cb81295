"""One window of Wan2.1-VACE: depth or edges as the control video, frames that are known as what its mask keeps.

VACE was trained on depth pictures that are white near and black far (inverse depth, as monocular models give it), and
on drawings, dark lines on white (arXiv 2503.07598). Known frames go in unmasked, everything else is to be drawn.
"""

from typing import Any

import numpy as np
import torch
from diffusers import WanVACEPipeline
from PIL import Image

from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.components import Components
from emma.dreamtransfer.metrics.boundary import image_edges
from emma.dreamtransfer.settings import Settings
from emma.dreamtransfer.views import join
from emma.errors import EmmaError

# Share of depth pixels that may lie beyond either end of the grey scale.
CLIPPED = 0.02
# Lines over grey depth: a colour that depth does not have.
LINE = (255, 0, 0)


def wan_pipeline(pipeline: Components) -> WanVACEPipeline:
    """diffusers' own pipeline on the same components."""
    wan = WanVACEPipeline(
        tokenizer=pipeline.tokenizer,
        text_encoder=pipeline.text_encoder,
        vae=pipeline.vae,
        transformer=pipeline.transformer,
        scheduler=pipeline.scheduler,
    )
    wan.set_progress_bar_config(disable=True)
    return wan


class VaceWindow:
    """Implements WindowModel for a pipeline with `AutoencoderKLWan`, on diffusers' own WanVACEPipeline."""

    frames_at_once = 0

    def __init__(self, pipeline: Components) -> None:
        self._wan = wan_pipeline(pipeline)

    def guide(self, clip: Clip, settings: Settings) -> np.ndarray:
        """(T, H, V W, 3) uint8: the control video."""
        return join(guide_pictures(clip, settings.guide), clip.views)

    def __call__(
        self,
        guide: np.ndarray,
        prompt: str,
        settings: Settings,
        *,
        known: np.ndarray,
        count: int,
        seed: int,
        windows: int = 1,
    ) -> np.ndarray:
        if windows != 1:
            raise ValueError(f"{windows} windows at once, not 1")
        guide = np.concatenate([known[:count], guide[count:]])
        frames, height, width = guide.shape[:3]
        edge = self._wan.vae_scale_factor_spatial * self._wan.transformer.config.patch_size[1]
        if height % edge or width % edge:
            raise EmmaError(
                "this generator cannot draw pictures of that size",
                found=f"{width} x {height} with the views joined",
                expected=f"multiples of {edge} pixels",
                fix="convert the bags with another image size",
            )
        mask = np.full((frames, height, width), 255, np.uint8)
        mask[:count] = 0
        made: Any = self._wan(
            prompt=prompt,
            video=[Image.fromarray(image) for image in guide],
            mask=[Image.fromarray(image).convert("RGB") for image in mask],
            height=height,
            width=width,
            num_frames=frames,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            conditioning_scale=settings.control,
            generator=torch.Generator("cpu").manual_seed(seed),
            output_type="np",
        ).frames[0]
        if not np.isfinite(made).all():
            raise EmmaError("the generator made no picture", found="NaN or Inf in its pixels", expected="numbers")
        return np.asarray(np.rint(np.clip(made, 0.0, 1.0) * 255.0), np.uint8)


def guide_pictures(clip: Clip, guide: str) -> dict[str, np.ndarray]:
    """Camera -> (T, H, W, 3) uint8: the control video. guide: one of `settings.GUIDES`.

    Edges are those of the recorded pictures: they keep flat things that depth does not show, and with them patterns and
    shadows of the source. `both` is no kind of picture that the released weights know: it needs LoRA.
    """
    if guide == "depth":
        return depth_pictures(clip)
    edges = {view: np.stack([image_edges(picture) for picture in clip.images[view]]) for view in clip.views}
    if guide == "edges":
        return {
            view: np.repeat(np.where(lines, 0, 255).astype(np.uint8)[..., None], 3, -1) for view, lines in edges.items()
        }
    depth = depth_pictures(clip)
    return {view: np.where(edges[view][..., None], np.array(LINE, np.uint8), depth[view]) for view in clip.views}


def depth_pictures(clip: Clip) -> dict[str, np.ndarray]:
    """Camera -> (T, H, W, 3) uint8: inverse depth, one grey scale per view and clip; unknown pixels are black.

    Raises EmmaError where a view has no depth.
    """
    pictures = {}
    for view in clip.views:
        if view not in clip.depth:
            raise EmmaError(
                f"camera {view} has no depth",
                found=f"depth of {', '.join(clip.depth) or 'no camera'}",
                expected="depth of every view",
                fix="name a depth model with --depth-model",
            )
        depth = clip.depth[view].astype(np.float32)
        known = depth > 0
        inverse = np.where(known, 1.0 / np.maximum(depth, 1.0), 0.0)
        low, high = np.quantile(inverse[known], (CLIPPED, 1.0 - CLIPPED)) if known.any() else (0.0, 1.0)
        grey = np.clip((inverse - low) / max(high - low, 1e-9), 0.0, 1.0) * known
        pictures[view] = np.repeat(np.rint(grey * 255.0).astype(np.uint8)[..., None], 3, axis=-1)
    return pictures
