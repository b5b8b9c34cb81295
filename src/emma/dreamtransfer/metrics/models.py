"""Pretrained judges by name or folder, through transformers: a depth model and an image-text model."""

from typing import Any, Protocol

import numpy as np

from emma.errors import EmmaError

BATCH = 8
# Model types whose prediction is depth itself; the others of transformers predict relative inverse depth.
_METRIC = frozenset({"depth_pro", "glpn", "prompt_depth_anything", "zoedepth"})


class DepthModel(Protocol):
    """Depth of single pictures, up to the alignment of `depth_error.align`."""

    inverse: bool  # the prediction is relative inverse depth, not depth

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, H, W) float32."""
        ...


class TextModel(Protocol):
    """How well pictures fit a text."""

    def __call__(self, pictures: np.ndarray, text: str) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N,) float32 cosine similarities."""
        ...


class TransformersDepth:
    """Any `AutoModelForDepthEstimation`, for instance depth-anything/Depth-Anything-V2-Small-hf."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        """name: a hub id or a folder. Raises EmmaError if it cannot be had or is no depth model."""
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        self._processor = _load(AutoImageProcessor, name, "depth model")
        self._model = _load(AutoModelForDepthEstimation, name, "depth model").eval().to(device)
        config = self._model.config
        kind = getattr(config, "depth_estimation_type", "metric" if config.model_type in _METRIC else "relative")
        self.inverse = kind == "relative"

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        import torch

        parts = []
        for batch in _batches(pictures):
            inputs = self._processor(images=list(batch), return_tensors="pt").to(self._model.device)
            with torch.inference_mode():
                outputs = self._model(**inputs)
            sizes = [picture.shape[:2] for picture in batch]
            if self._model.config.model_type == "zoedepth":
                found = self._processor.post_process_depth_estimation(outputs, sizes, source_sizes=sizes)
            else:
                found = self._processor.post_process_depth_estimation(outputs, sizes)
            parts += [one["predicted_depth"].float().cpu().numpy() for one in found]
        return np.stack(parts)


class TransformersText:
    """Any CLIP-like model with image and text features, for instance openai/clip-vit-base-patch32."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        """name: a hub id or a folder. Raises EmmaError if it cannot be had or compares no pictures with text."""
        from transformers import AutoModel, AutoProcessor

        self._model = _load(AutoModel, name, "image-text model").eval().to(device)
        if not hasattr(self._model, "get_image_features"):
            raise EmmaError(
                f"{name} compares no pictures with text",
                found=type(self._model).__name__,
                expected="a model with image and text features, such as CLIP or SigLIP",
            )
        self._processor = _load(AutoProcessor, name, "image-text model")

    def __call__(self, pictures: np.ndarray, text: str) -> np.ndarray:
        import torch

        parts = []
        for batch in _batches(pictures):
            inputs = self._processor(
                text=[text], images=list(batch), return_tensors="pt", padding="max_length", truncation=True
            ).to(self._model.device)
            with torch.inference_mode():
                outputs = self._model(**inputs)
            image, words = (
                torch.nn.functional.normalize(e, dim=-1) for e in (outputs.image_embeds, outputs.text_embeds)
            )
            parts.append((image @ words.T)[:, 0].float().cpu().numpy())
        return np.concatenate(parts)


def _batches(pictures: np.ndarray) -> list[np.ndarray]:
    return [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]


def _load(kind: Any, name: str, what: str) -> Any:
    try:
        return kind.from_pretrained(name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise EmmaError(
            f"cannot load the {what} '{name}'",
            found=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            expected="a model's name on the hub, in the local cache, or a folder",
            fix="give a folder where there is no network, or leave the option out",
        ) from None
