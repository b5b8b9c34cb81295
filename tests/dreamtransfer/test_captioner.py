"""Captions by transformers' own classes, with tiny random weights: what is said is nonsense, how it is had is not."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from emma.cli import main
from emma.dreamtransfer.captioner import Captioner
from emma.dreamtransfer.captions import caption_dataset
from emma.dreamtransfer.dataset import DatasetClips
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


def blip(folder: Path) -> Path:
    """A captioner with random weights."""
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
    model.save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size={"height": 16, "width": 16}), tokenizer()).save_pretrained(folder)
    return folder


def test_a_model_without_chat_goes_on_from_first_words(tmp_path: Path) -> None:
    blip(tmp_path / "blip")
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


@pytest.fixture
def dataset(videos: Callable[..., Path], tmp_path: Path) -> Path:
    """One episode without a caption."""
    data = tmp_path / "data"
    shutil.copytree(videos(), data)
    line = json.loads((data / "meta/provenance.jsonl").read_text())
    del line["caption"]
    (data / "meta/provenance.jsonl").write_text(json.dumps(line) + "\n")
    return data


def test_a_dataset_gets_captions_where_it_has_none(dataset: Path) -> None:
    shown: list[tuple[tuple[int, ...], int]] = []

    def describe(frames: np.ndarray, count: int) -> str:
        shown.append((frames.shape, count))
        return f"a red cube, look {len(shown)}"

    before = DatasetClips.open(dataset).provenance[0]
    assert caption_dataset(dataset, describe, view="wrist", frames=2) == 1
    assert shown == [((7, 64, 64, 3), 2)]
    after = DatasetClips.open(dataset)
    assert after.caption(0) == "a red cube, look 1"
    assert {**before, "caption": after.caption(0)} == after.provenance[0], "the rest of the line is as it was"
    assert caption_dataset(dataset, describe) == 0
    assert caption_dataset(dataset, describe, again=True) == 1
    assert DatasetClips.open(dataset).caption(0) == "a red cube, look 2"


def test_foreign_and_generated_episodes(dataset: Path) -> None:
    (dataset / "meta/provenance.jsonl").unlink()
    assert caption_dataset(dataset, lambda *_: "a blue bin") == 1
    assert DatasetClips.open(dataset).provenance[0] == {"episode_index": 0, "caption": "a blue bin"}
    (dataset / "meta/provenance.jsonl").write_text('{"prompt": "a green cube"}\n')
    assert caption_dataset(dataset, lambda *_: "a blue bin", again=True) == 0
    assert DatasetClips.open(dataset).caption(0) == "a green cube"


def test_a_dataset_in_use_is_left_alone(dataset: Path) -> None:
    lock = os.open(dataset, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(EmmaError, match="in use by another process"):
            caption_dataset(dataset, lambda *_: "a blue bin")
    finally:
        os.close(lock)
    with pytest.raises(EmmaError, match="lacks cameras"):
        caption_dataset(dataset, lambda *_: "a blue bin", view="left")


def test_the_verb_writes_what_the_model_says(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    model = blip(tmp_path / "blip")
    assert main(["dream", "caption", str(dataset), "--model", str(model), "--device", "cpu"]) == 0
    assert "1 captions written" in capsys.readouterr().out
    said = Captioner(str(model))(DatasetClips.open(dataset)[0].clip.images["top"])
    assert DatasetClips.open(dataset).caption(0) == said
    assert main(["dream", "caption", str(dataset), "--model", str(tmp_path), "--again"]) == 2
    assert "cannot load the captioner" in capsys.readouterr().err
