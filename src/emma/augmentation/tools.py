"""The tools of a job as people ask for them: generator, scores, depth, masks. Each is built in the worker."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from emma.augmentation.clips import Tools
from emma.augmentation.config import ToolOptions
from emma.augmentation.masks import FileMasks, RobotMasks, StoredMasks, require_masks
from emma.datasets.source import SourceDataset
from emma.device import choose_device
from emma.dreamtransfer.camera_poses import poses_or_none
from emma.dreamtransfer.depth import DepthEstimate
from emma.dreamtransfer.filter import Scorer
from emma.dreamtransfer.generator import Generator
from emma.resources import data_dir


def tools_for(dataset: Path | str, options: ToolOptions) -> Tools:
    """Raises EmmaError for a folder that is no dataset, and for masks that it does not have."""
    source = SourceDataset.open(dataset)
    if options.keep_robot is not None:
        require_masks(source, Path(options.keep_robot) if options.keep_robot else None)
    print(f"device: {choose_device(options.device)}", flush=True)
    generator = options.generator or str(data_dir("models") / "dreamtransfer_desk")
    return Tools(
        generator=partial(_generator, generator, options.lora, options.settings, options.device),
        scorer=partial(_scorer, options.depth_model, options.text_model, options.device) if options.scores else None,
        depth=partial(_depth, options.depth_model, options.device) if options.depth_model else None,
        poses=partial(poses_or_none, source.robot),
        masks=partial(_masks, options.keep_robot) if options.keep_robot is not None else None,
    )


# These run in the workers, which alone load torch and the models.
def _generator(folder: str, lora: str | None, settings: Mapping[str, Any], device: str) -> Generator:
    from emma.dreamtransfer.pipeline import DreamTransfer

    generator = DreamTransfer.load(folder, lora=lora, device=device)
    generator.settings = generator.settings.changed(settings)
    return generator


def _masks(folder: str) -> RobotMasks:
    return FileMasks(Path(folder)) if folder else StoredMasks()


def _scorer(depth_model: str | None, text_model: str | None, device: str) -> Scorer:
    from emma.dreamtransfer.metrics.models import TransformersDepth, TransformersText
    from emma.dreamtransfer.scorer import ClipScorer

    name = choose_device(device).name
    return ClipScorer(
        depth_model=TransformersDepth(depth_model, name) if depth_model else None,
        text_model=TransformersText(text_model, name) if text_model else None,
    )


def _depth(name: str, device: str) -> DepthEstimate:
    from emma.dreamtransfer.depth import EstimatedDepth

    return EstimatedDepth.by_name(name, choose_device(device).name)
