"""What can go wrong: each is told with what was found and what to do, and finished clips are kept."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emma.augmentation.clips import Tools
from emma.augmentation.config import AugmentConfig
from emma.augmentation.job import augment
from emma.datasets.spill_arrays import stacked
from emma.datasets.writer import DatasetWriter, reading
from emma.dreamtransfer.clip import Clip
from emma.dreamtransfer.prompts import Grammar
from emma.errors import EmmaError
from emma.files import sha256_tree

ONE = AugmentConfig(variants=2, workers=1)
HERE = Path(__file__).parent

# A process of its own that augments with the generator of conftest.py: source, target, and after how many clips it
# waits for ever. It hears Ctrl+C, also where the tests were started in the background by a script.
PROGRAM = """
import importlib.util, signal, sys, time

signal.signal(signal.SIGINT, signal.default_int_handler)
spec = importlib.util.spec_from_file_location("conftest", sys.argv[1])
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)

from emma.augmentation.clips import Tools
from emma.augmentation.config import AugmentConfig
from emma.augmentation.job import augment
from emma.dreamtransfer.prompts import Grammar
from emma.errors import EmmaError


left = int(sys.argv[4])


class Waiting(conftest.HueShift):
    def generate(self, clip, prompt, *, seed):
        global left
        while left == 0:
            time.sleep(0.05)
        left -= 1
        return super().generate(clip, prompt, seed=seed)


try:
    augment(sys.argv[2], sys.argv[3], Tools(generator=Waiting), Grammar.load("desk").sample,
            AugmentConfig(variants=2, workers=1))
except EmmaError as error:
    sys.exit(str(error))
"""


def run(source: Path, out: Path, clips: int) -> subprocess.Popen:
    arguments = [str(HERE / "conftest.py"), str(source), str(out), str(clips)]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.PIPE, text=True)


def finished(out: Path) -> list[Path]:
    return sorted((out / ".augment/clips").glob("*.json"))


@pytest.mark.slow
def test_killed_and_interrupted_it_goes_on(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    augment(source, tmp_path / "reference", tools, prompts, ONE)
    out = tmp_path / "out"
    for number, end in enumerate((signal.SIGKILL, signal.SIGINT), start=1):
        process = run(source, out, 1)
        while len(finished(out)) < number:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(end)
        process.communicate()
        assert process.returncode != 0
    kept = {path: path.stat().st_mtime_ns for path in finished(out)}
    assert len(kept) == 2
    report = augment(source, out, tools, prompts, ONE)
    assert (report.kept, report.made) == (2, 4)
    for part in ("meta", "data"):
        assert sha256_tree(out / part) == sha256_tree(tmp_path / "reference" / part)
    # Nobody holds the folder any more.
    with reading(out):
        pass


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing more to a file fails as on a full disk, but for the error's number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, source: Path, tools: Tools, prompts: Callable) -> None:
    augment(source, tmp_path / "reference", tools, prompts, ONE)
    out, kept, said = tmp_path / "out", list[int](), list[str]()
    for size in range(500, 60_000, 1500):
        try:
            with largest_file(size):
                augment(source, out, tools, prompts, ONE)
            break
        except EmmaError as error:
            kept.append(len(finished(out)))
            said.append(str(error))
    else:
        augment(source, out, tools, prompts, ONE)
    for words in ("cannot write to", "File too large", "finished clips are kept"):
        assert all(words in text for text in said)
    assert kept == sorted(kept)
    assert {0, 2, 4, 6} <= set(kept)
    for part in ("meta", "data"):
        assert sha256_tree(out / part) == sha256_tree(tmp_path / "reference" / part)


def test_no_room_for_temporary_files_is_told_as_such(
    tmp_path: Path, source: Path, prompts: Callable, hue_shift: type
) -> None:
    class Large(hue_shift):  # type: ignore[valid-type,misc]
        def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
            return {camera: stacked(images, len(images), ordinary=0) for camera, images in clip.images.items()}

    with largest_file(4096), pytest.raises(EmmaError, match=r"no room for what a clip needs(.|\n)*TMPDIR"):
        augment(source, tmp_path / "out", Tools(generator=Large), prompts, ONE)


def test_the_disk_is_checked_up_front(
    tmp_path: Path, source: Path, tools: Tools, prompts: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No file system of a given size can be had without rights; what it says about itself can.
    monkeypatch.setattr("shutil.disk_usage", lambda _: os.terminal_size((0, 0)) and _Usage(free=1_000_000))
    with pytest.raises(EmmaError) as caught:
        augment(source, tmp_path / "out", tools, prompts, ONE)
    assert "not enough room" in str(caught.value)
    assert "0.00 GB free" in str(caught.value)
    assert "0.07 GB for 6 clips" in str(caught.value)


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_no_depth_and_no_model_for_it(tmp_path: Path, make_source: Callable, tools: Tools, prompts: Callable) -> None:
    with pytest.raises(EmmaError, match="no depth for top, wrist") as caught:
        augment(make_source("plain", depth=False), tmp_path / "out", tools, prompts, ONE)
    assert "--depth-model" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_views_of_different_sizes(tmp_path: Path, make_source: Callable, tools: Tools, prompts: Callable) -> None:
    source = make_source("wide", wrist_width=48)
    with pytest.raises(EmmaError, match="different sizes") as caught:
        augment(source, tmp_path / "out", tools, prompts, ONE)
    assert "top 32 x 24, wrist 48 x 24" in str(caught.value)


def test_views_of_different_rates(tmp_path: Path, make_source: Callable, tools: Tools, prompts: Callable) -> None:
    source = make_source("videos", video=True)
    info = source / "meta/info.json"
    text = info.read_text()
    at = text.index('"video.fps": 10', text.index("images.wrist"))
    info.write_text(text[:at] + '"video.fps": 25' + text[at + len('"video.fps": 10') :])
    with pytest.raises(EmmaError, match="different rates") as caught:
        augment(source, tmp_path / "out", tools, prompts, ONE)
    assert "top 10 Hz, wrist 25 Hz" in str(caught.value)
    info.write_text(text.replace('"video.fps": 10', '"video.fps": 25'))
    with pytest.raises(EmmaError, match="another rate than its frames"):
        augment(source, tmp_path / "out", tools, prompts, ONE)


def test_datasets_that_are_being_written(
    tmp_path: Path, source: Path, tools: Tools, prompts: Callable, make_source: Callable
) -> None:
    from emma.datasets.features import dataset_features  # noqa: F401

    info = __import__("json").loads((source / "meta/info.json").read_text())
    features = {
        k: {**f, "shape": tuple(f["shape"])}
        for k, f in info["features"].items()
        if "index" not in k and k != "timestamp"
    }
    with (
        DatasetWriter.of_features(source, features, 10, "tiny_arm"),
        pytest.raises(EmmaError, match="is being written"),
    ):
        augment(source, tmp_path / "out", tools, prompts, ONE)
    (tmp_path / "out").mkdir()
    with reading(tmp_path / "out"), pytest.raises(EmmaError, match="in use by another process"):
        augment(source, tmp_path / "out", tools, prompts, ONE)


def test_numbers_that_are_not_finite(tmp_path: Path, source: Path, prompts: Callable, hue_shift: type) -> None:
    class Broken(hue_shift):  # type: ignore[valid-type,misc]
        """Every clip of eight frames is lost."""

        def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
            made = super().generate(clip, prompt, seed=seed)
            if len(clip) == 8:
                made["wrist"] = made["wrist"].astype(np.float32)
                made["wrist"][3, 0, 0] = np.nan
            return made

    out, tools = tmp_path / "out", Tools(generator=Broken)
    with pytest.raises(EmmaError) as caught:
        augment(source, out, tools, prompts, ONE)
    said = str(caught.value)
    assert "2 clips could not be made, the first is episode 1 variant 0" in said
    assert "NaN or infinity in wrist, first in frame 3" in said
    assert "4 clips are finished and kept" in said
    assert "Traceback" in (out / ".augment/failed/000001-00.txt").read_text()
    report = augment(source, out, tools, prompts, replace(ONE, skip_failed=True))
    assert (report.kept, report.made, report.accepted, report.failed) == (4, 0, 4, 2)
    assert "not finite" in report.page.read_text()


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (lambda made: {"top": made["top"]}, "nothing"),
        (lambda made: {**made, "wrist": made["wrist"][:-1]}, r"uint8 \(6, 24, 32, 3\)"),
        (lambda made: {**made, "wrist": made["wrist"] / 255.0}, r"float64"),
    ],
)
def test_something_else_than_pictures(
    tmp_path: Path, source: Path, prompts: Callable, hue_shift: type, wrong: Callable, found: str
) -> None:
    class Wrong(hue_shift):  # type: ignore[valid-type,misc]
        def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
            return dict(wrong(super().generate(clip, prompt, seed=seed)))

    with pytest.raises(EmmaError, match=f"something else than pictures of wrist(.|\n)*{found}"):
        augment(source, tmp_path / "out", Tools(generator=Wrong), prompts, replace(ONE, skip_failed=True))


def test_a_generator_that_always_fails_is_given_up(
    tmp_path: Path, source: Path, prompts: Callable, hue_shift: type
) -> None:
    calls = []

    class Failing(hue_shift):  # type: ignore[valid-type,misc]
        def generate(self, clip: Clip, prompt: str, *, seed: int) -> dict[str, np.ndarray]:
            calls.append(seed)
            raise RuntimeError("CUDA out of memory")

    with pytest.raises(EmmaError, match="RuntimeError: CUDA out of memory"):
        augment(source, tmp_path / "out", Tools(generator=Failing), prompts, replace(ONE, variants=5))
    assert len(calls) == 3


def test_a_folder_of_another_pipeline(tmp_path: Path, source: Path, prompts: Callable) -> None:
    from functools import partial

    from emma.dreamtransfer.pipeline import DreamTransfer

    (tmp_path / "other").mkdir()
    (tmp_path / "other/model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    for folder, message in (("other", "no DreamTransfer generator"), ("source", "no generator")):
        tools = Tools(generator=partial(DreamTransfer.load, tmp_path / folder))
        with pytest.raises(EmmaError, match=message):
            augment(source, tmp_path / "out", tools, prompts, ONE)
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_together(
    tmp_path: Path, source: Path, tools: Tools, prompts: Callable, hue_shift: type
) -> None:
    out = tmp_path / "out"
    with pytest.raises(EmmaError, match="overlap"):
        augment(source, source / "out", tools, prompts, ONE)
    with pytest.raises(EmmaError, match="not a LeRobotDataset"):
        augment(tmp_path / "nothing", out, tools, prompts, ONE)
    with pytest.raises(EmmaError, match="0 to 2"):
        augment(source, out, tools, prompts, replace(ONE, episodes=(3,)))
    with pytest.raises(EmmaError, match="lacks cameras"):
        augment(source, out, Tools(generator=lambda: hue_shift(views=("top", "left"))), prompts, ONE)
    with pytest.raises(EmmaError, match="makes other cameras"):
        augment(source, out, tools, prompts, replace(ONE, cameras=("top",)))
    with pytest.raises(EmmaError, match="does not make every camera"):
        augment(source, out, tools, prompts, replace(ONE, drop_cameras=False))
    with pytest.raises(EmmaError, match="nothing to augment"):
        AugmentConfig(variants=0)
    assert not out.exists()


def test_another_job_in_the_same_folder(
    tmp_path: Path, source: Path, tools: Tools, prompts: Callable, make_source: Callable
) -> None:
    out = tmp_path / "out"
    augment(source, out, tools, prompts, ONE)
    for config, what in ((replace(ONE, variants=3), "variants 2"), (replace(ONE, seed=5), "seed 0")):
        with pytest.raises(EmmaError, match=f"another augmentation(.|\n)*{what}"):
            augment(source, out, tools, prompts, config)
    with pytest.raises(EmmaError, match="no augmentation made"):
        augment(source, make_source("foreign"), tools, prompts, ONE)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(EmmaError, match="not empty"):
        augment(source, tmp_path / "mine", tools, prompts, ONE)


def test_a_prompt_that_names_nothing(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from emma.cli import main

    command = ["augment", str(source), "--prompts", "desk", "--prompt", "a dinosaur", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "names nothing in the grammar desk" in capsys.readouterr().err
    assert main(["augment", str(source), "--prompts", "desk"]) == 2
    assert "no --out" in capsys.readouterr().err
    assert Grammar.load("desk").count > 10**8
