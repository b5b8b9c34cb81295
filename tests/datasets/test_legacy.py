"""Datasets of version 2 are read as their conversion, which is made once; the original stays as it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from old_dataset import write_old_dataset

from emma.datasets.legacy import current_version
from emma.datasets.metadata import DatasetMetadata
from emma.datasets.validate import validate
from emma.errors import EmmaError
from emma.files import sha256_tree
from emma.training.frames import FrameTable, open_source


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMMA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(("version", "video"), [("v2.1", True), ("v2.0", False)])
def test_an_old_dataset_trains_as_the_new_one(tmp_path: Path, version: str, video: bool) -> None:
    old = write_old_dataset(tmp_path / "old", version, [6, 4], video=video)
    before = sha256_tree(old)
    source = open_source(old)
    table, wanted = (FrameTable([open_source(path)], ("top", "wrist")) for path in (old, tmp_path / "old-new"))
    np.testing.assert_array_equal(table.states, wanted.states)
    assert table.tasks == wanted.tasks
    for camera in ("top", "wrist"):
        np.testing.assert_array_equal(table.pixels(camera, np.arange(10)), wanted.pixels(camera, np.arange(10)))
    stats = DatasetMetadata.open(tmp_path / "old-new").stats
    for key in ("action", "observation.images.top"):
        np.testing.assert_allclose(source.stats[key]["mean"], stats[key]["mean"], rtol=1e-4)
    assert sha256_tree(old) == before
    made = (current_version(old) / "meta/info.json").stat().st_mtime_ns
    assert (current_version(old) / "meta/info.json").stat().st_mtime_ns == made
    assert [f for f in validate(old) if f.level == "error"] == []


def test_what_cannot_be_converted_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    old = write_old_dataset(tmp_path / "old", "v2.1", [3])
    (old / "meta/episodes_stats.jsonl").unlink()
    with pytest.raises(EmmaError, match=r"cannot convert the dataset .* from v2\.1"):
        open_source(old)
    assert list((cache / "datasets").iterdir()) == []
    assert "cannot be converted" in str(validate(old)[0])
    info = old / "meta/info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"codebase_version": "v1.6"}))
    with pytest.raises(EmmaError, match="another version"):
        open_source(old)
