"""Configuration of the spatial_flow policy."""

from dataclasses import dataclass, field

from lerobot.configs import NormalizationMode, PolicyFeature
from lerobot.configs.policies import PreTrainedConfig
from lerobot.optim.optimizers import AdamWConfig
from lerobot.optim.schedulers import CosineDecayWithWarmupSchedulerConfig


@PreTrainedConfig.register_subclass("spatial_flow")
@dataclass
class SpatialFlowConfig(PreTrainedConfig):
    """A small VLA: one convolutional encoder with spatial softmax a camera, instruction conditioning, flow matching.

    chunk_size: actions per inference; n_action_steps: actions used of each chunk by `select_action`.
    num_steps: Euler steps of the flow; flow_samples: noise samples per encoded image in training (the encoder is the
    dear part); noise_scale: standard deviation of the noise a chunk starts from. 0 starts from its mean:
    the most typical chunk, the same for the same observation; 1 samples what the demonstrations did.
    use_relative_actions: joints are predicted relative to the current state, except `relative_exclude_joints`.
    rtc_max_delay: largest frozen prefix, in actions, seen in training (training-time real-time chunking); 0 = off.
    shift_px: random image shift in training, pixels; state_noise: noise on the normalised state in training.
    """

    n_obs_steps: int = 1
    chunk_size: int = 16
    n_action_steps: int = 16
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: {
            "VISUAL": NormalizationMode.IDENTITY,
            "STATE": NormalizationMode.MEAN_STD,
            "ACTION": NormalizationMode.MEAN_STD,
        }
    )

    conv_channels: tuple[int, int, int] = (24, 32, 48)
    global_dim: int = 64
    text_dim: int = 32
    vocabulary_size: int = 512
    max_tokens: int = 24
    condition_dim: int = 256
    hidden_dim: int = 256
    num_blocks: int = 3

    num_steps: int = 6
    flow_samples: int = 4
    noise_scale: float = 0.0
    rtc_max_delay: int = 0

    use_relative_actions: bool = True
    relative_exclude_joints: list[str] = field(default_factory=lambda: ["gripper"])
    action_feature_names: list[str] | None = None

    shift_px: int = 4
    state_noise: float = 0.03

    optimizer_lr: float = 1e-3
    optimizer_betas: tuple[float, float] = (0.9, 0.98)
    optimizer_weight_decay: float = 1e-3
    optimizer_grad_clip_norm: float = 1.0
    scheduler_warmup_steps: int = 300
    scheduler_decay_steps: int = 20_000
    scheduler_decay_lr: float = 5e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.n_action_steps <= self.chunk_size:
            raise ValueError(f"n_action_steps is 1 to chunk_size ({self.chunk_size}), not {self.n_action_steps}")
        if not 0 <= self.rtc_max_delay < self.chunk_size:
            raise ValueError(f"rtc_max_delay is 0 to chunk_size - 1, not {self.rtc_max_delay}")
        if self.num_steps < 1 or self.flow_samples < 1:
            raise ValueError("num_steps and flow_samples are at least 1")

    @property
    def image_features(self) -> dict[str, PolicyFeature]:
        """The colour cameras: depth, which a dataset may hold beside them, has one channel."""
        return {key: feature for key, feature in super().image_features.items() if feature.shape[0] == 3}

    def validate_features(self) -> None:
        """Raises ValueError unless there is a camera, a state and an action."""
        if not self.image_features or self.robot_state_feature is None or self.action_feature is None:
            raise ValueError("spatial_flow needs at least one camera, observation.state and action")

    def get_optimizer_preset(self) -> AdamWConfig:
        return AdamWConfig(
            lr=self.optimizer_lr,
            betas=self.optimizer_betas,
            weight_decay=self.optimizer_weight_decay,
            grad_clip_norm=self.optimizer_grad_clip_norm,
        )

    def get_scheduler_preset(self) -> CosineDecayWithWarmupSchedulerConfig:
        return CosineDecayWithWarmupSchedulerConfig(
            peak_lr=self.optimizer_lr,
            decay_lr=self.scheduler_decay_lr,
            num_warmup_steps=self.scheduler_warmup_steps,
            num_decay_steps=self.scheduler_decay_steps,
        )

    @property
    def observation_delta_indices(self) -> None:
        return None

    @property
    def action_delta_indices(self) -> list[int]:
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        return None
