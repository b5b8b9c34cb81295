"""The first training of each row as a small bundle for `models/`, which `--quick` evaluates."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from emma.bench.generalisation.plan import Recipe
from emma.bench.generalisation.shipped import bundles
from emma.bench.generalisation.steps import Steps
from emma.bench.generalisation.training import RUN, Policy, trained
from emma.files import atomic_dir, atomic_write_text

WEIGHTS = "model.safetensors"
CARD = """---
library_name: lerobot
pipeline_tag: robotics
license: apache-2.0
tags: [robotics, lerobot, {policy}]
---

# {name}

A row of the proof's table: {about}.

The network, the demonstrations and the number of steps are those of every other row; `emma.json` says what it was
trained on. It is here so that `emma bench generalisation --quick` can show the row without training it: the first of
the row's trainings (seed 0), not the best, weights in half precision and no graphs.

```sh
{command}
```

**Results.** The section of the table in [docs/results.md](../../docs/results.md).

**Limits.** One task, one simulated arm, one scene. For anything but the table take `desk_arm_source`, which these go on
from, or `desk_arm_adamix`.
"""


def ship(steps: Steps, recipes: Sequence[Recipe], folder: Path) -> list[Path]:
    """Copy what is trained of `recipes` to `folder`; returns the bundles that are new. Those that are there stay."""
    new = []
    for recipe in recipes:
        policy = Policy(data=steps.data, recipe=recipe, seed=0)
        target = folder / bundles(steps.data.budget.task)[recipe.name]
        if trained(policy) and not target.exists():
            with atomic_dir(target) as aside:
                shutil.copytree(
                    policy.folder, aside, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RUN, "export", ".*")
                )
                halve(aside / WEIGHTS)
                words = {"policy": steps.data.budget.policy, "name": target.name, "about": recipe.about}
                words["command"] = steps.data.budget.command
                atomic_write_text(aside / "README.md", CARD.format(**words))
            new.append(target)
    return new


def halve(file: Path) -> None:
    """Store float32 weights as float16, in place: half the size, and LeRobot loads them into the policy's float32."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    weights = {name: w.half() if w.dtype == torch.float32 else w for name, w in load_file(file).items()}
    aside = file.with_suffix(".part")
    save_file(weights, aside, metadata)
    aside.replace(file)
