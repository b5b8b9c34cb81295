"""Instructions to tokens, by the bundle's own pre-processor, once an instruction."""

from functools import lru_cache

import numpy as np

from emma.errors import EmmaError
from emma.policy.bundle import Bundle
from emma.policy.loading import load_preprocessor


class Words:
    """instruction -> (tokens, mask), each (L,) int64 and bool. Remembers the instructions it has seen last.

    state_in_words: for a policy whose prompt says the state; then every state is another text, and none is remembered.
    """

    def __init__(self, bundle: Bundle, length: int, *, state_in_words: bool = False) -> None:
        self._pre = load_preprocessor(bundle)
        self._still = np.zeros(bundle.info.state_size, np.float32)
        self._length = length
        self.state_in_words = state_in_words
        self._read = lru_cache(maxsize=64)(lambda instruction: self._tokenise(instruction, self._still))

    def __call__(self, instruction: str, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """state: (S,) as the policy takes it."""
        return self._tokenise(instruction, state) if self.state_in_words else self._read(instruction)

    def _tokenise(self, instruction: str, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch
        from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS

        batch = self._pre({"task": instruction, "observation.state": torch.from_numpy(np.array(state, np.float32))})
        tokens, mask = batch[OBS_LANGUAGE_TOKENS][0].numpy(), batch[OBS_LANGUAGE_ATTENTION_MASK][0].bool().numpy()
        if tokens.shape != (self._length,):
            raise EmmaError(
                "the instruction does not fit the exported graph",
                found=f"{tokens.shape[0]} tokens",
                expected=f"{self._length}, padded",
            )
        return tokens, mask
