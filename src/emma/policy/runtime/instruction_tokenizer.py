"""Instructions to tokens, as the bundle's pre-processor makes them, once an instruction."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from emma.errors import EmmaError
from emma.policy.bundle import Bundle
from emma.policy.exported import FOLDER, TOKENIZER, ExportInfo, TokenizerInfo

Tokens = tuple[np.ndarray, np.ndarray]


class Words:
    """instruction -> (tokens, mask), each (L,) int64 and bool. Remembers the instructions it has seen last.

    folder: of the exported files, by default the bundle's. Without an exported tokenizer LeRobot's pre-processor is
    loaded, which takes as long as opening the policy in LeRobot.
    """

    def __init__(self, bundle: Bundle, info: ExportInfo, folder: Path | None = None) -> None:
        self.state_in_words = info.state_in_words
        if info.tokenizer is not None:
            read = exported_reader((folder or Path(bundle.path) / FOLDER) / TOKENIZER, info.tokenizer)
        else:
            read = preprocessor_reader(bundle)
        still = np.zeros(bundle.info.state_size, np.float32)

        def fitting(instruction: str, state: np.ndarray) -> Tokens:
            tokens, mask = read(instruction, state)
            if tokens.shape != (info.tokens,):
                raise EmmaError(
                    "the instruction does not fit the exported graph",
                    found=f"{tokens.shape[0]} tokens",
                    expected=f"{info.tokens}, padded",
                )
            return tokens, mask

        self._tokenise = fitting
        self._read = lru_cache(maxsize=64)(lambda instruction: fitting(instruction, still))

    def __call__(self, instruction: str, state: np.ndarray) -> Tokens:
        """state: (S,) as the policy takes it; it matters only for a policy whose prompt states it."""
        return self._tokenise(instruction, state) if self.state_in_words else self._read(instruction)


def exported_reader(file: Path, info: TokenizerInfo) -> Callable[[str, np.ndarray], Tokens]:
    """Tokens by the tokenizer in `file`, without LeRobot and torch."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))

    def read(instruction: str, state: np.ndarray) -> Tokens:
        ends = "\n" if info.newline and not instruction.endswith("\n") else ""
        encoding = tokenizer.encode(instruction + ends)
        tokens = np.array(encoding.ids, np.int64)
        return tokens, np.array(encoding.attention_mask, bool) & ~np.isin(tokens, info.masked)

    return read


def preprocessor_reader(bundle: Bundle) -> Callable[[str, np.ndarray], Tokens]:
    """Tokens by the bundle's LeRobot pre-processor."""
    from emma.policy.loading import load_preprocessor

    return partial(tokens_of, load_preprocessor(bundle))


def tokens_of(pre: Callable[[dict[str, Any]], dict[str, Any]], instruction: str, state: np.ndarray) -> Tokens:
    """What a LeRobot pre-processor pipeline makes of one instruction."""
    import torch
    from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS

    batch = pre({"task": instruction, "observation.state": torch.from_numpy(np.array(state, np.float32))})
    return batch[OBS_LANGUAGE_TOKENS][0].numpy(), batch[OBS_LANGUAGE_ATTENTION_MASK][0].bool().numpy()
