"""DreamTransfer: one class for the small generator that ships and for Wan2.1-VACE, each a diffusers pipeline folder."""

import hashlib
import json
from dataclasses import replace
from functools import cached_property
from itertools import batched
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKLWan,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanVACETransformer3DModel,
)
from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

from emma.datasets.spill_arrays import empty
from emma.device import AUTO, CPU, choose_device
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.components import WindowModel
from emma.dreamtransfer.control import CHANNELS
from emma.dreamtransfer.fusion import AT_ONCE, Fusion
from emma.dreamtransfer.latest import Latest
from emma.dreamtransfer.settings import LARGE, Settings
from emma.dreamtransfer.small import SmallWindow
from emma.dreamtransfer.vace import VaceWindow
from emma.dreamtransfer.views import join, longer, split
from emma.dreamtransfer.windows import windows
from emma.errors import EmmaError

# As diffusers' save_lora_adapter calls it; without the name it may fall back to a pickle.
LORA_FILE = "pytorch_lora_weights.safetensors"
# Beside them: what they were trained for, and the settings that follow from it.
LORA_ABOUT = "lora.json"


class _Episode:
    """What all variants of a clip share: its correspondences; by window, what guides the generator."""

    def __init__(self, clip: Clip) -> None:
        self.fusion = Fusion(clip)
        self.guides: dict[Any, Any] = {}


class DreamTransfer(DiffusionPipeline):
    """Draws recorded episodes anew: the transformer denoises joined views under depth and text.

    From a folder with `AutoencoderDC` it runs frame-wise latents with geometry on the latent grid (control.py); from
    one with `AutoencoderKLWan` it is Wan2.1-VACE with depth as the control video (vace.py).

    views: the cameras it was trained on, in order. latents_mean, latents_std: per channel, of the small autoencoder.
    settings: how it is to be run, as keywords of `Settings`.
    """

    model_cpu_offload_seq = "text_encoder->transformer->vae"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        text_encoder: UMT5EncoderModel,
        vae: AutoencoderDC | AutoencoderKLWan,
        transformer: WanVACETransformer3DModel,
        scheduler: FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler,
        views: tuple[str, ...] | list[str] | None = None,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
        settings: dict[str, Any] | None = None,
        transformer_2: Any = None,
        boundary_ratio: float | None = None,
    ) -> None:
        super().__init__()
        if isinstance(transformer_2, torch.nn.Module):
            raise EmmaError("a pipeline with two transformers", found="Wan2.2", expected="Wan2.1-VACE or a small one")
        self.register_modules(
            tokenizer=tokenizer, text_encoder=text_encoder, vae=vae, transformer=transformer, scheduler=scheduler
        )
        self.register_to_config(
            views=list(views) if views else None,
            latents_mean=latents_mean,
            latents_std=latents_std,
            settings=dict(settings or {}),
        )
        usual = LARGE if isinstance(vae, AutoencoderKLWan) else Settings()
        self.settings = usual.changed(settings or {})
        self._folder: Path | None = None
        self._lora: Path | None = None
        self._episode = Latest(_Episode)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        settings: Settings | None = None,
        device: str = AUTO,
        lora: str | Path | None = None,
    ) -> Self:
        """From a local folder, or by name from the hub. bf16 on a GPU, with the parts that wait kept off it.

        device: auto, cpu or cuda. lora: a folder of weights that `emma dream train --lora` wrote for this base.

        Raises EmmaError if the folder is no such pipeline.
        """
        path = Path(folder)
        local = path.is_dir()
        if local and not (path / "model_index.json").is_file():
            raise EmmaError(
                f"{folder} is no generator",
                found="no model_index.json",
                expected="a diffusers pipeline folder: models/dreamtransfer_desk, or Wan2.1-VACE",
            )
        cuda = choose_device(device).name != CPU
        try:
            pipeline = cls.from_pretrained(
                str(path if local else folder), dtype=torch.bfloat16 if cuda else torch.float32
            )
        except EmmaError:
            raise
        except Exception as error:  # diffusers raises many kinds for a folder of something else
            raise EmmaError(
                f"{folder} is no DreamTransfer generator",
                found=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
                expected="tokenizer, text_encoder, vae, transformer (WanVACETransformer3DModel), scheduler",
                fix="give the folder of the small generator or of Wan2.1-VACE",
            ) from error
        parts = {"vae": (AutoencoderDC, AutoencoderKLWan), "transformer": (WanVACETransformer3DModel,)}
        for name, kinds in parts.items():
            if not isinstance(getattr(pipeline, name), kinds):
                raise EmmaError(
                    f"{folder} is another pipeline",
                    found=f"{name}: {type(getattr(pipeline, name)).__name__}",
                    expected=" or ".join(kind.__name__ for kind in kinds),
                )
        if pipeline.small:
            _require_channels(
                str(folder), pipeline.transformer.config.vace_in_channels, len(pipeline.config.latents_mean)
            )
        if lora is not None:
            pipeline.transformer.load_lora_adapter(str(lora), prefix=None, weight_name=LORA_FILE, use_safetensors=True)
            about = Path(lora) / LORA_ABOUT
            trained = json.loads(about.read_text())["settings"] if about.is_file() else {}
            pipeline.settings = pipeline.settings.changed(trained)
        if cuda:
            pipeline.enable_model_cpu_offload()
        pipeline._folder = path if local else None
        pipeline._lora = Path(lora) if lora is not None else None
        if settings is not None:
            pipeline.settings = settings
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @property
    def small(self) -> bool:
        """Whether this is a small generator with frame-wise latents."""
        return isinstance(self.vae, AutoencoderDC)

    @property
    def name(self) -> str:
        return self._folder.name if self._folder else str(self.config.get("_name_or_path", "dreamtransfer"))

    @property
    def views(self) -> tuple[str, ...] | None:
        """The cameras it was made for, in order; None for any."""
        return tuple(self.config.views) if self.config.views else None

    @property
    def needs_depth(self) -> bool:
        """Whether it draws nothing without depth."""
        return self.settings.guide != "edges"

    @cached_property
    def sha256(self) -> str:
        """Of every file of the folder (and of the LoRA weights), by name and content."""
        digest = hashlib.sha256()
        if self._folder is None:
            raise EmmaError("a generator without a folder has no hash", fix="save it first, then load it")
        for folder in (self._folder, *((self._lora,) if self._lora else ())):
            for file in sorted(folder.rglob("*")):
                inside = file.relative_to(folder)
                # Checkpoints of the training are not part of the generator.
                if inside.parts[0] != "training" and file.suffix in {".json", ".safetensors", ".model"}:
                    digest.update(f"{inside}\n".encode())
                    with file.open("rb") as content:
                        digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()

    def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
        """Camera -> (T, H, W, 3) uint8 RGB of the same motion as `clip` in the look that `prompt` says.

        Memory is that of one window, whatever the length: long episodes are mapped files. Pixels in `clip.keep` stay
        as they are.
        """
        if self.small and self.settings.guide != "depth":
            raise EmmaError(
                f"{self.name} is guided by depth alone",
                found=f"guide {self.settings.guide}",
                expected="guide depth",
                fix="edges are for Wan2.1-VACE",
            )
        if self.views is not None:
            clip = clip.only(self.views)
        made: dict[str, np.ndarray] = {}
        episode = self._episode(clip)
        for views in [clip.views] if self.settings.together else [(view,) for view in clip.views]:
            made |= self._joined(clip.only(views), prompt, seed, episode.guides)
        if self.settings.fuse:
            made = episode.fusion(made)
        for view, mask in clip.keep.items():
            np.copyto(made[view], clip.images[view], where=mask[..., None])
        return made

    @torch.no_grad()
    def _joined(self, clip: Clip, prompt: str, seed: int, guides: dict[Any, Any]) -> dict[str, np.ndarray]:
        size = self.settings.window
        if not self.small:
            # Windows of 4 k + 1 frames, and none longer than the episode needs.
            size = min(size - (size - 1) % 4, len(clip) + (1 - len(clip)) % 4)
        overlap = min(self.settings.overlap, size - 1)
        out = {view: empty(images.shape, np.uint8) for view, images in clip.images.items()}
        # Windows that share no frame do not depend on each other.
        at_once = 1 if overlap else max(1, self._window.frames_at_once // size)
        for several in batched(windows(len(clip), size, overlap), at_once):
            start, stop, count = several[0].start, several[-1].stop, several[0].known
            key = (clip.views, start, stop, self.settings.guide)
            guide = guides.get(key)
            if guide is None:
                part = clip.at(np.minimum(np.arange(start, stop), len(clip) - 1))
                guide = self._window.guide(part, self.settings)
                if len(clip.stretches(AT_ONCE)) == 1:
                    guides[key] = guide
            before = {view: longer(images[start:stop], stop - start) for view, images in out.items()}
            known = join(before, clip.views)
            made = self._window(guide, prompt, self.settings, known=known, count=count, seed=seed, windows=len(several))
            end = min(stop, len(clip))
            for view, images in split(made, clip.views).items():
                out[view][start + count : end] = images[count : end - start]
        return out

    @cached_property
    def _window(self) -> WindowModel:
        return SmallWindow(self) if self.small else VaceWindow(self)

    def __call__(self, clip: Clip, prompt: str, *, seed: int = 0, **settings: Any) -> dict[str, np.ndarray]:
        """`generate`, with other settings for this call."""
        before = self.settings
        self.settings = replace(before, **settings)
        try:
            return self.generate(clip, prompt, seed=seed)
        finally:
            self.settings = before


def _require_channels(folder: str, found: int, latents: int) -> None:
    wanted = CHANNELS + latents + 1
    if found != wanted:
        raise EmmaError(
            f"{folder} was trained by another version of emma",
            found=f"{found} channels of control",
            expected=f"{wanted}: geometry, known latents and their mask",
            fix="use the generator that comes with this version, or train yours anew: emma dream train",
        )
