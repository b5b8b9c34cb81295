"""Rows in mapped files are the rows; what a whole augmentation holds does not grow with the episode."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emma.augmentation import mapped
from emma.augmentation.source import SourceDataset

HERE = Path(__file__).parent


def test_rows_of_an_episode_are_the_same_from_memory_and_from_a_file(source: Path) -> None:
    dataset = SourceDataset.open(source)
    columns = ["observation.images.top", "action", "frame_index", "episode_index"]
    for index in range(3):
        whole = pq.read_table(dataset.file(index), columns=columns, filters=[("episode_index", "=", index)])
        for ordinary in (1 << 30, 0):
            rows = mapped.episode_rows(dataset.file(index), columns, index, ordinary)
            assert rows.equals(whole.replace_schema_metadata(None))
            assert len(rows) == dataset.length(index)


def test_a_file_of_parts_holds_them_in_order_and_groups_them_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def parts() -> Iterator[pa.Table]:
        for i in range(5):
            yield pa.table({"n": np.arange(10 * i, 10 * i + 10), "x": np.ones(10)})

    monkeypatch.setattr(mapped, "ROW_GROUP_BYTES", 300)
    one, other = (mapped.parquet_bytes(parts(), {}, ordinary) for ordinary in (1 << 30, 0))
    assert isinstance(one, bytes)
    assert isinstance(other, np.memmap)
    assert one == other.tobytes()
    file = pq.ParquetFile(pa.BufferReader(one))
    assert file.read()["n"].to_pylist() == list(range(50))
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [20, 20, 10]


PROGRAM = """
import importlib.util, sys, threading, time
from pathlib import Path
from emma.augmentation import clips, job, mapped
from emma.augmentation.config import AugmentConfig
from emma.dreamtransfer import scratch
from emma.dreamtransfer.scorer import ClipScorer
from emma.dreamtransfer.prompts import Grammar

spec = importlib.util.spec_from_file_location("helpers", sys.argv[1])
helpers = importlib.util.module_from_spec(spec)
sys.modules["helpers"] = helpers
spec.loader.exec_module(helpers)
helpers.FRAMES, helpers.HEIGHT, helpers.WIDTH = int(sys.argv[3]), 240, 320
root = Path(sys.argv[2])
helpers.write(root / "data", helpers.tiny_spec(wrist_width=320), 1)

class Mapped(helpers.HueShift):
    def generate(self, clip, prompt, *, seed):
        def turned(images):
            return scratch.stacked((helpers.turned(image, 40) for image in images), len(images))
        return {camera: turned(images) for camera, images in clip.images.items()}

for function in (scratch.empty, scratch.stacked, mapped.episode_rows, mapped.parquet_bytes):
    function.__defaults__ = (1 << 20,)
tools = clips.Tools(generator=Mapped, scorer=lambda: ClipScorer(at_once=10 * 2 * 240 * 320))
prompts = Grammar.load("desk").sample
# Once for whatever is only loaded, then measured.
job.augment(root / "data", root / "warm", tools, prompts, AugmentConfig(variants=1, workers=1, episodes=(0,)))

def held():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["RssAnon"].split()[0]) / 1024

peak, over = [held()], threading.Event()
before = peak[0]
def watch():
    while not over.wait(0.02):
        peak.append(held())
watcher = threading.Thread(target=watch)
watcher.start()
job.augment(root / "data", root / "out", tools, prompts, AugmentConfig(variants=1, workers=1))
over.set()
watcher.join()
print(max(peak) - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_episode(tmp_path: Path) -> None:
    extra = {}
    for frames in (40, 200):
        (tmp_path / str(frames)).mkdir()
        words = [str(HERE / "conftest.py"), str(tmp_path / str(frames)), str(frames)]
        done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        extra[frames] = float(done.stdout.split()[-1])
    # 160 frames more of two views are 160 MB as pictures, depth and copies, and over a gigabyte as points.
    assert extra[200] - extra[40] < 60, extra
