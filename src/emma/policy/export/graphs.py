"""What a policy class gives to be exported: modules with fixed shapes whose inputs are raw sensor data.

Normalisation of images and state is part of the graph, so that a runtime copies pixels and joints and nothing else.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from emma.policy.end_effector.processors import AbsolutePosesStep
from emma.policy.export.affine import Affine, affine, normaliser
from emma.policy.loading import LoadedPolicy

IMAGES = "observation.images."
STATE, ACTION = "observation.state", "action"
STATE_INPUT, TOKENS, MASK = "state", "tokens", "mask"
NOISY, TIME, VELOCITY, CHUNK = "noisy", "time", "velocity", "chunk"


@dataclass(frozen=True)
class Graph:
    """One graph: `module(*inputs.values())` gives `outputs`. The example inputs fix the shapes, batch 1."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Flow:
    """How the runtime integrates `step`. steps: Euler steps from time 1 (noise) to 0; noise_scale: its deviation;
    trained_delay: largest frozen prefix the policy was trained with (training-time real-time chunking), 0 for none."""

    steps: int
    noise_scale: float = 1.0
    trained_delay: int = 0


@dataclass(frozen=True)
class PolicyGraphs:
    """The graphs of a policy: `prefix` and `step` with a flow, or `policy` alone.

    width: actions as the model knows them, the policy's own padded; tokens: language tokens, 0 for a policy that
    does not read the instruction; state_in_words: they say the measured state, too; patches: holds while the modules
    are traced.
    """

    graphs: Mapping[str, Graph]
    chunk: int
    width: int
    tokens: int = 0
    flow: Flow | None = None
    state_in_words: bool = False
    patches: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)


class Sensors(nn.Module):
    """Raw cameras (B, H, W, 3) uint8 and state (B, J) float32 to what the policy's model was trained on."""

    def __init__(self, loaded: LoadedPolicy) -> None:
        super().__init__()
        step = normaliser(loaded.pre.steps)
        self.keys = list(loaded.config.image_features)
        self._register("state", affine(step, STATE))
        for i, key in enumerate(self.keys):
            self._register(f"image{i}", affine(step, key))
        self.sizes = [tuple(loaded.config.image_features[key].shape[-2:]) for key in self.keys]
        self.joints = int(loaded.config.robot_state_feature.shape[0])

    def _register(self, name: str, values: Affine) -> None:
        shift, scale = (None, None) if values.identity else (values.shift, values.scale)
        self.register_buffer(f"{name}_shift", None if shift is None else torch.from_numpy(shift), persistent=False)
        self.register_buffer(f"{name}_scale", None if scale is None else torch.from_numpy(scale), persistent=False)

    def _normalise(self, name: str, x: Tensor) -> Tensor:
        shift, scale = getattr(self, f"{name}_shift"), getattr(self, f"{name}_scale")
        return x if shift is None else (x - shift) / scale

    def images(self, raw: tuple[Tensor, ...]) -> list[Tensor]:
        """(B, 3, H, W) float32 a camera, normalised."""
        # First to float32: TensorRT takes bytes in, but computes nothing on them.
        scaled = [image.to(torch.float32).permute(0, 3, 1, 2) / 255.0 for image in raw]
        return [self._normalise(f"image{i}", image) for i, image in enumerate(scaled)]

    def state(self, raw: Tensor) -> Tensor:
        """(B, J) normalised."""
        return self._normalise("state", raw)

    def example(self) -> dict[str, Tensor]:
        """Inputs of the right shapes, named after the cameras."""
        noise = torch.Generator().manual_seed(0)
        images = {
            key.removeprefix(IMAGES): torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, generator=noise)
            for key, size in zip(self.keys, self.sizes, strict=True)
        }
        return {**images, STATE_INPUT: torch.randn(1, self.joints, generator=noise)}


def example_words(tokens: int) -> dict[str, Tensor]:
    """Tokens and mask of the right shapes, the second half padding."""
    mask = torch.arange(tokens)[None] < (tokens + 1) // 2
    return {TOKENS: mask.to(torch.int64), MASK: mask}


def action_affine(loaded: LoadedPolicy) -> Affine:
    """The policy's actions in the robot's units: normalised * scale + shift."""
    return affine(normaliser(loaded.post.steps), ACTION, inverse=True)


def relative_joints(loaded: LoadedPolicy) -> list[bool]:
    """For each action whether it is predicted relative to the current state."""
    size = int(loaded.config.action_feature.shape[0])
    for step in loaded.post.steps:
        pair = getattr(step, "relative_step", None)
        if pair is not None and step.enabled and not isinstance(step, AbsolutePosesStep):
            return [bool(x) for x in pair._build_mask(size)]
    return [False] * size


def relative_poses(loaded: LoadedPolicy) -> bool:
    """Whether end-effector actions are predicted in the tool frames of the current state."""
    return any(isinstance(step, AbsolutePosesStep) and step.enabled for step in loaded.post.steps)
