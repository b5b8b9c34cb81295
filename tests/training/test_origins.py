"""Clips find the episode they were made from, and nothing else."""

import json
import shutil

import numpy as np

from emma.datasets.index import PROVENANCE_PATH
from emma.training.frames import FrameTable, open_source
from emma.training.origins import origins


def table_of(*sources):
    return FrameTable([open_source(source) for source in sources], ("top",))


def test_a_clip_names_its_source_and_has_its_actions(dataset, generated):
    np.testing.assert_array_equal(origins(table_of(dataset, f"generated:{generated}")), [-1, -1, 0, 1, 0, 1])
    np.testing.assert_array_equal(origins(table_of(f"generated:{generated}")), [-1] * 4)


def test_another_motion_or_dataset_is_no_origin(dataset, generated, tmp_path):
    other = shutil.copytree(generated, tmp_path / "other")
    file = other / PROVENANCE_PATH
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["from"]["episode"] = 1
    lines[1]["from"]["dataset"] = "elsewhere"
    lines[2]["from"]["episode"] = 7
    del lines[3]["from"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.testing.assert_array_equal(origins(table_of(dataset, f"generated:{other}")), [-1] * 6)
