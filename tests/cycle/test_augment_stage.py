"""Augmenting and filtering in a cycle, with a program that copies a dataset in place of a generator."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from emma.cycle.config import AugmentSettings, FilterSettings, ImproveConfig
from emma.cycle.cycle import Cycle, new_cycle
from emma.cycle.data import generated_datasets
from emma.cycle.inventory import Inventory
from emma.cycle.job import Job, Made
from emma.cycle.manifest import Manifest, Plan
from emma.cycle.stages import augment
from emma.cycle.stages import filter as filtering
from emma.datasets.writer import DatasetWriter
from emma.errors import EmmaError
from emma.robots.spec import load_robot
from emma.sim.demonstrations import demonstrations

# Copies the dataset, and says that one clip of three was rejected.
COPY = """
import json, shutil, sys
from pathlib import Path
source, out, variants = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
print("drawing", variants, flush=True)
shutil.copytree(source, out, dirs_exist_ok=True)
shutil.copytree(source, out / "rejected", dirs_exist_ok=True)
row = {"source": "generated", "accepted": False, "reason": "flicker_error 0.3 is the highest"}
(out / "rejected/meta/provenance.jsonl").write_text(json.dumps(row) + chr(10))
"""


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("augmented") / "real"
    with DatasetWriter(root, load_robot("desk_arm"), cameras=("top", "wrist"), depth=False) as writer:
        for episode in demonstrations(2, seed=0, noise=0.0, cameras=("top", "wrist"), depth=False):
            rows = list(zip(episode.observations, episode.action, strict=True))[:6]
            writer.add_episode(rows, episode.instruction, {"source": "scripted"})
    return root


@pytest.fixture
def cycle(tmp_path: Path, dataset: Path, tiny_config: Callable[..., ImproveConfig]) -> Cycle:
    (tmp_path / "copy.py").write_text(COPY)
    words = ("{python}", str(tmp_path / "copy.py"), "{dataset}", "{out}", "{variants}")
    config = tiny_config(tmp_path, datasets=(str(dataset),), augment=AugmentSettings(command=words))
    return new_cycle(config, 1, 1, Inventory(), ())


def manifest(name: str, made: Made) -> Manifest:
    plan = Plan(stage=name, version=1, settings={}, inputs={}, seed=0)
    return Manifest(plan=plan, outputs=made.outputs, results=made.results, skipped=made.skipped)


def job(cycle: Cycle, name: str, **before: Made) -> Job:
    manifests = {key: manifest(key, made) for key, made in {"convert": Made(), **before}.items()}
    cycle.stage(name).mkdir(parents=True, exist_ok=True)
    return Job(folder=cycle.stage(name), cycle=cycle, before=manifests, progress=lambda *_: None)


def test_every_dataset_once_and_what_the_filter_left(cycle: Cycle) -> None:
    made = augment.work(job(cycle, "augment"))
    (row,) = made.results["datasets"]
    assert not row["used_again"]
    # The next cycle has the same dataset: nothing is drawn twice.
    later = replace(cycle, number=2)
    again = augment.work(job(later, "augment"))
    assert again.outputs == made.outputs
    assert again.results["datasets"][0]["used_again"]

    kept = filtering.work(job(cycle, "filter", augment=made))
    (row,) = kept.results["datasets"]
    assert (row["kept"], row["rejected"], row["reasons"]) == (2, 1, {"flicker_error": 1})
    before = {"augment": manifest("augment", made), "filter": manifest("filter", kept)}
    (folder,) = generated_datasets(cycle, before)
    assert (folder / "meta" / "info.json").is_file()


def test_too_few_clips_are_not_trained_on(cycle: Cycle) -> None:
    strict = replace(cycle, config=replace(cycle.config, filter=FilterSettings(min_accepted=0.9)))
    made = augment.work(job(strict, "augment"))
    kept = filtering.work(job(strict, "filter", augment=made))
    assert kept.skipped == "too few clips passed the filter (2 of 3): nothing generated is used"
    assert generated_datasets(strict, {"filter": manifest("filter", kept)}) == []


def test_a_program_that_fails_is_named_with_its_words(cycle: Cycle) -> None:
    words = ("{python}", "-c", "import sys; print('no paint left'); sys.exit(3)")
    broken = replace(cycle, config=replace(cycle.config, augment=AugmentSettings(command=words)))
    with pytest.raises(EmmaError) as caught:
        augment.work(job(broken, "augment"))
    assert caught.value.found == "exit code 3: no paint left"


def test_unknown_placeholders_are_named(cycle: Cycle) -> None:
    wrong = replace(cycle, config=replace(cycle.config, augment=AugmentSettings(command=("{brush}",))))
    with pytest.raises(EmmaError, match="unknown placeholder"):
        augment.work(job(wrong, "augment"))
