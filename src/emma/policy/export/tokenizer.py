"""The tokenizer of a policy as a file of its own, so that a runtime of exported graphs starts without LeRobot."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from emma.files import sha256_file
from emma.policy.exported import TOKENIZER, TokenizerInfo
from emma.policy.loading import LoadedPolicy
from emma.policy.runtime.instruction_tokenizer import Tokens, exported_reader, tokens_of

# Texts on which file and pre-processor must agree, beside the instructions of the parity cases: empty, with a line end,
# with words, signs and letters that no training had, longer than any graph takes.
TEXTS = ("", "pick up the cube", "pick up the cube\n", "Setze den W\u00fcrfel, bitte!  (2x)", "again and " * 400)


def write_tokenizer(
    loaded: LoadedPolicy, folder: Path, length: int, instructions: Iterable[str] = ()
) -> TokenizerInfo | None:
    """Write `folder/tokenizer.json`, padded and cut to `length` tokens.

    None, and no file, where the policy's tokens need more than that file: a prompt that states the joints, a tokenizer
    in Python, another step between. Both are compared on `TEXTS` and on `instructions`.
    """
    found = next((each for step in loaded.pre.steps if (each := tokenizer_of(step, length)) is not None), None)
    if found is None:
        return None
    tokenizer, masked = found
    file = folder / TOKENIZER
    tokenizer.save(str(file))
    state = np.zeros(loaded.config.robot_state_feature.shape, np.float32)
    texts = (*TEXTS, *instructions)
    expected = [tokens_of(loaded.pre, text, state) for text in texts]
    for newline in (False, True):
        info = TokenizerInfo(newline=newline, masked=masked, sha256=sha256_file(file))
        read = exported_reader(file, info)
        if all(_same(read(text, state), tokens) for text, tokens in zip(texts, expected, strict=True)):
            return info
    file.unlink()
    return None


def _same(mine: Tokens, theirs: Tokens) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def tokenizer_of(step: Any, length: int) -> tuple[Any, tuple[int, ...]] | None:
    """(tokenizer of the `tokenizers` library, token ids beside padding that its mask leaves out) of a processor step.

    None for a step without one.
    """
    from lerobot.processor import TokenizerProcessorStep
    from tokenizers import Tokenizer

    from lerobot_policy_spatial_flow.processor_spatial_flow import WordsProcessorStep

    if isinstance(step, WordsProcessorStep):
        return step.tokenizer, (step.unknown_id,)
    theirs: Any = getattr(step, "input_tokenizer", None)
    if not isinstance(step, TokenizerProcessorStep) or not hasattr(theirs, "backend_tokenizer"):
        return None
    tokenizer = Tokenizer.from_str(theirs.backend_tokenizer.to_str())
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(
        direction=step.padding_side, pad_id=theirs.pad_token_id, pad_token=theirs.pad_token, length=length
    )
    return tokenizer, ()
