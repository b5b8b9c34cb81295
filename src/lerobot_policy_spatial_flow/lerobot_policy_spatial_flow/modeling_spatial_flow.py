"""The spatial_flow policy: LeRobot's interface around `SpatialFlowNet`."""

from collections import deque
from typing import Any

import torch
import torch.nn.functional as F
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS, OBS_STATE
from torch import Tensor

from lerobot_policy_spatial_flow.configuration_spatial_flow import SpatialFlowConfig
from lerobot_policy_spatial_flow.modules_spatial_flow import SpatialFlowNet

# Training times are drawn towards the noisy end, where the chunk's course is decided (as in pi0, Black et al. 2024).
TIME_ALPHA, TIME_BETA = 1.5, 1.0
# (B, K, A) bool: numbers of an action that mean nothing, such as the gripper of a hand that was not seen.
VALUES_PAD = "action_values_is_pad"


class SpatialFlowPolicy(PreTrainedPolicy):
    """Flow matching on action chunks (Lipman et al. 2023): x_t = t noise + (1 - t) action, target noise - action."""

    config_class = SpatialFlowConfig
    name = "spatial_flow"
    # The loss leaves out single numbers of an action where the batch says so (VALUES_PAD).
    masks_action_values = True

    def __init__(self, config: SpatialFlowConfig, **_: object) -> None:
        super().__init__(config)
        config.validate_features()
        self.config = config
        self.cameras = list(config.image_features)
        self.net = SpatialFlowNet(
            [tuple(config.image_features[camera].shape[-2:]) for camera in self.cameras],
            config.robot_state_feature.shape[0],
            config.action_feature.shape[0],
            config.chunk_size,
            channels=config.conv_channels,
            global_dim=config.global_dim,
            text_dim=config.text_dim,
            vocabulary_size=config.vocabulary_size,
            condition_dim=config.condition_dim,
            hidden_dim=config.hidden_dim,
            num_blocks=config.num_blocks,
        )
        self.reset()

    def get_optim_params(self) -> list[torch.nn.Parameter]:
        return list(self.parameters())

    def reset(self) -> None:
        """Forget queued actions, at the start of an episode."""
        self._queue: deque[Tensor] = deque(maxlen=self.config.n_action_steps)

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Condition (B, C) of an observation batch."""
        images = [batch[camera] for camera in self.cameras]
        state = batch[OBS_STATE]
        if self.training:
            images = [random_shift(image, self.config.shift_px) for image in images]
            state = state + torch.randn_like(state) * self.config.state_noise
        return self.net.encode(images, state, batch[OBS_LANGUAGE_TOKENS], batch[OBS_LANGUAGE_ATTENTION_MASK])

    def forward(self, batch: dict[str, Tensor], reduction: str = "mean") -> tuple[Tensor, dict[str, float] | None]:
        """Flow-matching loss over the actions that are in the episode; (B,) with `reduction="none"`."""
        n = self.config.flow_samples
        condition = self.encode(batch).repeat(n, 1)
        action = batch[ACTION].repeat(n, 1, 1)
        known = None
        if VALUES_PAD in batch:
            known = ~batch[VALUES_PAD].repeat(n, 1, 1)
            action = action * known
        counted = torch.ones(action.shape[:2], dtype=torch.bool, device=action.device)
        if "action_is_pad" in batch:
            counted = ~batch["action_is_pad"].repeat(n, 1)
        time = torch.distributions.Beta(TIME_ALPHA, TIME_BETA).sample((len(action), 1)).to(action.device)
        time = (0.001 + 0.999 * time).expand(counted.shape)
        if self.config.rtc_max_delay:
            frozen = self._frozen(torch.randint(0, self.config.rtc_max_delay + 1, (len(action), 1)), action.device)
            time = torch.where(frozen, torch.zeros_like(time), time)
            counted = counted & ~frozen
        noise = torch.randn_like(action)
        noisy = time[..., None] * noise + (1 - time[..., None]) * action
        error = F.mse_loss(self.net.velocity(condition, noisy, time), noise - action, reduction="none")
        if known is None:
            error = error.mean(-1) * counted
        else:
            # An action of which half the numbers count weighs half.
            share = known.float().mean(-1)
            error = (error * known).mean(-1) * counted
            counted = counted * share
        least = 1 if known is None else 1e-6
        if reduction == "none":
            total, number = (x.view(n, -1, error.shape[1]).sum((0, 2)) for x in (error, counted))
            each = total / number.clamp_min(least)
            return each, None
        loss = error.sum() / counted.sum().clamp_min(least)
        return loss, {"flow_mse": float(loss.detach())}

    @torch.no_grad()
    def predict_action_chunk(
        self,
        batch: dict[str, Tensor],
        noise: Tensor | None = None,
        *,
        num_steps: int | None = None,
        inference_delay: int = 0,
        prev_chunk_left_over: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        """(B, K, A) normalised actions by Euler steps of the flow; given `noise` (B, K, A) it is deterministic.

        With a policy trained for it (`rtc_max_delay` > 0), the first `inference_delay` actions are held to those of
        `prev_chunk_left_over` (B, >= inference_delay, A) and the rest is predicted to fit them. These are normalised
        actions relative to the state of this batch (`lerobot.policies.rtc` re-anchors an earlier chunk).
        """
        self.eval()
        condition = self.encode(batch)
        shape = (len(condition), self.config.chunk_size, self.config.action_feature.shape[0])
        if noise is None:
            noise = torch.randn(shape, device=condition.device) * self.config.noise_scale
        frozen = torch.zeros(shape[:2], dtype=torch.bool, device=condition.device)
        prefix = torch.zeros(shape, device=condition.device)
        if inference_delay > 0 and prev_chunk_left_over is not None and self.config.rtc_max_delay > 0:
            held = min(inference_delay, self.config.rtc_max_delay, prev_chunk_left_over.shape[1])
            frozen = self._frozen(torch.full((shape[0], 1), held), condition.device)
            prefix[:, :held] = prev_chunk_left_over[:, :held]
        steps = num_steps or self.config.num_steps
        chunk = torch.where(frozen[..., None], prefix, noise)
        for step in range(steps):
            time = torch.full(shape[:2], 1 - step / steps, device=condition.device).masked_fill(frozen, 0.0)
            change = self.net.velocity(condition, chunk, time) / steps
            chunk = torch.where(frozen[..., None], prefix, chunk - change)
        return chunk

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], **kwargs: Any) -> Tensor:
        """(B, A): the next action of the current chunk, predicting a new one when it is used up.

        With relative actions a post-processor adds the state of the moment to each, not that of the chunk's start: use
        `predict_action_chunk` and post-process whole chunks, as LeRobot's rollout and `emma` do.
        """
        if not self._queue:
            chunk = self.predict_action_chunk(batch, **kwargs)
            self._queue.extend(chunk[:, : self.config.n_action_steps].transpose(0, 1))
        return self._queue.popleft()

    def _frozen(self, delay: Tensor, device: torch.device) -> Tensor:
        return torch.arange(self.config.chunk_size, device=device)[None] < delay.to(device)


def random_shift(images: Tensor, pixels: int) -> Tensor:
    """Each image (B, C, H, W) moved by up to `pixels` each way, edges repeated (DrQ, Yarats et al. 2021)."""
    if pixels == 0:
        return images
    batch, _, height, width = images.shape
    padded = F.pad(images, (pixels,) * 4, mode="replicate")
    offsets = torch.randint(0, 2 * pixels + 1, (batch, 2)).tolist()
    return torch.stack([padded[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(offsets)])
