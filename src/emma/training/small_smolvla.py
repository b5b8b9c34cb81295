"""A SmolVLA of about a million parameters with a backbone folder of its own: nothing is downloaded."""

from collections.abc import Sequence
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


def small_smolvla(folder: Path, sources: Sequence[Source]) -> dict[str, Any]:
    """Write configuration, processor and a byte-level tokenizer trained on the instructions to `folder`.

    Returns the SmolVLAConfig fields that use them.
    """
    from transformers import SmolVLMConfig, SmolVLMImageProcessor, SmolVLMProcessor
    from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

    folder = folder.resolve()
    size = max(max(f["shape"][:2]) for s in sources for k, f in s.features.items() if k.startswith(IMAGES))
    size = -(-size // (PATCH * SCALE)) * PATCH * SCALE
    tokenizer = _tokenizer([str(task) for source in sources for task in source.meta.tasks.index])
    tokenizer.save_pretrained(folder)
    vision = {
        "model_type": "smolvlm_vision",
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": size,
        "patch_size": PATCH,
    }
    text = {
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "head_dim": HIDDEN // HEADS,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = SmolVLMConfig.from_dict(
        {
            "image_token_id": tokenizer.convert_tokens_to_ids(SPECIAL["image_token"]),
            "scale_factor": SCALE,
            "pad_token_id": tokenizer.pad_token_id,
            "vision_config": vision,
            "text_config": text,
        }
    )
    config.architectures = ["SmolVLMForConditionalGeneration"]
    config.save_pretrained(folder)
    edge = {"longest_edge": size}
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=edge, max_image_size=edge),
        image_seq_len=(size // PATCH) ** 2 // SCALE**2,
    ).save_pretrained(folder)
    return {
        "vlm_model_name": str(folder),
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
