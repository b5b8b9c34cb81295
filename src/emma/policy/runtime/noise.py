"""The noise that a flow policy's chunk starts from: the same numbers for the same seed in every runtime."""

import numpy as np


class Noise:
    """Draws as a LeRobot policy does under TorchRuntime: a seed a chunk, then standard normal numbers times `scale`.

    Without noise (scale 0) torch stays out of the process.
    """

    def __init__(self, shape: tuple[int, ...], scale: float, seed: int) -> None:
        self._shape, self._scale = shape, scale
        if scale:
            import torch

            self._torch = torch
            self._seeds, self._generator = torch.Generator(), torch.Generator()
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Restart the sequence."""
        if self._scale:
            self._seeds.manual_seed(seed)

    def fill(self, out: np.ndarray) -> None:
        """The next chunk's noise into `out`."""
        if self._scale == 0.0:
            out.fill(0.0)
            return
        torch = self._torch
        self._generator.manual_seed(int(torch.randint(0, 2**31, (1,), generator=self._seeds)))
        torch.randn(self._shape, generator=self._generator, out=torch.from_numpy(out))
        if self._scale != 1.0:
            np.multiply(out, self._scale, out=out)
