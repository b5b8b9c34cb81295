"""Captions of own videos by a vision-language model by name: what a generator is trained with where no grammar is.

Any `image-text-to-text` model of transformers: with a chat template (SmolVLM, Qwen-VL, ...) it is asked for foreground,
background and light; without one (BLIP, ...) it goes on from a few first words.
"""

from typing import Any

import numpy as np

from emma.errors import EmmaError

QUESTION = (
    "Describe how this robot scene looks in one plain sentence: first the robot and the things on the table with their "
    "colours, then the colour and pattern of the table and the floor, then the light. Do not say what happens."
)
FIRST_WORDS = "a robot arm"
# One sentence.
_MAX_TOKENS = 80


class Captioner:
    """One sentence for a clip, from the frame in its middle or from several."""

    def __init__(
        self, name: str, device: str = "cpu", *, question: str = QUESTION, first_words: str = FIRST_WORDS
    ) -> None:
        """name: a hub id or a folder. Raises EmmaError if it cannot be had or does not write about pictures."""
        from transformers import pipeline

        self._question, self._first_words = question, first_words
        try:
            self._pipeline: Any = pipeline("image-text-to-text", model=name, device=device)
        except Exception as error:  # the hub, configurations and processors raise many kinds
            raise EmmaError(
                f"cannot load the captioner '{name}'",
                found=str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
                expected="an image-text-to-text model: its name on the hub, in the local cache, or a folder",
                fix="give a folder where there is no network",
            ) from None

    def __call__(self, frames: np.ndarray, count: int = 1) -> str:
        """A sentence about (T, H, W, 3) uint8 frames, of which `count` are shown to the model."""
        from PIL import Image

        at = np.linspace(0, len(frames) - 1, count + 2).round().astype(int)[1:-1]
        pictures = [Image.fromarray(frames[i]) for i in at]
        options = {"max_new_tokens": _MAX_TOKENS, "return_full_text": False, "generate_kwargs": {"do_sample": False}}
        if getattr(self._pipeline.processor, "chat_template", None):
            content: list[dict[str, Any]] = [{"type": "image", "image": picture} for picture in pictures]
            content.append({"type": "text", "text": self._question})
            answer = self._pipeline(text=[{"role": "user", "content": content}], **options)
        else:
            answer = self._pipeline(images=pictures[:1], text=self._first_words, **options)
        text = _text(answer)
        if not text:
            raise EmmaError("the captioner said nothing", found="an empty answer", expected="a sentence")
        return text


def _text(answer: Any) -> str:
    """The generated words, whatever the pipeline wraps them in."""
    while isinstance(answer, list) and answer:
        answer = answer[-1]
    if isinstance(answer, dict):
        answer = answer.get("generated_text", answer.get("content", ""))
        if not isinstance(answer, str):
            return _text(answer)
    return " ".join(str(answer).split())
