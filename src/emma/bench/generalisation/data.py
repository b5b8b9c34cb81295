"""What the rows are trained on: demonstrations in one appearance, their clips, true pictures of the same prompts."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from emma.bench.dream_scene import domain_of
from emma.bench.generalisation.plan import CAMERAS, GENERATOR, WAYS, Budget, digest
from emma.datasets.index import read_provenance
from emma.errors import EmmaError
from emma.files import sha256_tree
from emma.resources import data_dir
from emma.robots.spec import RobotSpec, load_robot
from emma.sim.domains import Domain, held_out_combinations

SOURCE, GRAMMAR = "source", "desk"
REJECTED = "rejected"
# Same motion, other pictures: these must not differ by a bit.
SAME = ("action", "observation.state")


@dataclass(frozen=True, kw_only=True)
class Data:
    """The folders of one budget. Each carries a hash of what made it, so nothing old is taken for new."""

    budget: Budget

    @property
    def generator(self) -> Path:
        """Folder of the generator."""
        return Path(self.budget.generator) if self.budget.generator else data_dir("models") / GENERATOR

    @property
    def demonstrations(self) -> Path:
        b = self.budget
        key = {"episodes": b.demonstrations, "noise": b.noise, "cameras": CAMERAS, **b.other_task}
        return self._folder("demonstrations", key)

    def clips(self, way: str) -> list[Path]:
        """One dataset a shard, with what the filter rejected in `rejected` beside the rest."""
        key = self._of_kept(way)
        return [self._folder(f"clips-{way}-{shard}", key) for shard in range(self.budget.shards)]

    def beside(self, pictures: str, way: str) -> list[Path]:
        """What a recipe's pictures are, beside the demonstrations."""
        return {"none": [], "true": [self.true()]}.get(pictures, self.clips(way))

    def names(self, pictures: str, way: str) -> list[str]:
        """What identifies the data of a recipe's pictures."""
        beside = self.beside(pictures, way)
        if pictures == "all":
            # The same clips, whichever of them the filter keeps.
            beside = [self._folder(f"clips-{way}-{shard}", self._of_clips(way)) for shard in range(self.budget.shards)]
        return [folder.name for folder in (self.demonstrations, *beside)]

    def true(self) -> Path:
        """The prompts of the kept clips, as the simulator shows them."""
        return self._folder("true", self._of_kept("whole"))

    def episodes(self, shard: int) -> tuple[int, ...]:
        """The demonstrations of a shard."""
        return tuple(range(shard, self.budget.demonstrations, self.budget.shards))

    def _of_clips(self, way: str) -> dict[str, Any]:
        b = self.budget
        return {
            "demonstrations": self.demonstrations.name,
            "generator": _hash(self.generator),
            "settings": dict(WAYS[way]),
            "variants": b.variants,
            "shards": b.shards,
            "reject": b.reject,
        }

    def _of_kept(self, way: str) -> dict[str, Any]:
        from emma.dreamtransfer.filter_config import FilterConfig

        return {**self._of_clips(way), "filter": asdict(FilterConfig(reject=self.budget.reject))}

    def _folder(self, name: str, key: Mapping[str, Any]) -> Path:
        return self.budget.root / "data" / f"{name}-{digest(key)}"


@cache
def _hash(folder: Path) -> str:
    return sha256_tree(folder)


def episodes_of(folder: Path) -> int:
    """How many episodes of a dataset are whole, 0 if there is none."""
    return len(read_provenance(folder)) if (folder / "meta" / "info.json").is_file() else 0


def generate(data: Data, way: str, shard: int) -> None:
    """The clips of one shard: what `emma augment` does, with the generator's settings of `way`."""
    from emma.augmentation.clips import Tools
    from emma.augmentation.config import AugmentConfig
    from emma.augmentation.job import augment
    from emma.dreamtransfer.camera_poses import calibrated_poses
    from emma.dreamtransfer.filter_config import FilterConfig
    from emma.dreamtransfer.prompts import Grammar
    from emma.dreamtransfer.scorer import ClipScorer

    tools = Tools(
        generator=partial(load_generator, data.generator, WAYS[way]),
        scorer=ClipScorer,
        poses=partial(calibrated_poses, load_robot()),
    )
    config = AugmentConfig(
        variants=data.budget.variants,
        # Another shard has other prompts.
        seed=shard,
        episodes=data.episodes(shard),
        workers=1,
        filter=FilterConfig(reject=data.budget.reject),
    )
    augment(data.demonstrations, data.clips(way)[shard], tools, Grammar.load(GRAMMAR).sample, config)


def load_generator(folder: Path, settings: Mapping[str, Any]) -> Any:
    """The generator with some of its settings changed."""
    from emma.dreamtransfer.pipeline import DreamTransfer
    from emma.dreamtransfer.settings import Settings

    generator = DreamTransfer.load(folder)
    if settings:
        generator.settings = Settings(**{**asdict(generator.settings), **settings})
    return generator


def generated(data: Data, way: str, shard: int) -> float:
    """How much of `generate` is done, 0..1."""
    folder, wanted = data.clips(way)[shard], len(data.episodes(shard)) * data.budget.variants
    work = folder / ".augment"
    if (work / "done.json").is_file():
        return 1.0
    made = sum(1 for _ in (work / "clips").glob("*.json")) if work.is_dir() else 0
    return 0.99 * min(1.0, made / wanted)


def render(data: Data) -> None:
    """The kept clips again as the simulator shows them: the same seeds in the looks that the prompts say.

    Raises EmmaError if a motion differs from the demonstration's by a bit, or a look is kept for evaluation.
    """
    from emma.datasets.writer import DatasetWriter
    from emma.sim.arm import DeskArm
    from emma.sim.demonstrations import demonstrate, target_of

    spec = load_robot()
    motions = _Motions(data.demonstrations)
    with (
        DatasetWriter(data.true(), spec, cameras=CAMERAS, depth=False) as writer,
        DeskArm(spec, cameras=CAMERAS, task=data.budget.task) as sim,
    ):
        for number, clip in enumerate(kept_clips(data)):
            if number < writer.num_episodes:
                continue
            seed = int(clip["from"]["provenance"]["seed"])
            sim.set_domain(look(clip["words"], number))
            episode = demonstrate(sim, seed, target_of(seed), noise=data.budget.noise, fps=spec.fps, depth=False)
            if episode is None:
                raise _other_motion(seed, "the expert failed")
            found = {"action": episode.action, "observation.state": episode.state}
            for name, values in motions(int(clip["from"]["episode"])).items():
                if not np.array_equal(values, found[name]):
                    raise _other_motion(seed, f"another {name}")
            rows = zip(episode.observations, episode.action, strict=True)
            writer.add_episode(rows, episode.instruction, _provenance(clip, seed, spec))


def rendered(data: Data, wanted: int) -> float:
    """How much of `render` is done, 0..1, of `wanted` clips."""
    return min(1.0, episodes_of(data.true()) / max(1, wanted))


def kept_clips(data: Data) -> list[dict[str, Any]]:
    """Provenance of the clips that the filter kept, all shards, in order."""
    return [line for folder in data.clips("whole") for line in read_provenance(folder)]


def look(words: Mapping[str, str], seed: int) -> Domain:
    """The look that a prompt says. Raises EmmaError if it is kept for evaluation."""
    if any(all(words.get(slot) == word for slot, word in pair.items()) for pair in held_out_combinations()):
        raise EmmaError("a prompt shows what is kept for evaluation", found=dict(words), expected="other words")
    return domain_of(words, seed)


class _Motions:
    """What must not differ, of each demonstration."""

    def __init__(self, folder: Path) -> None:
        from emma.datasets.source import SourceDataset

        self._source = SourceDataset.open(folder)

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        rows = self._source.read(index).rows
        return {name: np.stack([np.asarray(v, np.float32) for v in rows[name].to_pylist()]) for name in SAME}


def _provenance(clip: Mapping[str, Any], seed: int, spec: RobotSpec) -> dict[str, Any]:
    return {
        "source": "simulator",
        "embodiment": spec.name,
        "seed": seed,
        "prompt": clip["prompt"],
        "words": clip["words"],
        "variant": clip["variant"],
    }


def _other_motion(seed: int, found: str) -> EmmaError:
    return EmmaError(
        f"the re-rendered episode of seed {seed} is not the demonstration",
        found=found,
        expected="the same motion to the bit",
        fix="remove the workspace's data if the simulator changed since the demonstrations were made",
    )


def datasets(data: Data, pictures: str, way: str) -> Iterator[str]:
    """What `emma train --data` gets for a recipe's pictures, the demonstrations first."""
    yield f"real:{data.demonstrations.resolve()}"
    if pictures == "true":
        yield f"generated:{data.true().resolve()}"
    elif pictures != "none":
        for folder in data.clips(way):
            yield f"generated:{folder.resolve()}"
            if pictures == "all" and (folder / REJECTED).is_dir():
                yield f"generated:{(folder / REJECTED).resolve()}"
