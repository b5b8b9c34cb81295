"""A small generator from scratch: clips, autoencoder, text encoder, transformer on frames, transformer on clips.

Every stage resumes where it was stopped; the folder of the finished generator appears at the end.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, WanVACETransformer3DModel
from transformers import UMT5EncoderModel

from emma.dreamtransfer.corpus import Corpus, pack
from emma.dreamtransfer.geometry import CameraPoses
from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.prompts import Grammar
from emma.dreamtransfer.settings import Settings
from emma.dreamtransfer.training.autoencoder import AutoencoderLoss, new_autoencoder
from emma.dreamtransfer.training.latents import Latents, encode_corpus
from emma.dreamtransfer.training.stage import StageConfig, run_stage
from emma.dreamtransfer.training.text import SlotLoss, embed, new_text_encoder, new_tokenizer, vocabulary
from emma.dreamtransfer.training.transformer import TransformerConfig, TransformerLoss, new_transformer
from emma.errors import EmmaError

WORK = "training"
AUTOENCODER = StageConfig(steps=1800, batch_size=16, learning_rate=2e-3, warmup=50, average=0.995)
TEXT = StageConfig(steps=600, batch_size=64, warmup=50, average=0.99)
ON_FRAMES = StageConfig(steps=2000, batch_size=32, learning_rate=1.5e-3, average=0.998)
ON_CLIPS = StageConfig(steps=150, batch_size=8, learning_rate=6e-4, average=0.998)

# (stage, done, total, note)
Progress = Callable[[str, int, int, str], None]
# (stage, steps) to what takes (step, loss)
Watch = Callable[[str, int], Callable[[int, float], None]]


@dataclass(frozen=True, kw_only=True)
class SmallConfig:
    """Everything a small generator is made of. frames: of a clip.

    on_clips: the last stage, which teaches time and known frames, and makes a clip the window that it draws in. Left
    out, the transformer knows single moments and draws them one by one.
    """

    views: tuple[str, ...]
    frames: int = 8
    overlap: int = 2
    layers: int = 6
    heads: int = 6
    seed: int = 0
    threads: int = 2
    steps: int = 2
    autoencoder: StageConfig = AUTOENCODER
    text: StageConfig = TEXT
    on_frames: StageConfig = ON_FRAMES
    on_clips: StageConfig | None = None

    def __post_init__(self) -> None:
        if not self.views or self.frames < 1 or not 0 <= self.overlap < self.frames or min(self.layers, self.heads) < 1:
            raise EmmaError(
                "a generator that cannot be trained",
                found=str(self),
                expected="a view, frames from 1, overlap below frames, layers and heads from 1",
            )


def train_small(
    data: Sequence[Path],
    out: Path,
    grammar: Grammar,
    poses: CameraPoses,
    config: SmallConfig,
    progress: Progress = lambda *_: None,
    init: DreamTransfer | None = None,
) -> DreamTransfer:
    """Train on LeRobotDatasets with captions and depth, and write the generator to `out`.

    init: a finished small generator to go on from; its autoencoder and text encoder stay as they are.

    Raises EmmaError for data without captions, depth or clips of that length.
    """
    if init is not None:
        _fits(init, config)
    torch.set_num_threads(config.threads)
    work = out / WORK
    corpus = pack(
        data,
        work / "corpus",
        views=config.views,
        frames=config.frames,
        workers=config.threads,
        progress=lambda done, total: progress("clips", done, total, ""),
    )

    def watch(stage: str, total: int) -> Callable[[int, float], None]:
        return lambda done, loss: progress(stage, done, total, f"loss {loss:.4f}")

    if init is None:
        vae = _autoencoder(corpus, config, work, watch)
        tokenizer, encoder = _text_encoder(grammar, config, work, watch)
    else:
        vae, tokenizer, encoder = init.vae, init.tokenizer, init.text_encoder
    # A transformer that is trained already knows its latents by their old mean and spread.
    scale = None if init is None else (init.config.latents_mean, init.config.latents_std)
    latents = encode_corpus(vae, corpus, work, lambda done, total: progress("latents", done, total, ""), scale)
    text = torch.cat([embed(encoder, tokenizer, corpus.captions[i : i + 256]) for i in range(0, len(corpus), 256)])

    torch.manual_seed(config.seed)
    transformer = new_transformer(layers=config.layers, heads=config.heads) if init is None else init.transformer
    for name, stage, frames in (("frames", config.on_frames, 1), ("clips", config.on_clips, config.frames)):
        if stage is None:
            continue
        _on(transformer, corpus, latents, text, poses, stage, frames, work / name, watch(name, stage.steps))
    return write(out, tokenizer, encoder, vae, transformer, latents, config)


def _fits(init: DreamTransfer, config: SmallConfig) -> None:
    if not init.small or init.views != config.views:
        kind = "a small generator" if init.small else "Wan2.1-VACE"
        raise EmmaError(
            f"training cannot go on from {init.name}",
            found=f"{kind} for {', '.join(init.views or ('any view',))}",
            expected=f"a small generator for {', '.join(config.views)}",
            fix="give the same --views, or leave --init out; for Wan2.1-VACE there is --lora",
        )


def _autoencoder(corpus: Corpus, config: SmallConfig, work: Path, watch: Watch) -> AutoencoderDC:
    torch.manual_seed(config.seed)
    vae = new_autoencoder()
    stage = config.autoencoder
    loss = AutoencoderLoss(vae, corpus, stage.batch_size)
    run_stage(vae, loss, stage, work / "autoencoder", watch("autoencoder", stage.steps))
    return vae


def _text_encoder(grammar: Grammar, config: SmallConfig, work: Path, watch: Watch) -> tuple[Any, UMT5EncoderModel]:
    torch.manual_seed(config.seed)
    tokenizer = new_tokenizer(vocabulary(grammar))
    encoder = new_text_encoder(tokenizer)
    naming = SlotLoss(encoder, tokenizer, grammar, config.text.batch_size)
    run_stage(naming, naming.loss, config.text, work / "text", watch("text", config.text.steps))
    return tokenizer, encoder


def _on(
    transformer: WanVACETransformer3DModel,
    corpus: Corpus,
    latents: Latents,
    text: torch.Tensor,
    poses: CameraPoses,
    stage: StageConfig,
    frames: int,
    folder: Path,
    watch: Callable[[int, float], None],
) -> None:
    loss = TransformerLoss(
        transformer, corpus, latents.values, text, poses, stage.batch_size, TransformerConfig(frames=frames)
    )
    run_stage(transformer, loss, stage, folder, watch)


def write(
    out: Path,
    tokenizer: Any,
    encoder: Any,
    vae: AutoencoderDC,
    transformer: WanVACETransformer3DModel,
    latents: Latents,
    config: SmallConfig,
) -> DreamTransfer:
    """The pipeline folder, written aside and put in place of an older one; weights in half precision."""
    # What never saw a clip draws moment by moment; fusion then joins them.
    window, overlap = (config.frames, config.overlap) if config.on_clips else (1, 0)
    settings = Settings(steps=config.steps, window=window, overlap=overlap, same_noise=1.0, fuse=True)
    pipeline = DreamTransfer(
        tokenizer=tokenizer,
        text_encoder=encoder.half(),
        vae=vae.half(),
        transformer=transformer.half(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        views=config.views,
        latents_mean=list(latents.mean),
        latents_std=list(latents.std),
        settings=asdict(settings),
    )
    aside = out / ".new"
    shutil.rmtree(aside, ignore_errors=True)
    pipeline.save_pretrained(aside)
    for file in aside.glob("*/config.json"):
        # Where its weights once came from is a path of this machine.
        values = json.loads(file.read_text())
        values.pop("_name_or_path", None)
        file.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    for part in aside.iterdir():
        target = out / part.name
        if target.is_dir():
            shutil.rmtree(target)
        part.replace(target)
    aside.rmdir()
    return DreamTransfer.load(out, device="cpu")
