"""Training that starts from a bundle instead of random weights."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.policy.loading import BACKBONE, LoadedPolicy, load_policy
from emma.training.frames import FrameTable
from emma.training.policies import Built


def continue_from(bundle: Path, options: Mapping[str, Any], table: FrameTable, out: Path, device: str) -> Built:
    """The policy of `bundle` with its own processors: normalisation and vocabulary are part of what its weights know.

    options: configuration fields to change; those that change a shape do not fit the weights. out: the new bundle,
    which receives the files of a backbone. Raises EmmaError for such options, and for frames with other cameras.
    """
    loaded_bundle = load_bundle(bundle)
    wanted, found = loaded_bundle.info.cameras, tuple(table.cameras)
    if found != wanted:
        raise EmmaError(
            f"the data does not fit the policy that training starts from, {bundle}",
            found=f"cameras {', '.join(found)}",
            expected=", ".join(wanted),
            fix=f"add --cameras {' '.join(wanted)}",
        )
    groups = () if table.space is None else table.space.groups
    if loaded_bundle.info.groups != groups:
        raise EmmaError(
            f"the policy that training starts from, {bundle}, has other actions",
            found=_actions(loaded_bundle.info.groups),
            expected=_actions(groups),
            fix="choose --action-space as in its training",
        )
    if (bundle / BACKBONE).is_dir():
        shutil.copytree(bundle / BACKBONE, out / BACKBONE, dirs_exist_ok=True)
    loaded = load_policy(loaded_bundle, device=device, options=options)
    _learn_words(loaded, table)
    return Built(loaded.policy, loaded.pre, loaded.post)


def _learn_words(loaded: LoadedPolicy, table: FrameTable) -> None:
    """Words that the new data bring: a vocabulary of the policy's own has rows for them that were never trained."""
    size = getattr(loaded.config, "vocabulary_size", 0)
    for step in loaded.pre.steps:
        if size and hasattr(step, "learn"):
            try:
                step.learn(sorted(set(table.tasks)), size)
            except ValueError as error:
                raise EmmaError(
                    "the policy that training starts from has no room for the new words",
                    found=str(error),
                    expected=f"{size} words at most",
                    fix="train from random weights with a larger vocabulary_size",
                ) from None


def _actions(groups: Sequence[str]) -> str:
    return f"end-effector actions of {', '.join(groups)}" if groups else "joint actions"
