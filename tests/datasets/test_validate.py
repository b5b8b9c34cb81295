"""A good dataset has no findings; every way to break one has its own."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from emma.datasets.validate import validate
from emma.datasets.writer import DatasetWriter
from emma.errors import EmmaError
from emma.robots.spec import RobotSpec

Make = Callable
DATA = "data/chunk-000/file-000.parquet"


@pytest.fixture
def dataset(tmp_path: Path, spec: RobotSpec, make_frames: Make) -> Path:
    with DatasetWriter(tmp_path / "data", spec) as writer:
        writer.add_episode(make_frames(spec, 6, 1), "one", {"source": "test"})
        writer.add_episode(make_frames(spec, 5, 2), "two", {"source": "test"})
    return tmp_path / "data"


def messages(root: Path, **options: bool) -> str:
    return "\n".join(str(finding) for finding in validate(root, **options))


def change_column(root: Path, name: str, change: Callable[[list], list]) -> None:
    table = pq.read_table(root / DATA)
    column = table[name]
    values = pa.array(change(column.to_pylist()), column.type)
    pq.write_table(table.set_column(table.column_names.index(name), table.schema.field(name), values), root / DATA)


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_our_datasets_have_no_findings(dataset: Path) -> None:
    assert validate(dataset, every_image=True) == []


def test_lerobots_own_datasets_have_no_findings(tmp_path: Path, make_frames: Make, make_spec: Make) -> None:
    spec = make_spec(cameras=("top",))
    features = {
        "observation.state": {"dtype": "float32", "shape": (3,), "names": list(spec.joint_names)},
        "action": {"dtype": "float32", "shape": (3,), "names": list(spec.joint_names)},
        "observation.images.top": {"dtype": "video", "shape": (64, 96, 3), "names": ["height", "width", "channels"]},
        "observation.images.side": {"dtype": "image", "shape": (3, 24, 32), "names": ["channels", "height", "width"]},
    }
    made = LeRobotDataset.create("local/theirs", fps=10, features=features, root=tmp_path / "theirs", use_videos=True)
    rng = np.random.default_rng(0)
    for _ in range(2):
        for observation, action in make_frames(spec, 8):
            made.add_frame(
                {
                    "observation.state": observation.state,
                    "action": action,
                    "observation.images.top": rng.integers(0, 256, (64, 96, 3), np.uint8),
                    "observation.images.side": rng.integers(0, 256, (3, 24, 32), np.uint8),
                    "task": "a task",
                }
            )
        made.save_episode()
    made.finalize()
    assert messages(tmp_path / "theirs", every_image=True) == ""
    [video] = (tmp_path / "theirs/videos").rglob("*.mp4")
    video.write_bytes(video.read_bytes()[:300])
    assert "cannot be opened" in messages(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("column", "change", "expected"),
    [
        ("timestamp", lambda v: [*v[:3], v[3] + 0.02, *v[4:]], "episode 0: timestamp of frame 3 is 0.32"),
        ("timestamp", lambda v: [*v[:-1], float("nan")], "timestamp of frame 5 is nan"),
        ("frame_index", lambda v: v[::-1], "frame_index is 5 in row 0, expected 0"),
        ("index", lambda v: [i + 1 for i in v], "index is 1 in row 0"),
        ("task_index", lambda v: [7] * len(v), "task_index [7] is not in the list"),
        ("episode_index", lambda v: [0, 0, 0, 0, 0, 3], "5 rows in data/chunk-000/file-000.parquet, expected 6"),
        (
            "action",
            lambda v: [*v[:2], [float("nan")] * 3, *v[3:]],
            "action: 3 values are not finite, the first in frame 2",
        ),
        ("observation.state", lambda v: [*v[:-1], None], "1 rows without a value"),
        (
            "observation.images.top",
            lambda v: [{"bytes": b"x", "path": None}, *v[1:]],
            "observation.images.top: image of frame 0 cannot be decoded",
        ),
        ("observation.images.top", lambda v: [*v[:-1], None], "1 images are missing, the first in frame 5"),
    ],
)
def test_broken_data_is_told_with_its_place(dataset: Path, column: str, change: Callable, expected: str) -> None:
    change_column(dataset, column, change)
    assert expected in messages(dataset)


def test_images_in_between_are_decoded_on_request(dataset: Path) -> None:
    change_column(dataset, "observation.depth.top", lambda v: [*v[:2], {"bytes": b"x", "path": None}, *v[3:]])
    assert messages(dataset) == ""
    assert "image of frame 2 cannot be decoded" in messages(dataset, every_image=True)


def test_images_of_the_wrong_kind(dataset: Path) -> None:
    table = pq.read_table(dataset / DATA)
    change_column(dataset, "observation.depth.top", lambda _: table["observation.images.top"].to_pylist())
    assert "depth of frame 0 is uint8" in messages(dataset)


def test_frozen_and_dark_cameras_are_warnings(tmp_path: Path, spec: RobotSpec, make_frames: Make) -> None:
    frames = list(make_frames(spec, 20))
    for observation, _ in frames:
        observation.images["top"][:] = 0
    with DatasetWriter(tmp_path / "data", spec) as writer:
        writer.add_episode(frames, "a task")
    findings = validate(tmp_path / "data")
    assert {finding.level for finding in findings} == {"warning"}
    text = "\n".join(map(str, findings))
    assert "frozen: almost all of its 20 images are the same" in text
    assert "has one colour only (0)" in text
    assert "observation.images.top never changes" in text


def test_files_that_are_missing_or_too_many(dataset: Path) -> None:
    (dataset / DATA).rename(dataset / "data/chunk-000/file-007.parquet")
    text = messages(dataset)
    assert "episode 0: data/chunk-000/file-000.parquet cannot be read" in text
    assert "data/chunk-000/file-007.parquet: belongs to no episode" in text


def test_counts_that_disagree(dataset: Path) -> None:
    edit_json(dataset / "meta/info.json", total_episodes=3, total_frames=99, total_tasks=5)
    text = messages(dataset)
    assert "2 episodes, meta/info.json says 3" in text
    assert "11 frames, meta/info.json says 99" in text
    assert "2 tasks, meta/info.json says 5" in text
    assert "2 entries for 3 episodes" in text


def test_features_that_disagree_with_the_data(dataset: Path) -> None:
    info = json.loads((dataset / "meta/info.json").read_text())
    info["features"]["action"]["shape"] = [4]
    info["features"]["observation.images.top"]["shape"] = [48, 32, 3]
    info["features"]["observation.force"] = {"dtype": "float32", "shape": [2], "names": None}
    (dataset / "meta/info.json").write_text(json.dumps(info))
    text = messages(dataset)
    assert "shape (3,), the feature says (4,)" in text
    assert "image of frame 0 is (24, 32), the feature says (48, 32)" in text
    assert "lacks the column observation.force" in text
    assert "nothing about observation.force" in text


def test_statistics_that_cannot_be(dataset: Path) -> None:
    stats = json.loads((dataset / "meta/stats.json").read_text())
    stats["action"]["mean"] = [9.0, 0.0, 0.0]
    stats["index"]["count"] = [99]
    stats["observation.state"]["std"] = [1.0, float("nan"), 1.0]
    (dataset / "meta/stats.json").write_text(json.dumps(stats))
    text = messages(dataset)
    assert "action: mean outside of min..max" in text
    assert "made of 99 frames, the dataset has 11" in text
    assert "observation.state: std not finite" in text
    (dataset / "meta/stats.json").unlink()
    assert "meta/stats.json: is missing" in messages(dataset)


def test_episode_tables_that_cannot_be(dataset: Path) -> None:
    path = dataset / "meta/episodes/chunk-000/file-000.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[1]["dataset_from_index"] += 1
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert "episode 1 covers 7..11, expected 6..11" in messages(dataset)


def test_tasks_that_cannot_be(dataset: Path) -> None:
    path = dataset / "meta/tasks.parquet"
    pd.DataFrame({"task_index": [0, 4]}, index=pd.Index(["one", " "], name="task")).to_parquet(path)
    text = messages(dataset)
    assert "task_index is [0, 4], expected 0..1" in text
    assert "task 4 has no words" in text
    path.unlink()
    assert "meta/tasks.parquet: is missing" in messages(dataset)


def test_other_versions_and_no_dataset(dataset: Path, tmp_path: Path) -> None:
    edit_json(dataset / "meta/info.json", codebase_version="v2.1")
    assert "dataset version v2.1" in messages(dataset)
    (dataset / "meta/info.json").write_text("{")
    assert "cannot be read" in messages(dataset)
    with pytest.raises(EmmaError, match="is not a LeRobotDataset"):
        validate(tmp_path / "nowhere")
