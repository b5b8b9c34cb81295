"""Graphs of spatial_flow. What depends on the observation alone is done once a chunk, in the prefix."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emma.policy.export.graphs import (
    NOISY,
    TIME,
    VELOCITY,
    Flow,
    Graph,
    PolicyGraphs,
    Sensors,
    example_words,
)
from emma.policy.loading import LoadedPolicy

MODULATION = "modulation"


class Prefix(nn.Module):
    """Cameras, state, words -> (B, blocks, 3 * hidden): scale + 1, shift and gate + 1 of every block."""

    def __init__(self, sensors: Sensors, net: Any) -> None:
        super().__init__()
        self.sensors = sensors
        self.net: Any = net

    def forward(self, *inputs: Tensor) -> Tensor:
        *images, state, tokens, mask = inputs
        seen = self.sensors.images(tuple(images))
        condition = F.silu(self.net.encode(seen, self.sensors.state(state), tokens, mask))
        parts = []
        for block in self.net.blocks:
            scale, shift, gate = block.modulate(condition).chunk(3, dim=-1)
            parts.append(torch.cat([1 + scale, shift, 1 + gate], dim=-1))
        return torch.stack(parts, dim=1)


class Step(nn.Module):
    """Noisy chunk (B, K, A), time (B, K), modulation -> velocity (B, K, A)."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net: Any = net
        self.rates: Tensor
        rates = torch.exp(torch.linspace(0.0, math.log(200.0), net.TIME_FEATURES // 2))
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, noisy: Tensor, time: Tensor, modulation: Tensor) -> Tensor:
        net = self.net
        angles = time[..., None] * self.rates
        moments = net.time(torch.cat([angles.sin(), angles.cos()], dim=-1)).flatten(1)
        hidden = net.input(torch.cat([noisy.flatten(1), moments], dim=-1))
        for i, block in enumerate(net.blocks):
            scale, shift, gate = modulation[:, i].chunk(3, dim=-1)
            hidden = hidden + gate * block.down(F.silu(block.up(block.norm(hidden) * scale + shift)))
        velocity: Tensor = net.output(hidden).unflatten(-1, (net.chunk, net.action_dim))
        return velocity


def graphs(loaded: LoadedPolicy) -> PolicyGraphs:
    """prefix and step."""
    config, net = loaded.config, loaded.policy.net
    sensors = Sensors(loaded)
    prefix = Graph(Prefix(sensors, net), {**sensors.example(), **example_words(config.max_tokens)}, (MODULATION,))
    shape = (1, config.chunk_size, net.action_dim)
    width = 3 * config.hidden_dim
    inputs = {
        NOISY: torch.zeros(shape),
        TIME: torch.ones(shape[:2]),
        MODULATION: torch.zeros(1, config.num_blocks, width),
    }
    return PolicyGraphs(
        {"prefix": prefix, "step": Graph(Step(net), inputs, (VELOCITY,))},
        chunk=config.chunk_size,
        width=net.action_dim,
        tokens=config.max_tokens,
        flow=Flow(config.num_steps, config.noise_scale, config.rtc_max_delay),
    )
