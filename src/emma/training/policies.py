"""Any LeRobot policy class, built for the features of some datasets."""

import dataclasses
import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lerobot.configs import PolicyFeature
from lerobot.datasets.compute_stats import aggregate_stats
from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.feature_utils import dataset_to_policy_features

from emma.errors import EmmaError
from emma.policy.end_effector.processors import use_relative_poses
from emma.policy.loading import BACKBONE, register_plugins
from emma.training.frames import ACTION, IMAGES, STATE, FrameTable, Source
from emma.training.mixture import KINDS
from emma.training.pose_statistics import pose_statistics
from emma.training.small_smolvla import small_smolvla

# A joint that hardly moves would have its noise blown up by normalisation. In the joint's unit (rad or m).
MIN_STD = 0.005

# Short names for configurations that need no download and train on a CPU.
PRESETS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "act": ("act", {"pretrained_backbone_weights": None}),
    "act_small": (
        "act",
        {
            "pretrained_backbone_weights": None,
            "dim_model": 64,
            "dim_feedforward": 128,
            "n_heads": 4,
            "n_encoder_layers": 1,
            "n_vae_encoder_layers": 1,
            "chunk_size": 16,
            "n_action_steps": 16,
        },
    ),
}


class Built(NamedTuple):
    """A policy with its processors, ready to train."""

    policy: PreTrainedPolicy
    preprocessor: Any
    postprocessor: Any


def build_policy(
    name: str,
    options: Mapping[str, Any],
    sources: Sequence[Source],
    table: FrameTable,
    gripper: Sequence[str],
    bundle: Path,
    device: str,
    *,
    relative: bool = True,
    kinds: Sequence[str] = KINDS,
) -> Built:
    """A freshly initialised policy `name` for these datasets. `bundle` receives files that a backbone needs.

    In an end-effector space, relative: whether chunks are in the current tool frames; kinds: the data whose statistics
    normalise.

    Raises EmmaError for an unknown policy, an unknown option or features that the policy cannot take.
    """
    register_plugins()
    kind, preset = PRESETS.get(name, (name, {}))
    settings = {**preset, **options}
    if name == "smolvla_small":
        kind, settings = "smolvla", {**small_smolvla(bundle / BACKBONE, sources), **options}
    meta = sources[0].meta
    poses = table.space is not None
    features = dataset_to_policy_features(sources[0].features)
    if table.space is not None:
        features |= {key: PolicyFeature(type=features[key].type, shape=(table.space.size,)) for key in (STATE, ACTION)}
    inputs = {STATE: features[STATE], **{IMAGES + c: features[IMAGES + c] for c in table.cameras}}
    config = _config(kind, {**settings, "device": device}, inputs, {ACTION: features[ACTION]})
    stats = {k: dict(v) for k, v in aggregate_stats([s.stats for s in _same(sources)]).items()}
    if poses:
        if getattr(config, "use_relative_actions", False):
            config.use_relative_actions = False
        stats |= pose_statistics(table, kinds, config.action_delta_indices, relative=relative)
    names = _names(sources[0].features[ACTION], features[ACTION].shape[0])
    if getattr(config, "use_relative_actions", False):
        config.action_feature_names = names
        config.relative_exclude_joints = list(gripper)
        joints = np.array([name not in gripper for name in names])
        stats[ACTION] = table.relative_statistics(config.action_delta_indices, joints)
    for key in (STATE, ACTION):
        stats[key]["std"] = np.maximum(np.asarray(stats[key]["std"], np.float32), MIN_STD)
    stats = {
        k: {n: torch.as_tensor(np.asarray(v), dtype=torch.float32) for n, v in s.items()} for k, s in stats.items()
    }
    try:
        policy = get_policy_class(kind)(config).to(device)
        pre, post = make_pre_post_processors(config, dataset_stats=stats, dataset_meta=_Meta(table, meta))
        if poses and relative:
            use_relative_poses(pre, post)
    except (ValueError, ImportError, OSError, KeyError) as error:
        raise EmmaError(
            f"policy '{name}' cannot be built for these datasets",
            found=f"{type(error).__name__}: {error}",
            expected=f"features that {kind} takes; the datasets have {', '.join([*inputs, ACTION])}",
        ) from error
    return Built(policy, pre, post)


def require_policy(name: str) -> None:
    """Raise EmmaError for a policy type that neither LeRobot nor this project knows."""
    from lerobot.configs.policies import PreTrainedConfig

    register_plugins()
    importlib.import_module("lerobot.policies")
    known = sorted({*PreTrainedConfig.get_known_choices(), *PRESETS, "smolvla_small"})
    if name not in known:
        raise EmmaError(f"unknown policy '{name}'", found=name, expected=f"one of {', '.join(known)}")


def require_loss_by_sample(policy: PreTrainedPolicy) -> None:
    """Raise EmmaError unless the policy can give its loss sample by sample, which weights on the loss need."""
    if "reduction" not in inspect.signature(policy.forward).parameters:
        raise EmmaError(
            f"{policy.name} cannot weigh its samples",
            found="forward() gives one loss for the batch",
            expected='a policy that takes forward(batch, reduction="none")',
            fix="draw by weight instead: --sampler adamix",
        )


def _same(sources: Sequence[Source]) -> list[Source]:
    """The datasets whose stored statistics can be added up: those with the first one's features."""
    return [source for source in sources if source.features.keys() == sources[0].features.keys()]


class _Meta:
    """What processors ask of a dataset's metadata, over all datasets of a training."""

    def __init__(self, table: FrameTable, meta: Any) -> None:
        self._meta = meta
        self.tasks = meta.tasks.iloc[:0].reindex(sorted(set(table.tasks)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._meta, name)


def _config(kind: str, settings: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    try:
        return make_policy_config(kind, input_features=inputs, output_features=outputs, push_to_hub=False, **settings)
    except TypeError as error:
        from lerobot.configs.policies import PreTrainedConfig

        known = [f.name for f in dataclasses.fields(PreTrainedConfig.get_choice_class(kind))]
        raise EmmaError(
            f"bad option for policy '{kind}'", found=str(error), expected=f"some of {', '.join(known)}"
        ) from None
    except ValueError as error:
        raise EmmaError(f"bad option for policy '{kind}'", found=str(error), expected="a valid configuration") from None


def _names(feature: Mapping[str, Any], size: int) -> list[str]:
    names = feature.get("names")
    if isinstance(names, list | tuple) and len(names) == size:
        return [str(name) for name in names]
    return [f"action_{i}" for i in range(size)]
