"""Memory that a graph's inputs and outputs lie in on the host."""

import numpy as np


def host_array(shape: tuple[int, ...], dtype: type, device: str) -> np.ndarray:
    """Zeros; page-locked for a GPU, which then copies without a detour. The array keeps its memory alive."""
    if device == "cpu":
        return np.zeros(shape, dtype)
    import torch

    kind = torch.from_numpy(np.zeros(0, dtype)).dtype
    array: np.ndarray = torch.zeros(shape, dtype=kind, pin_memory=torch.cuda.is_available()).numpy()
    return array
