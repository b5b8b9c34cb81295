"""Training that starts from a bundle instead of random weights."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.policy.loading import BACKBONE, load_policy
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
    if (bundle / BACKBONE).is_dir():
        shutil.copytree(bundle / BACKBONE, out / BACKBONE, dirs_exist_ok=True)
    loaded = load_policy(loaded_bundle, device=device, options=options)
    return Built(loaded.policy, loaded.pre, loaded.post)
