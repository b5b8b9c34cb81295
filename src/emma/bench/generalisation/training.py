"""One policy of one recipe: trained as `emma train` does, exported as it is deployed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emma.bench.generalisation.data import Data, datasets
from emma.bench.generalisation.plan import CAMERAS, RATE, Budget, Recipe, digest
from emma.files import sha256_file

# Names of `emma.training.loop`, which is slow to import.
RUN, LOG, CONFIG = "training", "log.jsonl", "train.json"
# Of the run: lost at most when it is killed.
CHECKPOINTS = 14
# Steps between AdaMix' evaluations, and of uniform draws before the first of random weights: a seventh of the run.
PERIODS = 7
OBSERVATIONS = 4


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A recipe with a training seed."""

    data: Data
    recipe: Recipe
    seed: int

    @property
    def budget(self) -> Budget:
        return self.data.budget

    @property
    def name(self) -> str:
        return f"{self.recipe.name}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """The bundle's."""
        return self.budget.root / "policies" / f"{self.recipe.name}-{self.seed}-{digest(self._key())}"

    @property
    def ratio(self) -> float | None:
        """Share of samples that are not real, None where all are."""
        if self.recipe.pictures == "none":
            return None
        return self.budget.ratio if self.recipe.ratio is None else self.recipe.ratio

    @property
    def adamix(self) -> dict[str, Any]:
        """AdaMix' settings, none where it is not used."""
        if not self.recipe.sampler.startswith("adamix"):
            return {}
        part = max(1, self.budget.steps // PERIODS)
        # What goes on from a trained policy can be judged at once.
        warm_up = 0 if self.budget.init else part
        return {"lambda": self.budget.lam, "warm_up": warm_up, "period": part, **self.recipe.adamix}

    @property
    def options(self) -> dict[str, Any]:
        """The policy's."""
        return {**self.budget.options, **({} if self.recipe.rate is None else {RATE: self.recipe.rate})}

    def _key(self) -> dict[str, Any]:
        """All that decides the weights, and nothing else: a policy that another budget shares is not trained again."""
        b, recipe = self.budget, self.recipe
        return {
            "data": self.data.names(recipe.pictures, recipe.way),
            "pictures": recipe.pictures,
            "sampler": recipe.sampler,
            "augment": recipe.augment,
            "ratio": self.ratio,
            "adamix": self.adamix,
            **{name: getattr(b, name) for name in ("steps", "batch_size", "policy", "precision", "device")},
            "options": self.options,
            "seed": self.seed,
            **({"init": sha256_file(Path(b.init) / "model.safetensors")} if b.init else {}),
        }


def make(policy: Policy) -> None:
    """Train, or go on from the newest checkpoint; then write the graphs, if they are wanted."""
    from emma.adamix.config import AdaMixConfig
    from emma.training.checkpoints import checkpoint_folders
    from emma.training.config import TrainConfig
    from emma.training.loop import train

    b, recipe, out = policy.budget, policy.recipe, policy.folder
    if not trained(policy):
        config = TrainConfig(
            data=tuple(datasets(policy.data, recipe.pictures, recipe.way)),
            policy=b.policy,
            init=b.init,
            steps=b.steps,
            batch_size=b.batch_size,
            seed=policy.seed,
            cameras=CAMERAS,
            options=policy.options,
            precision=b.precision,
            device=b.device,
            checkpoint_every=max(1, b.steps // CHECKPOINTS),
            log_every=max(1, min(50, b.steps // 10)),
            sampler=recipe.sampler,
            ratio=policy.ratio,
            augment=recipe.augment,
            adamix=AdaMixConfig.of(policy.adamix),
        )
        train(config, out, resume=bool(checkpoint_folders(out / RUN)) and (out / RUN / CONFIG).is_file())
    if b.export and not exported(policy):
        _export(out, b.task)


def trained(policy: Policy) -> bool:
    """Whether the bundle is whole: its manifest comes last."""
    return (policy.folder / "emma.json").is_file()


def exported(policy: Policy) -> bool:
    """Whether the graphs are there, of these weights."""
    from emma.errors import EmmaError
    from emma.policy.exported import usable_export

    try:
        usable_export(policy.folder)
    except EmmaError:
        return False
    return True


def made(policy: Policy) -> float:
    """How much of `make` is done, 0..1."""
    if trained(policy):
        return 1.0 if not policy.budget.export or (policy.folder / "export" / "export.json").is_file() else 0.99
    rows = log_rows(policy)
    return 0.99 * rows[-1]["step"] / policy.budget.steps if rows else 0.0


def log_rows(policy: Policy) -> list[dict[str, Any]]:
    """The training's log so far."""
    file = policy.folder / RUN / LOG
    rows = []
    for line in file.read_text().splitlines() if file.is_file() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # half written
            break
    return rows


def _export(folder: Path, task: str) -> None:
    """Checked on the expert's pictures in the source appearance, as `emma export` does."""
    from emma.policy.bundle import load_bundle
    from emma.policy.export.bundle_export import SUPPORTED, export_bundle
    from emma.policy.export.parity import Case
    from emma.sim.demonstrations import demonstrations

    bundle = load_bundle(folder)
    if bundle.info.policy_type not in SUPPORTED:
        return
    episode = next(iter(demonstrations(1, seed=0, task=task, cameras=bundle.info.cameras, depth=False)))
    every = max(1, len(episode.observations) // OBSERVATIONS)
    cases = [Case(observation, episode.instruction) for observation in episode.observations[::every]]
    export_bundle(bundle, cases, reference="simulator")
