import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emma.bags.episode import EpisodeMeta
from emma.datasets.index import PROVENANCE_PATH
from emma.datasets.marks import intervention_frames
from emma.datasets.writer import DatasetWriter
from emma.errors import EmmaError
from emma.recording.recorder import EpisodeRecorder
from emma.robots.spec import RobotSpec


@pytest.fixture
def dataset(tmp_path: Path, spec: RobotSpec, make_frames: Callable) -> Path:
    """Three episodes of 4, 5 and 6 frames; in the second one a person helped twice."""
    with DatasetWriter(tmp_path / "data", spec, depth=False) as writer:
        for length, ranges in ((4, []), (5, [[0, 1], [3, 5]]), (6, None)):
            entry = {} if ranges is None else {"interventions": ranges}
            writer.add_episode(make_frames(spec, length), "go", entry)
    return tmp_path / "data"


def test_frames_of_interventions_are_found_in_the_whole_dataset(dataset: Path) -> None:
    assert np.flatnonzero(intervention_frames(dataset)).tolist() == [4, 7, 8]
    assert len(intervention_frames(dataset)) == 15


def test_a_dataset_without_provenance_has_none(dataset: Path) -> None:
    (dataset / PROVENANCE_PATH).unlink()
    assert not intervention_frames(dataset).any()


@pytest.mark.parametrize("wrong", [[[2, 9]], [[-1, 2]], [[3, 3]]])
def test_ranges_outside_an_episode_are_refused(dataset: Path, wrong: list) -> None:
    lines = (dataset / PROVENANCE_PATH).read_text().splitlines()
    lines[0] = json.dumps({**json.loads(lines[0]), "interventions": wrong})
    (dataset / PROVENANCE_PATH).write_text("\n".join(lines))
    with pytest.raises(EmmaError, match="does not fit"):
        intervention_frames(dataset)


def test_no_dataset_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(EmmaError, match="not a LeRobotDataset"):
        intervention_frames(tmp_path)


def test_an_intervention_makes_an_episode_of_a_policy_one_of_intervention(tmp_path: Path) -> None:
    recorder = EpisodeRecorder(tmp_path)
    for kind, becomes in (("policy", "intervention"), ("teleop", "teleop")):
        recorder.start(EpisodeMeta.new("tiny_arm", kind=kind), {"/a": "std_msgs/msg/String"})
        recorder.mark_intervention(False, 1)
        assert recorder.meta is not None
        assert recorder.meta.kind == kind
        recorder.mark_intervention(True, 2)
        saved = recorder.save()
        assert saved.kind == becomes
        assert [mark.label for mark in saved.marks] == ["policy", "intervention"]
