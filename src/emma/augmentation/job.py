"""The whole augmentation: clips made and staged, judged together, then put into their places in order."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emma.augmentation.clips import ClipTask, GeneratorCard, Tools
from emma.augmentation.config import AugmentConfig, AugmentReport, PromptSource
from emma.augmentation.executors import Crew, crew
from emma.augmentation.places import REJECTED, place_all
from emma.augmentation.requirements import require_apart, require_depth, require_disk
from emma.augmentation.stage import Key, Stage
from emma.datasets.features import IMAGES
from emma.datasets.source import SourceDataset
from emma.datasets.video import video_info
from emma.datasets.writer import DatasetWriter, reading
from emma.dreamtransfer.filter import decide
from emma.dreamtransfer.prompts import Prompt
from emma.errors import EmmaError

# So many clips that fail before any succeeds: then it is not the clips.
_GIVE_UP = 3

# Clips done, clips in all, a note.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    source: SourceDataset
    card: GeneratorCard
    config: AugmentConfig
    prompts: dict[Key, Prompt]
    features: dict[str, dict]

    def seed(self, key: Key) -> int:
        """The same for a clip whatever else is generated."""
        state = np.random.SeedSequence([self.config.seed, key.episode, key.variant]).generate_state(1)
        return int(state[0] & 0x7FFFFFFF)

    @property
    def video(self) -> bool:
        return self.source.video if self.config.video is None else self.config.video

    def settings(self) -> dict[str, Any]:
        """What makes two jobs the same."""
        texts = "\n".join(prompt.text for prompt in self.prompts.values())
        return {
            "source": self.source.root.name,
            "source_sha256": self.source.sha256(),
            "generator": self.card.name,
            "generator_sha256": self.card.sha256,
            "episodes": sorted({key.episode for key in self.prompts}),
            "cameras": list(self.source.cameras),
            "variants": self.config.variants,
            "seed": self.config.seed,
            "prompts_sha256": hashlib.sha256(texts.encode()).hexdigest(),
            "video": self.video,
            **self.config.also,
        }


def augment(
    source: Path | str,
    out: Path | str,
    tools: Tools,
    prompts: PromptSource,
    config: AugmentConfig | None = None,
    progress: Progress | None = None,
) -> AugmentReport:
    """Write `config.variants` re-imagined copies of each episode of `source` to a dataset at `out`.

    Actions, states, depth and everything else are the source's, byte for byte; only the pictures are new. What the
    filter rejects is a dataset of its own in OUT/rejected; OUT/report/index.html shows both. Interrupted, killed or out
    of disk, the same call goes on and ends with the same dataset. Raises EmmaError; finished clips are kept then.
    """
    config, source, out, start = config or AugmentConfig(), Path(source), Path(out), time.monotonic()
    require_apart(source, out)
    opened = SourceDataset.open(source)
    episodes = config.chosen_episodes(opened)
    keys = [Key(episode, variant) for episode in episodes for variant in range(config.variants)]
    chosen = dict(zip(keys, prompts(len(keys), config.seed), strict=True))
    with reading(opened.root), crew(tools, config.workers, config.ray) as workers:
        card = workers.card()
        narrowed = opened.only(config.chosen_cameras(opened, card))
        require_depth(narrowed, tools.depth is not None or not card.needs_depth)
        video = narrowed.video if config.video is None else config.video
        plan = _Plan(
            source=narrowed,
            card=card,
            config=config,
            prompts=chosen,
            features=_target_features(narrowed, video),
        )
        try:
            made, kept = _make(plan, workers, out, progress or (lambda *_: None))
        except OSError as error:
            raise EmmaError(
                f"stopped: cannot write to {out}",
                found=error.strerror or str(error),
                expected="a disk with room",
                fix="make room and run the same command again: finished clips are kept",
            ) from error
    return _report(plan, opened, out, made, kept, time.monotonic() - start)


def _make(plan: _Plan, workers: Crew, out: Path, progress: Progress) -> tuple[int, int]:
    """Everything that is missing; returns how many clips were made now and how many were there."""
    stage = Stage(out)
    if stage.read("done") is not None:
        stage.begin(plan.settings())
        return 0, len(plan.prompts)
    if (out / "meta/info.json").is_file() and not stage.folder.is_dir():
        raise EmmaError(
            f"{out} holds a dataset that no augmentation made",
            found="meta/info.json",
            expected="a new folder, or one that `emma augment` began",
            fix="choose another --out",
        )
    with DatasetWriter.of_features(out, plan.features, plan.source.fps, plan.source.robot) as writer:
        stage.begin(plan.settings())
        for left in stage.leftovers():
            left.unlink()
        if (decided := stage.read("decisions")) is not None:
            made, kept = 0, len(decided["clips"])
        else:
            kept = sum(stage.has(key) for key in plan.prompts)
            missing = [key for key in plan.prompts if not stage.has(key)]
            require_disk(plan.source, [key.episode for key in missing], plan.video, out)
            failed = _run(plan, workers, stage, missing, kept, progress)
            made = len(missing) - len(failed)
            _decide(plan, stage, failed)
        progress(len(plan.prompts), len(plan.prompts), "putting clips into their places")
        place_all(plan.source, plan.card, stage, writer, out, progress=progress, also=plan.config.also)
    return made, kept


def _run(
    plan: _Plan, workers: Crew, stage: Stage, missing: Sequence[Key], kept: int, progress: Progress
) -> dict[Key, str]:
    """Make the missing clips; returns those that could not be made, with the reason."""
    total, done, failed = len(plan.prompts), kept, dict[Key, str]()
    first: EmmaError | None = None
    progress(done, total, "loading the generator" if missing else "")
    for outcome in workers.run(_tasks(plan, missing)):
        key = Key(outcome.task.episode.index, outcome.task.variant)
        if outcome.made is not None:
            stage.add(key, outcome.task, outcome.made)
            done += 1
        elif outcome.error is not None:
            first = first or outcome.error
            stage.failed(key, outcome.trace)
            failed[key] = _one_line(outcome.error)
        if len(failed) >= _GIVE_UP and done == kept and not (plan.config.skip_failed and kept):
            break
        progress(done + len(failed), total, f"{len(failed)} failed" if failed else "")
    if first is not None and (not plan.config.skip_failed or done == 0):
        again = f"{done} clips are finished and kept: run it again, with --skip-failed to leave the others out"
        raise EmmaError(
            f"{len(failed)} clips could not be made, the first is episode {min(failed).episode} "
            f"variant {min(failed).variant}: {first.problem}",
            found=first.found,
            expected=first.expected,
            fix="; ".join(filter(None, (first.fix, again, f"details: {stage.folder / 'failed'}"))),
        )
    return failed


def _tasks(plan: _Plan, missing: Sequence[Key]) -> Iterator[ClipTask]:
    """Episode by episode, so that each is read once."""
    episode = None
    for key in missing:
        if episode is None or episode.index != key.episode:
            episode = plan.source.read(key.episode)
        yield ClipTask(
            episode=episode,
            variant=key.variant,
            prompt=plan.prompts[key],
            seed=plan.seed(key),
            cameras=plan.source.cameras,
            features=plan.features,
        )


def _decide(plan: _Plan, stage: Stage, failed: dict[Key, str]) -> None:
    """Judge all clips together, once: what is decided stays when the run is interrupted afterwards."""
    keys = [key for key in plan.prompts if key not in failed]
    decisions = decide([stage.sidecar(key)["scores"] for key in keys], plan.config.filter)
    rows = [
        {"episode": key.episode, "variant": key.variant, "accepted": decision.accepted, "reason": decision.reason}
        for key, decision in zip(keys, decisions, strict=True)
    ]
    lost = [
        {"episode": key.episode, "variant": key.variant, "prompt": plan.prompts[key].text, "reason": reason}
        for key, reason in failed.items()
    ]
    stage.write("decisions", {"clips": rows, "failed": lost})


def _report(plan: _Plan, opened: SourceDataset, out: Path, made: int, kept: int, seconds: float) -> AugmentReport:
    from emma.augmentation.page import write_page

    done = Stage(out).read("done")
    page = out / "report" / "index.html"
    if made or not page.is_file():
        with suppress(FileNotFoundError):
            page.unlink()
        write_page(plan.source, out, REJECTED, done["failed"], page.parent, plan.config.moments)
    return AugmentReport(
        clips=len(plan.prompts),
        accepted=done["accepted"],
        rejected=done["rejected"],
        failed=len(done["failed"]),
        made=made,
        kept=kept,
        seconds=seconds,
        cameras=plan.source.cameras,
        dropped_cameras=tuple(camera for camera in opened.cameras if camera not in plan.source.cameras),
        page=page,
    )


def _one_line(error: EmmaError) -> str:
    return error.problem if error.found is None else f"{error.problem}: {error.found}"


def _target_features(source: SourceDataset, video: bool) -> dict[str, dict]:
    """Features of the augmented dataset: the source's, colour as asked."""
    features = source.features
    for camera in source.cameras:
        height, width = source.size(camera)
        image: dict[str, Any] = {
            "dtype": "image",
            "shape": (height, width, 3),
            "names": ["height", "width", "channels"],
        }
        if video:
            image |= {"dtype": "video", "info": video_info(height, width, source.fps)}
        features[IMAGES + camera] = image
    return features
