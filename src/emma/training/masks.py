"""Numbers of an action that do not count: which policies can leave them out of their loss, and how."""

from collections.abc import Callable
from typing import Any

import torch

from emma.errors import EmmaError
from emma.training.frames import VALUES_PAD, FrameTable

STEPS = "action_is_pad"
# LeRobot policies whose loss leaves whole actions out where `action_is_pad` says so (0.6.1), and the option it takes.
BY_STEP = ("act", "eo1", "evo1", "smolvla", "tdmpc")
BY_STEP_WITH_OPTION = {"diffusion": "do_mask_loss_for_padding", "multi_task_dit": "do_mask_loss_for_padding"}
FIX = "train spatial_flow, or leave such episodes out (`emma human import --min-coverage 1`)"


def action_mask(policy: Any, table: FrameTable) -> Callable[[dict[str, Any]], None]:
    """`mask(batch)` prepares a batch for this policy, so that what does not count stays out of its loss.

    Raises EmmaError for a policy that would learn from numbers that mean nothing.
    """
    if table.valid is None or bool(table.valid.all()) or getattr(policy, "masks_action_values", False):
        return lambda batch: None
    option = BY_STEP_WITH_OPTION.get(policy.name, "")
    if policy.name not in BY_STEP and not (option and getattr(policy.config, option)):
        raise EmmaError(
            f"{policy.name} cannot leave out actions that do not count",
            found=f"{int((~table.valid).any(1).sum())} of {len(table)} frames with some, and a loss over all",
            expected="a policy that masks its loss",
            fix=f"add --set {option}=true" if option else FIX,
        )
    for source, place in zip(table.sources, range(len(table.sources)), strict=True):
        valid = table.valid_of(place)
        if len(never := [i for i in range(valid.shape[1]) if not valid[:, i].any()]):
            names = [table.space.names[i] for i in never] if table.space else [str(i) for i in never]
            raise EmmaError(
                f"{policy.name} cannot leave out single numbers of an action",
                found=f"{source.root.name} never has {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}",
                expected="a policy that masks numbers, or data that has all of them",
                fix="train spatial_flow",
            )
    return _whole_actions


def _whole_actions(batch: dict[str, Any]) -> None:
    """An action with one number that does not count does not count."""
    values: torch.Tensor = batch.pop(VALUES_PAD)
    batch[STEPS] = batch[STEPS] | values.any(-1)
