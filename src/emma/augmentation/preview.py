"""A look before a long run: a few frames of one episode under several prompts, on one sheet. Writes no dataset."""

from pathlib import Path

from emma.augmentation.clips import ClipMaker, Tools
from emma.augmentation.config import AugmentConfig, PromptSource
from emma.augmentation.page import source_title, write_preview
from emma.augmentation.requirements import require_depth
from emma.augmentation.sheets import moments, strip
from emma.datasets.source import SourceDataset
from emma.datasets.writer import reading


def preview(
    source: Path | str,
    folder: Path,
    tools: Tools,
    prompts: PromptSource,
    config: AugmentConfig,
    *,
    variants: int,
    frames: int = 16,
) -> Path:
    """Draw `frames` frames from the middle of the first chosen episode, `variants` times; returns the page's path."""
    opened = SourceDataset.open(source)
    episode = config.chosen_episodes(opened)[0]
    wanted = prompts(variants, config.seed)
    with reading(opened.root):
        maker = ClipMaker(tools)
        card = maker.card()
        narrowed = opened.only(config.chosen_cameras(opened, card))
        require_depth(narrowed, tools.depth is not None or not card.needs_depth)
        clip = maker.clip(narrowed.read(episode), narrowed.cameras)
        start = max(0, (len(clip) - frames) // 2)
        clip = clip.part(start, min(len(clip), start + frames))
        at = moments(len(clip), config.moments)
        rows = [("source", source_title(narrowed, episode), strip({v: i[at] for v, i in clip.images.items()}))]
        for variant, prompt in enumerate(wanted):
            made = maker.draw(clip, prompt.text, config.seed + variant)
            rows.append(("generated", prompt.text, strip({view: images[at] for view, images in made.items()})))
    return write_preview(folder, f"{narrowed.root.name}, episode {episode}, {len(clip)} frames", rows)
