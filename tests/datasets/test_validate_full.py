"""What shows only when all is opened and decoded: short, zeroed and changed files, statistics of other frames."""

import json
from pathlib import Path

import pytest
from dataset_of_numbers import write_dataset

from emma.bench.loading_data import recode
from emma.datasets.validate import validate

VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"


@pytest.fixture
def filmed(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", [8, 5], video=True)


def errors(root: Path, *, full: bool = False) -> str:
    return "\n".join(str(finding) for finding in validate(root, full=full) if finding.level == "error")


def test_a_whole_dataset_has_no_errors(filmed: Path) -> None:
    assert errors(filmed, full=True) == ""


def test_a_video_whose_data_is_zeros_is_found_when_it_is_decoded(filmed: Path) -> None:
    file = filmed / VIDEO
    recode(file, "libx264", {"g": "4"})
    data = bytearray(file.read_bytes())
    start = data.index(b"mdat") + 2000
    data[start : start + 8000] = bytes(8000)
    file.write_bytes(data)
    (filmed / "meta/checksums.json").unlink()
    assert "episode 0, observation.images.top" in errors(filmed, full=True)


def test_one_changed_byte_is_found_by_its_checksum(filmed: Path) -> None:
    for name in (VIDEO, "meta/tasks.parquet"):
        file = filmed / name
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        assert f"{name}: is not as it was written" in errors(filmed, full=True)


def test_statistics_of_other_frames(filmed: Path) -> None:
    file = filmed / "meta/stats.json"
    stats = json.loads(file.read_text())
    stats["action"]["max"][0] += 0.5
    file.write_text(json.dumps(stats))
    assert "action: max of dimension 0 is" in errors(filmed)
