"""Image augmentations of one step's batch: baselines against which generated data is measured.

Both change the look of a sample, all its cameras and times alike, and leave its geometry. Draws follow from seed, step
and process alone and touch no other random numbers, so a resumed training goes on with the same ones.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from emma.training.config import AUGMENTATIONS

# The usual strengths of contrastive learning's colour jitter at half (Chen et al. 2020 use 0.8, 0.8, 0.8, 0.2).
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
# RandConv (Xu et al. 2021): kernel sizes, and the share of samples that keep their own look.
KERNELS = (1, 3, 5, 7)
ORIGINAL_SHARE = 0.5

Augmentation = Callable[[dict[str, Any], Sequence[str], int], None]


def make_augmentation(name: str, seed: int, process: int = 0) -> Augmentation | None:
    """`augmentation(batch, image_keys, step)` changes the batch's images (B, [T,] 3, H, W) in [0, 1] in place."""
    if name == "none":
        return None
    change = {"jitter": _jitter, "randconv": _random_convolution}[name]

    def augment(batch: dict[str, Any], keys: Sequence[str], step: int) -> None:
        state = torch.get_rng_state()
        number = np.random.SeedSequence([seed, step, process, AUGMENTATIONS.index(name)]).generate_state(1, np.uint64)[
            0
        ]
        # The generator of the processor only: images are still there, and an accelerator's draws stay as they are.
        torch.default_generator.manual_seed(int(number))
        try:
            for key in keys:
                batch[key] = batch[key].clone()
            for sample in range(len(batch[keys[0]])):
                views = [batch[key][sample] for key in keys]
                change([view.view(-1, *view.shape[-3:]) for view in views])
        finally:
            torch.set_rng_state(state)

    return augment


@functools.cache
def _jitterer() -> Callable[..., Any]:
    from torchvision.transforms import v2

    jitter: Callable[..., Any] = v2.ColorJitter(**JITTER)
    return jitter


def _jitter(views: list[torch.Tensor]) -> None:
    """Brightness, contrast, saturation and hue, in random order (torchvision)."""
    from torchvision.tv_tensors import Image

    # As images, not bare tensors: of those torchvision changes the first only.
    changed = _jitterer()([Image(view) for view in views])
    for view, image in zip(views, changed, strict=True):
        view.copy_(image.as_subclass(torch.Tensor))


def _random_convolution(views: list[torch.Tensor]) -> None:
    """A random linear filter that keeps shapes and changes colour and texture, mixed with the image.

    Lee et al., Network Randomization, ICLR 2020; Xu et al., Robust and Generalizable Visual Representation Learning
    via Random Convolutions, ICLR 2021: weights N(0, 1 / (3 k^2)), k of 1, 3, 5, 7, output a I + (1 - a) conv(I) with
    a ~ U(0, 1). Values may leave [0, 1], as there.
    """
    if float(torch.rand(())) < ORIGINAL_SHARE:
        return
    k = KERNELS[int(torch.randint(len(KERNELS), ()))]
    share = float(torch.rand(()))
    kernel = torch.randn(3, 3, k, k) / (3 * k * k) ** 0.5
    for view in views:
        padded = F.pad(view, (k // 2,) * 4, mode="replicate")
        view.copy_(torch.lerp(F.conv2d(padded, kernel), view, share))
