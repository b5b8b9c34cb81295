"""AdaMix on the loss instead of on the draws: LeRobot's own interface for weighted samples."""

from typing import Any

import numpy as np
import torch
from lerobot.utils.sample_weighting import SampleWeighter

from emma.adamix.state import AdaMix


class AdaMixWeighter(SampleWeighter):
    """Weights by frame number for `(loss * w).sum() / w.sum()`, as LeRobot's training applies them.

    In expectation the gradient is that of drawing with the same weights; in a single batch it is noisier, since hard
    episodes are seen no more often. The policy must take `forward(batch, reduction="none")`.
    """

    def __init__(self, state: AdaMix, device: torch.device | str = "cpu") -> None:
        self._state, self._device = state, device
        self.refresh()

    def refresh(self) -> None:
        """Take the state's weights of now; call it after every change."""
        self._weights = self._state.frame_weights()

    def compute_batch_weights(self, batch: dict) -> tuple[torch.Tensor, dict]:
        """`batch["index"]` (B,) frame numbers -> weights (B,) float32 with mean 1, and their mean before."""
        weights = self._weights[np.asarray(batch["index"])]
        mean = float(weights.mean())
        return torch.as_tensor(weights / mean, dtype=torch.float32, device=self._device), {"mean_weight": mean}

    def get_stats(self) -> dict[str, Any]:
        return {"type": "adamix", "resets": self._state.resets, "max_weight": float(self._weights.max())}
