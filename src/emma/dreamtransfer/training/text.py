"""The text encoder of a small generator: Wan's own class (UMT5), a few layers, words as tokens.

Trained together with a small transformer, text learns what binds to what (the red of "a red cube") last of all. Here it
learns that alone and first, in a minute: for every slot of the prompt grammar a query attends over the tokens, as the
transformer's cross-attention will, and must name the slot's word.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from emma.dreamtransfer.prompts import Grammar, Prompt

WIDTH: Final = 128
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
# Prompts of the desk have 30 words; longer ones are cut.
MAX_TOKENS: Final = 40
# What a slot is called when the sentence does not speak of it.
UNSAID: Final = "none"


def new_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A word tokenizer whose vocabulary is the words of `texts`, in a fixed order."""
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    words = {word for text in texts for word, _ in split.pre_tokenize_str(text.lower())}
    vocabulary = {word: index for index, word in enumerate([PAD, END, UNKNOWN, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
    )


def new_text_encoder(tokenizer: PreTrainedTokenizerFast) -> UMT5EncoderModel:
    """Untrained: token ids (N, L) to features (N, L, 128)."""
    # A mapping: transformers' configurations take keywords that their signatures do not tell.
    config: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "d_model": WIDTH,
        "d_kv": 32,
        "d_ff": 256,
        "num_layers": 3,
        "num_heads": 4,
        "dropout_rate": 0.0,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 64,
    }
    return UMT5EncoderModel(UMT5Config(**config))


@torch.no_grad()
def embed(
    encoder: UMT5EncoderModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], tokens: int = MAX_TOKENS
) -> torch.Tensor:
    """(N, tokens, D) features, zero where the text has ended, as Wan's pipelines have them."""
    batch = tokenizer(list(prompts), padding="max_length", max_length=tokens, truncation=True, return_tensors="pt")
    features = encoder(batch.input_ids, batch.attention_mask).last_hidden_state
    return features * batch.attention_mask[..., None].to(features.dtype)


class SlotLoss(torch.nn.Module):
    """Cross-entropy of naming each slot's word from what one query a slot finds among the tokens."""

    def __init__(
        self, encoder: UMT5EncoderModel, tokenizer: PreTrainedTokenizerFast, grammar: Grammar, batch: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.slots = {slot: (*words, UNSAID) for slot, words in grammar.spec.slots.items()}
        self.queries = torch.nn.Parameter(torch.randn(len(self.slots), WIDTH) * WIDTH**-0.5)
        self.keys = torch.nn.Linear(WIDTH, WIDTH)
        self.names = torch.nn.ModuleList(torch.nn.Linear(WIDTH, len(words)) for words in self.slots.values())
        self._tokenizer, self._grammar, self._batch = tokenizer, grammar, batch

    def forward(self, prompts: Sequence[Prompt]) -> tuple[torch.Tensor, float]:
        """Loss, and the share of slots named rightly."""
        texts = [prompt.text for prompt in prompts]
        batch = self._tokenizer(texts, padding=True, return_tensors="pt")
        features = self.encoder(batch.input_ids, batch.attention_mask).last_hidden_state
        scores = torch.einsum("sd,nld->nsl", self.queries, self.keys(features))
        scores = scores.masked_fill(batch.attention_mask[:, None] == 0, -torch.inf)
        found = torch.einsum("nsl,nld->nsd", scores.softmax(-1), features)
        losses, right = [], []
        for index, (slot, words) in enumerate(self.slots.items()):
            said = torch.tensor([words.index(prompt.words.get(slot, UNSAID)) for prompt in prompts])
            named = self.names[index](found[:, index])
            losses.append(functional.cross_entropy(named, said))
            right.append((named.argmax(-1) == said).float().mean())
        return torch.stack(losses).mean(), float(torch.stack(right).mean())

    def loss(self, rng: np.random.Generator, _: torch.Generator) -> tuple[torch.Tensor, Mapping[str, float]]:
        """On prompts drawn from the grammar."""
        loss, right = self.forward(self._grammar.sample(self._batch, int(rng.integers(2**31))))
        return loss, {"named_rightly": right}


def vocabulary(grammar: Grammar, prompts: int = 4000) -> list[str]:
    """Texts that hold every word the grammar can say."""
    texts = [prompt.text for prompt in grammar.sample(prompts, 0)]
    return [*texts, json.dumps(sorted({word for words in grammar.spec.slots.values() for word in words}))]
