"""The stages in order, and what decides the result of each: settings, hashes of inputs, seed."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emma.cycle.cycle import Cycle
from emma.cycle.data import generated_datasets, held_out_datasets, human_datasets, real_datasets
from emma.cycle.job import versions_of
from emma.cycle.manifest import Manifest, Plan, dataset_hash
from emma.errors import EmmaError
from emma.files import sha256_tree
from emma.policy.exported import weights_of
from emma.training.config import FREE

Before = Mapping[str, Manifest]


def _nothing(cycle: Cycle, before: Before) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """work: `module:function`, called in a process of its own; describe: settings and inputs of a cycle's stage; skip:
    why there is nothing to do, and then no process is started, "" if there is."""

    name: str
    work: str
    describe: Callable[[Cycle, Before], tuple[Mapping[str, Any], Mapping[str, str]]]
    skip: Callable[[Cycle, Before], str] = _nothing
    version: int = 1

    def plan(self, cycle: Cycle, before: Before) -> Plan:
        """Raises EmmaError if an input is missing."""
        settings, inputs = self.describe(cycle, before)
        # As JSON has them, so that a plan read back is the same plan.
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
        return Plan(stage=self.name, version=self.version, settings=plain, inputs=dict(inputs), seed=cycle.seed)


def _convert(cycle: Cycle, before: Before) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    config = cycle.config
    settings = {"robot": config.robot, **asdict(config.convert), "measure": config.measure}
    return settings, {e.id: e.sha256 for e in cycle.inventory.episodes}


def _augment(cycle: Cycle, before: Before) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    settings = cycle.config.augment
    if not settings.generator and not settings.command:
        return asdict(settings), {}
    inputs = _hashes(real_datasets(cycle, before))
    if settings.generator:
        inputs["generator"] = generator_hash(Path(settings.generator))
    return asdict(settings), inputs


def _filter(cycle: Cycle, before: Before) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    return asdict(cycle.config.filter), before["augment"].outputs


def _train(cycle: Cycle, before: Before) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    settings = {key: value for key, value in asdict(cycle.config.train).items() if key not in FREE}
    inputs = _hashes(real_datasets(cycle, before)) | _hashes(generated_datasets(cycle, before))
    inputs |= {f"human {name}": digest for name, digest in _hashes(human_datasets(cycle)).items()}
    # Also from scratch: which cameras a policy sees is that of the one it shall replace.
    return settings, inputs | _bundle("baseline", versions_of(cycle).path(cycle.baseline))


def _export(cycle: Cycle, before: Before) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    return asdict(cycle.config.export), before["train"].outputs


def _parity(cycle: Cycle, before: Before) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    return asdict(cycle.config.export), before["export"].outputs


def _evaluate(cycle: Cycle, before: Before) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    config = cycle.config
    settings = {
        "measure": config.measure,
        "robot": config.robot,
        **asdict(config.evaluate),
        "gate": asdict(config.gate),
    }
    inputs = {**before["export"].outputs, **_bundle("baseline", versions_of(cycle).path(cycle.baseline))}
    if config.measure == "held-out":
        inputs |= _hashes(held_out_datasets(cycle, before))
    return settings, inputs


def _promote(cycle: Cycle, before: Before) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    return {}, {**before["export"].outputs, **before["evaluate"].outputs, **before["parity"].outputs}


def _no_episodes(cycle: Cycle, before: Before) -> str:
    return "" if cycle.inventory.episodes else "no new episodes"


def _no_generator(cycle: Cycle, before: Before) -> str:
    augment = cycle.config.augment
    return "" if augment.generator or augment.command else "no generator is configured"


def _not_augmented(cycle: Cycle, before: Before) -> str:
    return before["augment"].skipped


STAGES = tuple(
    Stage(name=name, work=f"emma.cycle.stages.{name}:work", describe=describe, skip=skip)
    for name, describe, skip in (
        ("convert", _convert, _no_episodes),
        ("augment", _augment, _no_generator),
        ("filter", _filter, _not_augmented),
        ("train", _train, _nothing),
        ("export", _export, _nothing),
        ("parity", _parity, _nothing),
        ("evaluate", _evaluate, _nothing),
        ("promote", _promote, _nothing),
    )
)


def generator_hash(folder: Path) -> str:
    """Of a generator's weights and configuration. EmmaError if there is none."""
    if not folder.is_dir():
        raise EmmaError(
            f"no generator at {folder}",
            found="no such folder",
            expected="a generator bundle",
            fix="train one with `emma dream train`, or leave augment.generator empty",
        )
    return sha256_tree(folder)


def _hashes(datasets: list[Path]) -> dict[str, str]:
    """By name and turn: two datasets may be called alike, and a folder that was moved is still the same data."""
    return {f"{i}:{path.name}": dataset_hash(path) for i, path in enumerate(datasets)}


def _bundle(name: str, path: Path) -> dict[str, str]:
    return {f"{name}/{file}": digest for file, digest in weights_of(path).items()}
