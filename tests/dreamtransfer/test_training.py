"""`emma dream train` on a handful of clips: every stage runs, resumes to the same weights, and what it writes draws."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emma.cli import main
from emma.datasets.writer import DatasetWriter
from emma.dreamtransfer.camera_poses import calibrated_poses
from emma.dreamtransfer.control import CHANNELS, describe
from emma.dreamtransfer.corpus import pack
from emma.dreamtransfer.dataset import DatasetClips
from emma.dreamtransfer.pipeline import DreamTransfer
from emma.dreamtransfer.prompts import Grammar
from emma.dreamtransfer.settings import Settings
from emma.dreamtransfer.training.lora import LoraConfig, train_lora
from emma.dreamtransfer.training.small import WORK, SmallConfig, train_small
from emma.dreamtransfer.training.stage import CHECKPOINT, StageConfig, run_stage
from emma.dreamtransfer.training.text import SlotLoss, new_text_encoder, new_tokenizer, vocabulary
from emma.errors import EmmaError
from emma.robots.spec import load_robot
from emma.sim.arm import DeskArm
from emma.sim.demonstrations import domain_of
from emma.sim.wander import wander

VIEWS = ("top", "wrist")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six wandering clips of five frames, as `emma collect --motion wander` writes them."""
    out = tmp_path_factory.mktemp("data") / "clips"
    spec = load_robot("desk_arm")
    with DatasetWriter(out, spec, cameras=VIEWS) as writer, DeskArm(spec, cameras=VIEWS) as sim:
        for seed in range(6):
            sim.set_domain(domain_of("random", seed))
            clip = wander(sim, seed, frames=5, fps=spec.fps)
            rows = zip(clip.observations, clip.action, strict=True)
            writer.add_episode(rows, clip.instruction, {"motion": "wander", "caption": clip.domain.caption})
    return out


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def short(steps: int, batch: int) -> StageConfig:
    return StageConfig(steps=steps, batch_size=batch, warmup=1, log_every=1, save_every=1)


def test_clips_are_the_same_for_the_same_seed_and_leave_the_task_as_it_was(clips: Path) -> None:
    dataset = DatasetClips.open(clips)
    assert len({dataset.caption(i) for i in range(6)}) == 6
    spec = load_robot("desk_arm")
    with DeskArm(spec, cameras=VIEWS) as sim:
        sim.reset(3, "bin")
        before = sim.render("top").copy()
        for seed in (5, 0):
            sim.set_domain(domain_of("random", seed))
            again = wander(sim, seed, frames=5, fps=spec.fps)
        for view in VIEWS:
            np.testing.assert_array_equal(again.images[view], dataset[0].clip.images[view])
        assert (again.images["wrist"][0] != again.images["wrist"][-1]).any(), "it moves"
        sim.set_domain("source")
        sim.reset(3, "bin")
        np.testing.assert_array_equal(sim.render("top"), before)


def test_control_is_geometry_alike_in_both_views(clips: Path) -> None:
    poses = calibrated_poses(load_robot("desk_arm"))
    clip = DatasetClips.open(clips, views=VIEWS, poses=poses)[0].clip
    control, things = describe(clip)
    assert control.shape == (CHANNELS, 5, 24, 48)
    assert things.shape == (5, 24, 48)
    assert 0.0 < things.mean() < 0.5
    assert np.abs(control).max() <= 1.0 + 1e-6
    blind = DatasetClips.open(clips, views=VIEWS)[0].clip
    without = describe(blind)[0]
    np.testing.assert_array_equal(without[:16], control[:16])  # depth needs no calibration
    assert not without[35:].any(), "places on the table do"


def test_all_stages_run_and_a_killed_training_ends_at_the_same_weights(clips: Path, tmp_path: Path) -> None:
    config = SmallConfig(
        views=VIEWS, frames=4, overlap=1, layers=2, heads=2, threads=1, steps=1,
        autoencoder=short(2, 2), text=short(2, 4), on_frames=short(2, 2), on_clips=short(2, 1),
    )  # fmt: skip
    poses, grammar = calibrated_poses(load_robot("desk_arm")), Grammar.load("desk")
    told: list[str] = []
    train_small([clips], tmp_path / "a", grammar, poses, config, lambda stage, *_: told.append(stage))
    assert list(dict.fromkeys(told)) == ["clips", "autoencoder", "text", "latents", "frames"]

    shutil.copytree(tmp_path / "a" / WORK, tmp_path / "b" / WORK)
    shutil.rmtree(tmp_path / "b" / WORK / "clips")
    whole = train_small([clips], tmp_path / "b", grammar, poses, config)
    assert whole.sha256 == DreamTransfer.load(tmp_path / "a").sha256

    clip = DatasetClips.open(clips, views=VIEWS, poses=poses)[0].clip
    made = whole.generate(clip, grammar.sample(1, 0)[0].text, seed=0)
    assert made["wrist"].shape == clip.images["wrist"].shape


def test_a_stage_stopped_half_way_ends_as_one_that_was_not(tmp_path: Path) -> None:
    def run(folder: Path, stops: list[int]) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        grammar = Grammar.load("desk")
        tokenizer = new_tokenizer(vocabulary(grammar, 50))
        loss = SlotLoss(new_text_encoder(tokenizer), tokenizer, grammar, 4)
        config = short(6, 4)

        class Stop(Exception):
            pass

        def watch(step: int, _: float) -> None:
            if step in stops:
                stops.remove(step)
                raise Stop

        try:
            run_stage(loss, loss.loss, config, folder, watch)
        except Stop:
            return run(folder, stops)
        return {name: value.clone() for name, value in loss.state_dict().items()}

    straight, stopped = run(tmp_path / "straight", []), run(tmp_path / "stopped", [2, 5])
    assert all(torch.equal(straight[name], stopped[name]) for name in straight)
    assert (tmp_path / "stopped" / CHECKPOINT).is_file()


def test_the_text_encoder_learns_what_binds_to_what(tmp_path: Path) -> None:
    """A few steps lift the naming well above chance, on combinations it never saw too."""
    torch.manual_seed(0)
    grammar = Grammar.load("desk")
    tokenizer = new_tokenizer(vocabulary(grammar, 50))
    loss = SlotLoss(new_text_encoder(tokenizer), tokenizer, grammar, 32)
    kept = grammar.sample(32, 7, held_out=True)
    before = float(loss(kept)[0].detach())
    run_stage(loss, loss.loss, replace(short(60, 32), learning_rate=3e-3, log_every=60, average=0.5), tmp_path)
    assert float(loss(kept)[0].detach()) < 0.75 * before


def test_a_nan_in_training_is_said(tmp_path: Path) -> None:
    module = torch.nn.Linear(1, 1)
    with pytest.raises(EmmaError, match="loss is not finite at step 0"):
        run_stage(module, lambda *_: (module(torch.full((1, 1), torch.nan)).sum(), {}), short(2, 1), tmp_path)


def test_clips_shorter_than_wanted_are_refused(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="no clips to train on"):
        pack([clips], tmp_path, views=VIEWS, frames=50)


def test_lora_trains_on_a_wan_folder_and_changes_what_it_draws(
    clips: Path, large_generator: Path, tmp_path: Path
) -> None:
    config = LoraConfig(views=VIEWS, rank=2, frames=5, steps=4, learning_rate=0.1)
    train_lora([clips], large_generator, tmp_path / "lora", config)
    settings = Settings(steps=1, window=5, overlap=0)
    clip = DatasetClips.open(clips, views=VIEWS)[0].clip
    plain = DreamTransfer.load(large_generator, settings=settings)
    tuned = DreamTransfer.load(large_generator, settings=settings, lora=tmp_path / "lora")
    assert tuned.sha256 != plain.sha256
    a, b = (g.generate(clip, "a red cube", seed=0)["top"] for g in (plain, tuned))
    assert (a != b).any()


def test_lora_needs_wan(clips: Path, small_generator: Path, tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="is a small generator"):
        train_lora([clips], small_generator, tmp_path, LoraConfig(views=VIEWS, frames=5))


def test_the_verb_says_what_is_wrong(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    shutil.copytree(clips, data)
    lines = (data / "meta" / "provenance.jsonl").read_text().splitlines()
    entries = [{key: value for key, value in json.loads(line).items() if key != "caption"} for line in lines]
    (data / "meta" / "provenance.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert main(["dream", "train", "--data", str(data), "--out", str(tmp_path / "out"), "--frames", "4"]) == 2
    assert "has no caption" in capsys.readouterr().err
    assert main(["dream", "train", "--data", str(clips), "--lora", "--out", str(tmp_path / "out")]) == 2
    assert "LoRA needs a base" in capsys.readouterr().err


@pytest.mark.slow
def test_training_goes_on_from_a_finished_generator(clips: Path, tmp_path: Path) -> None:
    config = SmallConfig(
        views=VIEWS, frames=4, overlap=1, layers=2, heads=2, threads=1, steps=1,
        autoencoder=short(1, 2), text=short(1, 4), on_frames=short(1, 2),
    )  # fmt: skip
    poses, grammar = calibrated_poses(load_robot("desk_arm")), Grammar.load("desk")
    first = train_small([clips], tmp_path / "first", grammar, poses, config)
    told: list[str] = []
    second = train_small(
        [clips], tmp_path / "second", grammar, poses, config, lambda stage, *_: told.append(stage), init=first
    )
    assert list(dict.fromkeys(told)) == ["clips", "latents", "frames"]
    assert second.config.latents_mean == first.config.latents_mean
    for part, kept in (("vae", True), ("text_encoder", True), ("transformer", False)):
        old, new = (getattr(g, part).state_dict() for g in (DreamTransfer.load(tmp_path / "first"), second))
        assert all(torch.equal(old[name], new[name]) for name in old) == kept, part
    written = "".join(file.read_text() for file in (tmp_path / "second").glob("*/config.json"))
    assert str(tmp_path) not in written, "a generator says nothing of the machine that trained it"

    with pytest.raises(EmmaError, match="cannot go on from first"):
        train_small([clips], tmp_path / "third", grammar, poses, replace(config, views=("top",)), init=first)
