"""Graphs of pi0.5. The state is part of the prompt, so the prefix takes words that change with every observation; the
flow's time scales, shifts and gates the expert's norms instead of being joined to the actions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emma.policy.export.graphs import (
    MASK,
    NOISY,
    STATE_INPUT,
    TIME,
    TOKENS,
    VELOCITY,
    Flow,
    Graph,
    PolicyGraphs,
    Sensors,
    example_words,
)
from emma.policy.export.pi0 import BIAS, KEYS, OFFSET, VALUES, rates, remember
from emma.policy.export.smolvla_patches import require_tested_versions, swapped
from emma.policy.loading import LoadedPolicy


class Prefix(nn.Module):
    """Cameras and words, which hold the state -> keys and values of the backbone, mask, number of tokens."""

    def __init__(self, sensors: Sensors, policy: Any) -> None:
        super().__init__()
        self.sensors = sensors
        self.model: Any = policy.model
        self.keys = list(policy.config.image_features)
        self.policy = [policy]  # in a list: its weights are the model's, not to be found twice

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        *raw, tokens, mask = inputs
        batch = dict(zip(self.keys, self.sensors.images(tuple(raw)), strict=True))
        return remember(self.policy[0], batch, tokens, mask)


class Step(nn.Module):
    """Noisy chunk (B, K, W), time (B, K) and what the prefix gave -> velocity (B, K, W).

    An action is held (time 0) or flows with all the others, so the norms are modulated for two moments, not for each
    action: that would add a third to the step's work.
    """

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.model: Any = policy.model
        self.chunk = int(policy.config.chunk_size)
        self.rates: Tensor
        self.register_buffer("rates", rates(policy), persistent=False)

    def forward(
        self, noisy: Tensor, time: Tensor, keys: Tensor, values: Tensor, bias: Tensor, offset: Tensor
    ) -> Tensor:
        from transformers import DynamicCache

        flowing = time.amax(dim=1, keepdim=True)
        moments = torch.cat([flowing, torch.zeros_like(flowing)], dim=1)
        angle = moments[..., None] * self.rates
        condition = torch.cat([angle.sin(), angle.cos()], dim=-1)
        condition = F.silu(self.model.time_mlp_out(F.silu(self.model.time_mlp_in(condition))))
        held = (time == 0.0)[..., None]
        position = offset + torch.arange(self.chunk, dtype=torch.float32, device=offset.device)
        expert = self.model.paligemma_with_expert
        expert.gemma_expert.model.config._attn_implementation = "eager"
        length = self.chunk
        mask = torch.cat([bias, torch.zeros(len(bias), 1, 1, length, device=bias.device)], dim=-1)
        (_, out), _ = expert.forward(
            attention_mask=mask.expand(-1, -1, length, -1),
            position_ids=position.to(torch.int64),
            past_key_values=DynamicCache(tuple((keys[i], values[i]) for i in range(keys.shape[0]))),
            inputs_embeds=[None, self.model.action_in_proj(noisy)],
            use_cache=False,
            adarms_cond=[None, (condition, held)],
        )
        velocity: Tensor = self.model.action_out_proj(out.float())
        return velocity


@contextmanager
def patched() -> Iterator[None]:
    """While it holds, the expert's norms take (moments (B, 2, C), held (B, K, 1)) for a condition.

    Raises EmmaError for versions that this was not tried with.
    """
    from lerobot.policies.pi_gemma import PiGemmaRMSNorm

    require_tested_versions("pi0.5")
    plain = PiGemmaRMSNorm.forward

    def modulated(self: Any, x: Tensor, cond: Any = None) -> tuple[Tensor, Tensor | None]:
        if cond is None or self.dense is None:
            return plain(self, x, cond)
        moments, held = cond
        modulation = self.dense(moments.to(self.dense.weight.dtype))
        each = torch.where(held, modulation[:, 1:], modulation[:, :1])
        scale, shift, gate = each.chunk(3, dim=-1)
        normed = self._norm(x) * (1 + scale.float()) + shift.float()
        return normed.to(x.dtype), gate.to(x.dtype)

    with swapped(PiGemmaRMSNorm, "forward", modulated):
        yield


def graphs(loaded: LoadedPolicy) -> PolicyGraphs:
    """prefix and step."""
    config, policy = loaded.config, loaded.policy
    sensors = Sensors(loaded)
    cameras = {name: example for name, example in sensors.example().items() if name != STATE_INPUT}
    words = example_words(config.tokenizer_max_length)
    prefix = Graph(
        Prefix(sensors, policy), {**cameras, TOKENS: words[TOKENS], MASK: words[MASK]}, (KEYS, VALUES, BIAS, OFFSET)
    )
    with torch.no_grad():
        context = dict(zip(prefix.outputs, prefix.module(*prefix.inputs.values()), strict=True))
    shape = (1, config.chunk_size, config.max_action_dim)
    step = Graph(Step(policy), {NOISY: torch.zeros(shape), TIME: torch.ones(shape[:2]), **context}, (VELOCITY,))
    return PolicyGraphs(
        {"prefix": prefix, "step": step},
        chunk=config.chunk_size,
        width=config.max_action_dim,
        tokens=config.tokenizer_max_length,
        flow=Flow(config.num_inference_steps),
        state_in_words=True,
        patches=patched,
    )
