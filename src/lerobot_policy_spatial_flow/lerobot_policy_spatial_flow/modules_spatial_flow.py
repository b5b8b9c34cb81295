"""The network: cameras, state and instruction to a condition vector; condition, noisy chunk and time to a velocity."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CameraEncoder(nn.Module):
    """(B, 3, H, W) in [-1, 1] -> (B, out_dim): where each feature is (spatial softmax, Levine et al. 2016), and a
    small global view. The instruction scales and shifts the last feature maps (FiLM, Perez et al. 2018)."""

    def __init__(self, size: tuple[int, int], channels: tuple[int, int, int], text_dim: int, global_dim: int) -> None:
        super().__init__()
        first, second, third = channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=2, dilation=2),
        )
        self.film = nn.Linear(text_dim, 2 * third)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        self.sharpness = nn.Parameter(torch.ones(third, 1))
        self.down = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(third, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            maps = self.stem(torch.zeros(1, 3, *size))
            flat = self.down(maps).shape[1]
        self.whole = nn.Linear(flat, global_dim)
        ys, xs = (torch.linspace(-1, 1, n) for n in maps.shape[-2:])
        grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1).reshape(-1, 2)
        self.grid: Tensor
        self.register_buffer("grid", grid, persistent=False)
        self.out_dim = 2 * third + global_dim

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        maps = self.stem(image.contiguous(memory_format=torch.channels_last))
        scale, shift = self.film(text).chunk(2, dim=1)
        scale = 1 + scale
        # A softmax does not feel the shift of its channel, so FiLM and sharpness are one factor here. In float32 even
        # under autocast: bfloat16 would place features on a coarse grid. Channels last, as the convolutions left them.
        with torch.autocast(maps.device.type, enabled=False):
            rows = maps.permute(0, 2, 3, 1).flatten(1, 2).float()
            attention = F.softmax(rows * (scale.float() * self.sharpness.T)[:, None], dim=1)
            # Not attention.T @ grid: its gradient would come channels first, and the softmax would copy it.
            places = (self.grid.T @ attention).transpose(1, 2).flatten(1)
        maps = maps * scale[..., None, None].to(maps.dtype) + shift[..., None, None].to(maps.dtype)
        return torch.cat([places, F.relu(self.whole(self.down(maps))).float()], dim=-1)


class Block(nn.Module):
    """Residual MLP block whose norm is scaled, shifted and gated by the condition (adaLN, Peebles and Xie 2023)."""

    def __init__(self, width: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(condition_dim, 3 * width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift, gate = self.modulate(condition).chunk(3, dim=-1)
        hidden = self.norm(x) * (1 + scale) + shift
        return x + (1 + gate) * self.down(F.silu(self.up(hidden)))


def time_features(time: Tensor, dim: int) -> Tensor:
    """(...,) in [0, 1] -> (..., dim) sines and cosines, 1 to 200 rad per unit of time."""
    rates = torch.exp(torch.linspace(0.0, math.log(200.0), dim // 2, device=time.device))
    angles = time[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class SpatialFlowNet(nn.Module):
    """The two halves that can be exported as two graphs: `encode` once a chunk, `velocity` once a flow step."""

    TIME_FEATURES = 16
    TIME_DIM = 8

    def __init__(
        self,
        image_sizes: list[tuple[int, int]],
        state_dim: int,
        action_dim: int,
        chunk: int,
        *,
        channels: tuple[int, int, int],
        global_dim: int,
        text_dim: int,
        vocabulary_size: int,
        condition_dim: int,
        hidden_dim: int,
        num_blocks: int,
    ) -> None:
        super().__init__()
        self.chunk, self.action_dim = chunk, action_dim
        self.words = nn.Embedding(vocabulary_size, text_dim)
        self.text = nn.Sequential(nn.Linear(text_dim, 64), nn.SiLU(), nn.Linear(64, text_dim))
        encoders = [CameraEncoder(size, channels, text_dim, global_dim) for size in image_sizes]
        self.cameras = nn.ModuleList(encoders)
        features = sum(encoder.out_dim for encoder in encoders) + state_dim + text_dim
        self.condition = nn.Sequential(nn.Linear(features, 512), nn.SiLU(), nn.Linear(512, condition_dim))
        self.time = nn.Linear(self.TIME_FEATURES, self.TIME_DIM)
        self.input = nn.Linear(chunk * (action_dim + self.TIME_DIM), hidden_dim)
        self.blocks = nn.ModuleList(Block(hidden_dim, condition_dim) for _ in range(num_blocks))
        self.output = nn.Linear(hidden_dim, chunk * action_dim)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def encode(self, images: list[Tensor], state: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] a camera, state (B, S), tokens and mask (B, L) -> condition (B, C)."""
        weight = mask[..., None].to(torch.float32)
        words = self.words(tokens)
        text = self.text((words * weight).sum(1) / weight.sum(1).clamp_min(1.0))
        seen = [camera(image * 2 - 1, text) for camera, image in zip(self.cameras, images, strict=True)]
        return self.condition(torch.cat([*seen, state, text.float()], dim=-1)).float()

    def velocity(self, condition: Tensor, chunk: Tensor, time: Tensor) -> Tensor:
        """Condition (B, C), noisy chunk (B, K, A), time (B, K) from 1 (noise) to 0 (clean) -> d chunk / d time."""
        moments = self.time(time_features(time, self.TIME_FEATURES)).flatten(1)
        hidden = self.input(torch.cat([chunk.flatten(1), moments], dim=-1))
        condition = F.silu(condition)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.output(hidden).unflatten(-1, (self.chunk, self.action_dim)).float()
