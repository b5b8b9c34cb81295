"""Graphs of SmolVLA. The expert's keys and values over the prefix are projected once a chunk; LeRobot does so in every
flow step."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emma.errors import EmmaError
from emma.policy.export import smolvla_patches as patches
from emma.policy.export.graphs import NOISY, TIME, VELOCITY, Flow, Graph, PolicyGraphs, Sensors, example_words
from emma.policy.loading import LoadedPolicy

KEYS, VALUES, CROSS_BIAS, SELF_BIAS, SINE, COSINE = "keys", "values", "cross_bias", "self_bias", "sine", "cosine"


class ExpertLayer(nn.Module):
    """One layer of the action expert as LeRobot interleaves them, with the prefix's keys and values given."""

    def __init__(self, layer: Any, heads: int, groups: int, self_attention: bool) -> None:
        super().__init__()
        self.layer, self.heads, self.groups, self.self_attention = layer, heads, groups, self_attention

    def project(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The backbone's keys and values (B, G, S, D) -> keys (B, G, D, S), values (B, G, S, D) for this layer."""
        if not self.self_attention:
            attention = self.layer.self_attn
            keys, values = (
                projection(x.transpose(1, 2).flatten(2)).unflatten(-1, (self.groups, -1)).transpose(1, 2)
                for projection, x in ((attention.k_proj, keys), (attention.v_proj, values))
            )
        return keys.transpose(2, 3), values

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        attention = self.layer.self_attn
        hidden = self.layer.input_layernorm(x)
        query = patches.rotate(attention.q_proj(hidden).unflatten(-1, (self.heads, -1)), *rotation)
        if self.self_attention:
            own = patches.rotate(attention.k_proj(hidden).unflatten(-1, (self.groups, -1)), *rotation)
            keys = torch.cat([keys, own.permute(0, 2, 3, 1)], dim=-1)
            own = attention.v_proj(hidden).unflatten(-1, (self.groups, -1))
            values = torch.cat([values, own.transpose(1, 2)], dim=2)
        x = x + attention.o_proj(patches.grouped_attention(query, keys, values, bias))
        out: Tensor = x + self.layer.mlp(self.layer.post_attention_layernorm(x))
        return out


def expert_layers(both: Any) -> list[tuple[int, ExpertLayer]]:
    """The expert's layers, each with the index of the backbone layer that it looks at."""
    every = both.self_attn_every_n_layers
    stacked = both.get_model_layers([both.get_vlm_model().text_model, both.lm_expert])[1]
    layers = []
    for i, layer in enumerate(stacked):
        own = "cross" not in both.attention_mode or (every > 0 and i % every == 0)
        if layer is not None:
            layers.append((i, ExpertLayer(layer, both.num_attention_heads, both.num_key_value_heads, own)))
    return layers


class Prefix(nn.Module):
    """Cameras, state, words -> what the expert needs of them: keys and values of its layers, masks, rotation."""

    def __init__(self, sensors: Sensors, policy: Any) -> None:
        super().__init__()
        self.sensors = sensors
        self.model: Any = policy.model
        self.config = policy.config
        layers = expert_layers(policy.model.vlm_with_expert)
        self.indices = [i for i, _ in layers]
        self.layers: Any = nn.ModuleList(layer for _, layer in layers)
        self.keys = list(policy.config.image_features)
        self.policy = [policy]  # in a list: its weights are the model's, not to be found twice

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        *raw, state, tokens, mask = inputs
        batch = dict(zip(self.keys, self.sensors.images(tuple(raw)), strict=True))
        images, image_masks = self.policy[0].prepare_images(batch)
        state = F.pad(self.sensors.state(state), (0, self.config.max_state_dim - state.shape[-1]))
        embedded, pad, starts = self.model.embed_prefix(images, image_masks, tokens, mask, state=state)
        both = self.model.vlm_with_expert
        _, cache = both.forward(
            attention_mask=patches.attention_structure(pad, starts),
            position_ids=patches.positions(pad),
            past_key_values=None,
            inputs_embeds=[embedded, None],
            use_cache=True,
        )
        pairs = [
            layer.project(cache.layers[i].keys, cache.layers[i].values)
            for i, layer in zip(self.indices, self.layers, strict=True)
        ]
        cross = torch.where(pad, 0.0, patches.MASKED)[:, None, None]
        chunk = self.config.chunk_size
        later = torch.ones(chunk, chunk, dtype=torch.bool, device=pad.device).triu(1)
        causal = torch.where(later, patches.MASKED, 0.0)[None, None]
        own = torch.cat([cross.expand(-1, -1, chunk, -1), causal.expand(len(pad), -1, -1, -1)], dim=-1)
        offset = pad.to(torch.float32).sum(dim=1, keepdim=True)
        position = offset + torch.arange(chunk, dtype=torch.float32, device=pad.device)
        sine, cosine = patches.rotation(position, both.config.text_config.head_dim)
        return torch.stack([k for k, _ in pairs]), torch.stack([v for _, v in pairs]), cross, own, sine, cosine


class Step(nn.Module):
    """Noisy chunk (B, K, W), time (B, K) and what the prefix gave -> velocity (B, K, W)."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        model, config = policy.model, policy.config
        self.model: Any = model
        self.rates: Tensor
        self.sine: Tensor
        self.cosine: Tensor
        self.layers = nn.ModuleList(layer for _, layer in expert_layers(model.vlm_with_expert))
        self.norm = model.vlm_with_expert.lm_expert.norm
        width = model.vlm_with_expert.expert_hidden_size
        # In float64, as LeRobot computes it, once and for all.
        fraction = torch.linspace(0.0, 1.0, width // 2, dtype=torch.float64)
        period = config.min_period * (config.max_period / config.min_period) ** fraction
        self.register_buffer("rates", (2.0 * math.pi / period).float(), persistent=False)
        head_dim = model.vlm_with_expert.config.text_config.head_dim
        sine, cosine = patches.rotation(torch.arange(config.chunk_size)[None].float(), head_dim)
        self.register_buffer("sine", sine, persistent=False)
        self.register_buffer("cosine", cosine, persistent=False)

    def forward(
        self,
        noisy: Tensor,
        time: Tensor,
        keys: Tensor,
        values: Tensor,
        cross_bias: Tensor,
        self_bias: Tensor,
        sine: Tensor,
        cosine: Tensor,
    ) -> Tensor:
        angle = time[..., None] * self.rates
        moment = torch.cat([angle.sin(), angle.cos()], dim=-1)
        x = torch.cat([self.model.action_in_proj(noisy), moment], dim=-1)
        x = self.model.action_time_mlp_out(F.silu(self.model.action_time_mlp_in(x)))
        for i, layer in enumerate(self.layers):
            if layer.self_attention:
                x = layer(x, keys[i], values[i], self_bias, (sine, cosine))
            else:
                x = layer(x, keys[i], values[i], cross_bias, (self.sine, self.cosine))
        velocity: Tensor = self.model.action_out_proj(self.norm(x).float())
        return velocity


def graphs(loaded: LoadedPolicy) -> PolicyGraphs:
    """prefix and step. Raises EmmaError for a SmolVLA whose shapes are not static, or that encodes Aloha's joints."""
    config, policy = loaded.config, loaded.policy
    _require(not config.adapt_to_pi_aloha, "adapt_to_pi_aloha=True", "adapt_to_pi_aloha=False")
    _require(config.pad_language_to == "max_length", f"pad_language_to={config.pad_language_to}", "max_length")
    patches.require_tested_versions()
    sensors = Sensors(loaded)
    words = example_words(config.tokenizer_max_length)
    prefix = Graph(
        Prefix(sensors, policy), {**sensors.example(), **words}, (KEYS, VALUES, CROSS_BIAS, SELF_BIAS, SINE, COSINE)
    )
    with torch.no_grad(), patches.patched(policy.model):
        context = dict(zip(prefix.outputs, prefix.module(*prefix.inputs.values()), strict=True))
    shape = (1, config.chunk_size, config.max_action_dim)
    inputs = {NOISY: torch.zeros(shape), TIME: torch.ones(shape[:2]), **context}
    return PolicyGraphs(
        {"prefix": prefix, "step": Graph(Step(policy), inputs, (VELOCITY,))},
        chunk=config.chunk_size,
        width=config.max_action_dim,
        tokens=config.tokenizer_max_length,
        flow=Flow(config.num_steps),
        patches=lambda: patches.patched(policy.model),
    )


def _require(condition: bool, found: str, expected: str) -> None:
    if not condition:
        raise EmmaError("this SmolVLA cannot be exported", found=found, expected=expected)
