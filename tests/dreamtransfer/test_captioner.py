"""Captions by transformers' own classes, with tiny random weights: what is said is nonsense, how it is had is not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from emma.dreamtransfer.captioner import Captioner
from emma.errors import EmmaError

SEED = 0
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "<image>",
    "a",
    "robot",
    "arm",
    "red",
    "cube",
    "on",
    "table",
    "light",
]


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    """Random weights may say nothing but marks that are left out; these say words."""
    torch.manual_seed(SEED)


def tokenizer() -> object:
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.add_special_tokens(["<image>"])
    words.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", bos_token="[CLS]", eos_token="[SEP]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]", extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip


def test_a_model_without_chat_goes_on_from_first_words(tmp_path: Path) -> None:
    from transformers import (
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
        BlipTextConfig,
        BlipVisionConfig,
    )

    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BlipConfig(
        vision_config=BlipVisionConfig(**size, image_size=16, patch_size=8).to_dict(),
        text_config=BlipTextConfig(
            **size, vocab_size=len(WORDS), encoder_hidden_size=16, max_position_embeddings=128,
            bos_token_id=2, sep_token_id=3, eos_token_id=3, pad_token_id=0,
        ).to_dict(),
    )  # fmt: skip
    model = BlipForConditionalGeneration(config)
    model.save_pretrained(tmp_path / "blip")
    BlipProcessor(BlipImageProcessor(size={"height": 16, "width": 16}), tokenizer()).save_pretrained(tmp_path / "blip")
    frames = np.random.default_rng(0).integers(0, 256, (5, 24, 32, 3), np.uint8)
    captioner = Captioner(str(tmp_path / "blip"))
    said = captioner(frames)
    assert said
    assert said == captioner(frames)


def test_a_chat_model_is_asked(tmp_path: Path) -> None:
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**size, image_size=16, patch_size=8),
        text_config=LlamaConfig(**size, vocab_size=len(WORDS), bos_token_id=2, eos_token_id=3, pad_token_id=0),
        image_token_index=WORDS.index("<image>"), image_seq_length=4,
    )  # fmt: skip
    LlavaForConditionalGeneration(config).save_pretrained(tmp_path / "llava")
    template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
    )
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"height": 16, "width": 16}, crop_size={"height": 16, "width": 16}), tokenizer(),
        patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=template,
    )  # fmt: skip
    processor.save_pretrained(tmp_path / "llava")
    frames = np.random.default_rng(0).integers(0, 256, (5, 24, 32, 3), np.uint8)
    captioner = Captioner(str(tmp_path / "llava"))
    assert captioner(frames, count=2)


def test_what_is_no_captioner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="cannot load the captioner"):
        Captioner(str(tmp_path))
