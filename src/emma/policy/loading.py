"""A bundle's LeRobot policy with its processors, loaded as LeRobot itself loads them."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from emma.errors import EmmaError
from emma.policy.bundle import Bundle

# Nothing here may reach for a hub: a bundle holds all that it needs.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Where a bundle keeps configuration and tokenizer of a backbone that is not of the policy's own making.
BACKBONE = "vlm"
PLUGINS = ("lerobot_policy_spatial_flow", "emma.policy.end_effector.processors")


class LoadedPolicy(NamedTuple):
    """config: PreTrainedConfig; policy: PreTrainedPolicy in eval mode; pre and post: processor pipelines."""

    config: Any
    policy: Any
    pre: Any
    post: Any


def register_plugins() -> None:
    """Make this project's policy classes known to LeRobot."""
    for name in PLUGINS:
        importlib.import_module(name)


def load_policy(bundle: Bundle, *, device: str = "cpu", options: Mapping[str, Any] | None = None) -> LoadedPolicy:
    """options: configuration fields to change. Raises EmmaError if LeRobot cannot load the bundle."""
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    register_plugins()
    path = Path(bundle.path).resolve()
    try:
        config = PreTrainedConfig.from_pretrained(path)
        config.device = device
        for name, value in (options or {}).items():
            if not hasattr(config, name):
                raise ValueError(f"{config.type} has no option {name}")
            setattr(config, name, value)
        config.__post_init__()
        _find_backbone(config, path)
        policy = get_policy_class(config.type).from_pretrained(path, config=config)
        pre, post = _processors(config, path, device)
        return LoadedPolicy(config, policy.to(device).eval(), pre, post)
    except Exception as error:  # LeRobot raises many kinds for a broken folder
        raise _cannot_load(bundle, error) from error


def load_preprocessor(bundle: Bundle) -> Any:
    """The pre-processor pipeline alone, without the weights. Raises EmmaError if LeRobot cannot load it."""
    from lerobot.configs.policies import PreTrainedConfig

    register_plugins()
    path = Path(bundle.path).resolve()
    try:
        config = PreTrainedConfig.from_pretrained(path)
        _find_backbone(config, path)
        return _processors(config, path, "cpu")[0]
    except Exception as error:  # LeRobot raises many kinds for a broken folder
        raise _cannot_load(bundle, error) from error


def _find_backbone(config: Any, path: Path) -> None:
    # LeRobot stores the folder of a backbone's configuration and tokenizer as it was called in training; the bundle may
    # have been moved since.
    if hasattr(config, "vlm_model_name") and (path / BACKBONE).is_dir():
        config.vlm_model_name = str(path / BACKBONE)


def _processors(config: Any, path: Path, device: str) -> tuple[Any, Any]:
    from lerobot.policies.factory import make_pre_post_processors

    overrides: dict[str, Any] = {"device_processor": {"device": device}}
    if (path / BACKBONE).is_dir():
        overrides["tokenizer_processor"] = {"tokenizer_name": str(path / BACKBONE)}
    pre, post = make_pre_post_processors(config, str(path), preprocessor_overrides=overrides)
    return pre, post


def _cannot_load(bundle: Bundle, error: Exception) -> EmmaError:
    return EmmaError(
        f"cannot load policy bundle {bundle.path}",
        found=f"{type(error).__name__}: {error}",
        expected=f"a LeRobot '{bundle.info.policy_type}' policy with its processors",
    )
