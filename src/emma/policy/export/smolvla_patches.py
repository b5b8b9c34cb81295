"""Changes to SmolVLA while it is traced. Each is exact in float32; all are undone when the block ends.

Found by running exported graphs, not by exporting alone: several of these only fail at run time.
Written against LeRobot 0.6.1 and transformers 5.4 and 5.5; another version is refused until its graph was run.
"""

import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from typing import Any

import torch
from torch import Tensor

from emma.errors import EmmaError

TESTED = {"lerobot": ("0.6.1",), "transformers": ("5.4", "5.5")}
# Added to a masked score. Large enough for a weight of exactly 0, small enough for float16 and bfloat16, where
# finfo(float32).min becomes -inf and a row of padding becomes NaN.
MASKED = -3.0e4


def require_tested_versions(policy: str = "SmolVLA") -> None:
    """Raises EmmaError for versions the patches of `policy` were not tried with."""
    for package, versions in TESTED.items():
        found = metadata.version(package)
        if not any(found == version or found.startswith(version + ".") for version in versions):
            raise EmmaError(
                f"{policy} cannot be exported with this {package}",
                found=found,
                expected=" or ".join(versions),
                fix=f"install a tested {package}, or run the bundle with the torch runtime",
            )


@contextmanager
def patched(model: Any) -> Iterator[None]:
    """While it holds, `model` (VLAFlowMatching) can be traced. Raises EmmaError for untested versions."""
    from lerobot.policies.smolvla import smolvlm_with_expert

    require_tested_versions()
    both = model.vlm_with_expert
    vision = both.get_vlm_model().vision_model
    position = _positions(vision)

    def embed_image(self: Any, image: Tensor) -> Tensor:
        hidden = vision.embeddings.patch_embedding(image.to(vision.dtype)).flatten(2).transpose(1, 2) + position
        for layer in vision.encoder.layers:
            # Without a mask: all patches are image, and the mask's construction branches on its values.
            output = layer(hidden, attention_mask=None)
            hidden = output[0] if isinstance(output, tuple) else output
        connected: Tensor = self.get_vlm_model().connector(vision.post_layernorm(hidden))
        return connected

    with ExitStack() as stack:
        # `res[..., :n] = a` traces to scatters that no accelerator fuses.
        stack.enter_context(swapped(smolvlm_with_expert, "apply_rope", rotate_by_position))
        stack.enter_context(swapped(both, "embed_image", types.MethodType(embed_image, both)))
        stack.enter_context(swapped(both, "eager_attention_forward", types.MethodType(_attention, both)))
        for layer in vision.encoder.layers:
            config = layer.self_attn.config
            stack.enter_context(swapped(config, "_attn_implementation", "eager"))
        yield


def attention_structure(pad: Tensor, starts_block: Tensor) -> Tensor:
    """(B, S, S) who may look at whom: as LeRobot's, its counting in float32, which is all TensorRT counts in."""
    block = torch.cumsum(starts_block.to(torch.float32), dim=1)
    return (block[:, None, :] <= block[:, :, None]) & pad[:, None, :] & pad[:, :, None]


def positions(pad: Tensor) -> Tensor:
    """(B, S) float32 index of each token among those that are not padding."""
    return torch.cumsum(pad.to(torch.float32), dim=1) - 1.0


def rotation(position: Tensor, head_dim: int) -> tuple[Tensor, Tensor]:
    """Sine and cosine (B, S, head_dim / 2) of the rotary embedding with base 10000."""
    exponent = 2.0 / head_dim * torch.arange(head_dim // 2, dtype=torch.float32, device=position.device)
    angle = position[..., None].to(torch.float32) / 10_000.0**exponent
    return angle.sin(), angle.cos()


def rotate(x: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    """x (B, S, heads, head_dim) rotated."""
    first, second = x.chunk(2, dim=-1)
    sine, cosine = sine[:, :, None], cosine[:, :, None]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def rotate_by_position(x: Tensor, position: Tensor) -> Tensor:
    """LeRobot's `apply_rope`, joined by `cat`."""
    return rotate(x.float(), *rotation(position, x.shape[-1])).to(x.dtype)


def grouped_attention(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Attention without repeating the shared keys.

    query (B, Q, H, D), keys (B, G, D, S), values (B, G, S, D), bias (B, 1, Q or 1, S) -> (B, Q, H * D).
    """
    batch, length, heads, dim = query.shape
    groups = keys.shape[1]
    each = heads // groups
    rows = (query.float() * dim**-0.5).view(batch, length, groups, each, dim).permute(0, 2, 3, 1, 4)
    scores = torch.matmul(rows.reshape(batch, groups, each * length, dim), keys.float())
    scores = scores.view(batch, heads, length, -1) + bias
    weights = torch.softmax(scores, dim=-1).to(values.dtype).view(batch, groups, each * length, -1)
    mixed = torch.matmul(weights, values).view(batch, groups, each, length, dim)
    return mixed.permute(0, 3, 1, 2, 4).reshape(batch, length, heads * dim)


def _attention(
    self: Any, mask: Tensor, batch_size: int, head_dim: int, query: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    bias = torch.where(mask, 0.0, MASKED)[:, None]
    return grouped_attention(query, keys.permute(0, 2, 3, 1), values.transpose(1, 2), bias)


@contextmanager
def swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` while the block runs; a method of the class is only shadowed."""
    own = name in vars(owner) or name not in dir(type(owner)) or isinstance(getattr(type(owner), name), property)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def _positions(vision: Any) -> Tensor:
    """(1, patches, width) the position embedding, from the model's own code: traced, its bucketing goes wrong."""
    caught: dict[str, Tensor] = {}
    embeddings = vision.embeddings
    side = embeddings.num_patches_per_side

    def keep(_: Any, __: Any, output: Tensor) -> None:
        caught["embedding"] = output

    handle = embeddings.position_embedding.register_forward_hook(keep)
    try:
        with torch.no_grad():
            pixels = torch.zeros(1, 3, side * vision.patch_size, side * vision.patch_size, dtype=vision.dtype)
            embeddings(pixels.to(vision.device), torch.ones(1, side, side, dtype=torch.bool, device=vision.device))
    finally:
        handle.remove()
    return caught["embedding"].detach().clone()
