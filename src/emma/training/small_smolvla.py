"""A SmolVLA of about a million parameters with a backbone folder of its own: nothing is downloaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emma.training.frames import IMAGES, Source

HIDDEN, LAYERS, HEADS = 128, 4, 4
PATCH, SCALE = 16, 2
TOKENS = 32
SPECIAL = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}


@dataclass(frozen=True, kw_only=True)
class BackboneSize:
    """Of a SmolVLM. image: edge, pixels; scale: patches joined to one token, in each direction; groups: of keys."""

    image: int
    hidden: int = HIDDEN
    intermediate: int = 2 * HIDDEN
    layers: int = LAYERS
    heads: int = HEADS
    groups: int = HEADS // 2
    head_dim: int = HIDDEN // HEADS
    vision_hidden: int = 96
    vision_intermediate: int = 192
    vision_layers: int = 4
    vision_heads: int = 4
    patch: int = PATCH
    scale: int = SCALE
    vocabulary: int = 0


def small_smolvla(folder: Path, sources: Sequence[Source]) -> dict[str, Any]:
    """Write configuration, processor and a byte-level tokenizer trained on the instructions to `folder`.

    Returns the SmolVLAConfig fields that use them.
    """
    size = max(max(f["shape"][:2]) for s in sources for k, f in s.features.items() if k.startswith(IMAGES))
    size = -(-size // (PATCH * SCALE)) * PATCH * SCALE
    write_backbone(folder, [str(t) for s in sources for t in s.meta.tasks.index], BackboneSize(image=size))
    return {
        "vlm_model_name": str(folder.resolve()),
        "load_vlm_weights": False,
        "freeze_vision_encoder": False,
        "train_expert_only": False,
        "resize_imgs_with_padding": (size, size),
        "num_vlm_layers": LAYERS,
        "chunk_size": 16,
        "n_action_steps": 16,
        "max_state_dim": 16,
        "max_action_dim": 16,
        "tokenizer_max_length": TOKENS,
        "pad_language_to": "max_length",
    }


def write_backbone(folder: Path, texts: Sequence[str], size: BackboneSize) -> None:
    """A SmolVLM's folder without weights; the tokenizer is trained on `texts`."""
    from transformers import SmolVLMConfig, SmolVLMImageProcessor, SmolVLMProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    tokenizer = write_tokenizer(folder, texts)
    vision = {
        "model_type": "smolvlm_vision",
        "hidden_size": size.vision_hidden,
        "intermediate_size": size.vision_intermediate,
        "num_hidden_layers": size.vision_layers,
        "num_attention_heads": size.vision_heads,
        "image_size": size.image,
        "patch_size": size.patch,
    }
    text = {
        "model_type": "llama",
        "hidden_size": size.hidden,
        "intermediate_size": size.intermediate,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.groups,
        "head_dim": size.head_dim,
        "vocab_size": max(size.vocabulary, len(tokenizer)),
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = SmolVLMConfig.from_dict(
        {
            "image_token_id": tokenizer.convert_tokens_to_ids(SPECIAL["image_token"]),
            "scale_factor": size.scale,
            "pad_token_id": tokenizer.pad_token_id,
            "vision_config": vision,
            "text_config": text,
        }
    )
    config.architectures = ["SmolVLMForConditionalGeneration"]
    config.save_pretrained(folder)
    edge = {"longest_edge": size.image}
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=edge, max_image_size=edge),
        image_seq_len=(size.image // size.patch) ** 2 // size.scale**2,
    ).save_pretrained(folder)


def write_tokenizer(folder: Path, texts: Sequence[str]) -> Any:
    """A byte-level tokenizer trained on `texts`, saved to `folder`."""
    tokenizer = _tokenizer(list(texts))
    tokenizer.save_pretrained(folder)
    return tokenizer


def _tokenizer(tasks: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    start, pad = "<|im_start|>", "<|im_end|>"
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=[start, pad, *SPECIAL.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([task + "\n" for task in tasks], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=start,
        eos_token=SPECIAL["end_of_utterance_token"],
        pad_token=pad,
        model_max_length=8192,
        extra_special_tokens=SPECIAL,
    )
