"""Instructions to tokens, by the bundle's own pre-processor, once an instruction."""

from functools import lru_cache

import numpy as np

from emma.errors import EmmaError
from emma.policy.bundle import Bundle
from emma.policy.loading import load_preprocessor


class Words:
    """instruction -> (tokens, mask), each (L,) int64 and bool. Remembers the instructions it has seen last."""

    def __init__(self, bundle: Bundle, length: int) -> None:
        self._pre = load_preprocessor(bundle)
        self._joints = len(bundle.info.action_names)
        self._length = length
        self._read = lru_cache(maxsize=64)(self._tokenise)

    def __call__(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        return self._read(instruction)

    def _tokenise(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        import torch
        from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS

        batch = self._pre({"task": instruction, "observation.state": torch.zeros(self._joints)})
        tokens, mask = batch[OBS_LANGUAGE_TOKENS][0].numpy(), batch[OBS_LANGUAGE_ATTENTION_MASK][0].bool().numpy()
        if tokens.shape != (self._length,):
            raise EmmaError(
                "the instruction does not fit the exported graph",
                found=f"{tokens.shape[0]} tokens",
                expected=f"{self._length}, padded",
            )
        return tokens, mask
