"""Graphs of pi0. Its backbone and expert are traced as they are; only masks and the time embedding are written anew."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emma.policy.export.graphs import NOISY, TIME, VELOCITY, Flow, Graph, PolicyGraphs, Sensors, example_words
from emma.policy.export.smolvla_patches import MASKED, attention_structure, positions
from emma.policy.loading import LoadedPolicy

KEYS, VALUES, BIAS, OFFSET, STATE_TOKEN = "keys", "values", "bias", "offset", "state_token"


def remember(policy: Any, batch: dict[str, Tensor], tokens: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """What the expert needs of the backbone: its keys and values (L, B, H, S, D), mask, number of tokens."""
    images, image_masks = policy._preprocess_images(batch)
    embedded, pad, starts = policy.model.embed_prefix(images, image_masks, tokens, mask)
    backbone = policy.model.paligemma_with_expert
    backbone.paligemma.model.language_model.config._attn_implementation = "eager"
    _, cache = backbone.forward(
        attention_mask=torch.where(attention_structure(pad, starts), 0.0, MASKED)[:, None],
        position_ids=positions(pad).to(torch.int64),
        past_key_values=None,
        inputs_embeds=[embedded, None],
        use_cache=True,
    )
    return (
        torch.stack([layer.keys for layer in cache.layers]),
        torch.stack([layer.values for layer in cache.layers]),
        torch.where(pad, 0.0, MASKED)[:, None, None],
        pad.to(torch.float32).sum(dim=1, keepdim=True),
    )


def rates(policy: Any) -> Tensor:
    """(C / 2,) rad per unit of flow time: LeRobot's time embedding, in float64 once and for all."""
    config = policy.config
    fraction = torch.linspace(0.0, 1.0, policy.model.action_in_proj.out_features // 2, dtype=torch.float64)
    period = config.min_period * (config.max_period / config.min_period) ** fraction
    return (2.0 * math.pi / period).float()


class Prefix(nn.Module):
    """Cameras, state, words -> keys and values of the backbone, mask, number of tokens, the state's own token."""

    def __init__(self, sensors: Sensors, policy: Any) -> None:
        super().__init__()
        self.sensors = sensors
        self.model: Any = policy.model
        self.config = policy.config
        self.keys = list(policy.config.image_features)
        self.policy = [policy]  # in a list: its weights are the model's, not to be found twice

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        *raw, state, tokens, mask = inputs
        batch = dict(zip(self.keys, self.sensors.images(tuple(raw)), strict=True))
        padded = F.pad(self.sensors.state(state), (0, self.config.max_state_dim - state.shape[-1]))
        return *remember(self.policy[0], batch, tokens, mask), self.model.state_proj(padded)[:, None]


class Step(nn.Module):
    """Noisy chunk (B, K, W), time (B, K) and what the prefix gave -> velocity (B, K, W)."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        config = policy.config
        self.model: Any = policy.model
        self.chunk = int(config.chunk_size)
        self.rates: Tensor
        self.register_buffer("rates", rates(policy), persistent=False)
        # The state's token does not see the actions; they see it and each other.
        hidden = torch.zeros(1, 1, self.chunk + 1, self.chunk + 1)
        hidden[..., 0, 1:] = MASKED
        self.hidden: Tensor
        self.register_buffer("hidden", hidden, persistent=False)

    def forward(
        self, noisy: Tensor, time: Tensor, keys: Tensor, values: Tensor, bias: Tensor, offset: Tensor, state: Tensor
    ) -> Tensor:
        from transformers import DynamicCache

        angle = time[..., None] * self.rates
        x = torch.cat([self.model.action_in_proj(noisy), angle.sin(), angle.cos()], dim=-1)
        x = self.model.action_time_mlp_out(F.silu(self.model.action_time_mlp_in(x)))
        length = self.chunk + 1
        mask = torch.cat([bias.expand(-1, -1, length, -1), self.hidden.expand(len(bias), -1, -1, -1)], dim=-1)
        position = offset + torch.arange(length, dtype=torch.float32, device=offset.device)
        expert = self.model.paligemma_with_expert
        expert.gemma_expert.model.config._attn_implementation = "eager"
        (_, out), _ = expert.forward(
            attention_mask=mask,
            position_ids=position.to(torch.int64),
            past_key_values=DynamicCache(tuple((keys[i], values[i]) for i in range(keys.shape[0]))),
            inputs_embeds=[None, torch.cat([state, x], dim=1)],
            use_cache=False,
            adarms_cond=[None, None],
        )
        velocity: Tensor = self.model.action_out_proj(out[:, -self.chunk :].float())
        return velocity


def graphs(loaded: LoadedPolicy) -> PolicyGraphs:
    """prefix and step."""
    config, policy = loaded.config, loaded.policy
    sensors = Sensors(loaded)
    inputs = {**sensors.example(), **example_words(config.tokenizer_max_length)}
    prefix = Graph(Prefix(sensors, policy), inputs, (KEYS, VALUES, BIAS, OFFSET, STATE_TOKEN))
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
    )
