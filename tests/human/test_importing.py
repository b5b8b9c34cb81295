"""One trajectory through every format, and what can be wrong with a recording."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from human_recordings import Motion, motion, write_aria, write_bag, write_egodex, write_table, write_video

from emma.cli import main
from emma.datasets.features import ACTION, STATE
from emma.datasets.files import vectors
from emma.datasets.index import read_provenance
from emma.errors import EmmaError
from emma.human.formats import find_recordings, read_recording
from emma.human.importing import VALID, Episode, ImportConfig, import_recordings
from emma.human.tracks import hand_track
from emma.policy.end_effector.poses import to_vector

BOTH = ImportConfig(hands=("left", "right"), size=(32, 20))
WRITERS: dict[str, Callable[[Path, Motion], Path]] = {
    "egodex": lambda folder, moved: write_egodex(folder / "0.hdf5", moved),
    "egodex_old": lambda folder, moved: write_egodex(folder / "0.hdf5", moved, confidence=False),
    "table": lambda folder, moved: write_table(folder / "0.csv", moved),
    "parquet": lambda folder, moved: write_table(folder / "0.parquet", moved),
    "quest": lambda folder, moved: write_table(folder / "0.csv", moved, names="xrhand", unit="mm", unity=True),
    "bag": lambda folder, moved: write_bag(folder / "recording", moved),
    "bag_openxr": lambda folder, moved: write_bag(folder / "recording", moved, openxr=True, camera_frame=True),
    "aria": lambda folder, moved: write_aria(folder / "recording", moved),
}


def columns(dataset: Path, *names: str) -> list[np.ndarray]:
    tables = [pq.read_table(file) for file in sorted((dataset / "data").rglob("*.parquet"))]
    return [np.concatenate([vectors(table[name]) for table in tables]) for name in names]


def read_only(folder: Path):
    [(kind, place)] = find_recordings(folder)
    return read_recording(kind, place)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_actions(tmp_path: Path, name: str) -> None:
    moved = motion()
    expected = Episode(read_only(WRITERS["egodex"](tmp_path / "exact", moved).parent), BOTH)
    place = WRITERS[name](tmp_path / "in", moved)
    [result] = import_recordings(tmp_path / "in", tmp_path / "out", BOTH)
    assert (result.outcome, result.frames) == ("imported", 20), result.reason
    state, action, valid = columns(tmp_path / "out", STATE, ACTION, VALID)
    np.testing.assert_allclose(state, expected.state, atol=1e-6)
    np.testing.assert_allclose(action, expected.action, atol=1e-6)
    assert valid.min() == 1
    entry = read_provenance(tmp_path / "out")[0]
    assert entry["embodiment"] == "human"
    assert entry["coverage"] == {"left": 1.0, "right": 1.0}
    assert place.name in {*entry["files"], "recording"}


def test_a_bag_that_lacks_what_its_map_names(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "recording", motion(5))
    described = (folder / "hands.yaml").read_text()
    (folder / "hands.yaml").write_text(described.replace("/pose", "/elsewhere"))
    with pytest.raises(EmmaError, match="no topic /elsewhere"):
        read_only(tmp_path)
    (folder / "hands.yaml").write_text(described.replace("/right", "/image"))
    with pytest.raises(EmmaError, match="no hand landmarks"):
        read_only(tmp_path)
    (folder / "hands.yaml").write_text(described.replace("body", "sideways"))
    with pytest.raises(EmmaError, match="bad value"):
        read_only(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ({"llm_description": "pour"}, "pour"),
        (
            {
                "llm_description": "open",
                "llm_description2": "close",
                "llm_type": "reversible",
                "which_llm_description": "2",
            },
            "close",
        ),
        ({"description": "fold"}, "fold"),
    ],
)
def test_texts_of_egodex(tmp_path: Path, text: dict[str, str], words: str) -> None:
    write_egodex(tmp_path / "0.hdf5", motion(5), text=text)
    assert read_only(tmp_path).instruction == words


def test_a_short_gap_is_bridged_and_a_long_one_marked(tmp_path: Path) -> None:
    write_aria(tmp_path / "in" / "a", motion(), missing=(9, 10, *range(24, 33)))
    import_recordings(tmp_path / "in", tmp_path / "out", BOTH)
    [valid] = columns(tmp_path / "out", VALID)
    # Two samples of 20 Hz are missing around frame 5 of 10 Hz, nine around frames 12 to 16; actions lead by a frame.
    assert valid[:, 0].tolist() == [1.0] * 11 + [0.0] * 5 + [1.0] * 4


def test_slow_down_stretches_time(tmp_path: Path) -> None:
    write_egodex(tmp_path / "0.hdf5", motion())
    recording = read_only(tmp_path)
    slow, plain = (Episode(recording, replace(BOTH, slow_down=factor)) for factor in (2.0, 1.0))
    np.testing.assert_allclose(slow.state[::2][: len(plain.state)], plain.state, atol=1e-9)


def test_lag_moves_hands_against_the_picture(tmp_path: Path) -> None:
    write_egodex(tmp_path / "0.hdf5", motion())
    recording = read_only(tmp_path)
    late, plain = Episode(recording, replace(BOTH, lag_s=0.1)), Episode(recording, BOTH)
    np.testing.assert_allclose(late.state[:-1], plain.state[1 : len(late.state)], atol=1e-6)


def test_tool_from_hand(tmp_path: Path) -> None:
    write_egodex(tmp_path / "0.hdf5", motion())
    recording = read_only(tmp_path)
    tool = np.eye(4)
    tool[2, 3] = -0.1  # the tool's origin lies 0.1 m along the fingers
    bare, held = hand_track(recording, "right"), hand_track(recording, "right", None, tool)
    moved = held.poses[:, :3, 3] - bare.poses[:, :3, 3]
    np.testing.assert_allclose(moved, 0.1 * bare.poses[:, :3, 2], atol=1e-9)
    np.testing.assert_allclose(to_vector(held.poses)[:, 3:], to_vector(bare.poses)[:, 3:], atol=1e-12)


def millimetres(moved: Motion) -> Motion:
    return replace(moved, points={side: points * 1000 for side, points in moved.points.items()})


def mirrored(moved: Motion) -> Motion:
    return replace(moved, points={side: points * [1, 1, -1] for side, points in moved.points.items()})


def swapped(moved: Motion) -> Motion:
    return replace(moved, points={"left": moved.points["right"], "right": moved.points["left"]})


def still(moved: Motion) -> Motion:
    return replace(moved, camera=np.tile(np.eye(4), (len(moved.times_s), 1, 1)))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (millimetres, "as if in mm"),
        (mirrored, "bend backwards"),
        (swapped, "bend backwards"),
        (still, "identity"),
    ],
)
def test_a_spoilt_recording_is_refused(tmp_path: Path, spoil: Callable[[Motion], Motion], words: str) -> None:
    write_egodex(tmp_path / "in" / "0.hdf5", spoil(motion()))
    write_egodex(tmp_path / "in" / "1.hdf5", motion())
    bad, good = import_recordings(tmp_path / "in", tmp_path / "out", BOTH)
    assert bad.outcome == "refused"
    assert words in bad.reason
    assert "to do:" in bad.reason
    assert good.outcome == "imported"


def test_video_of_another_length_or_size(tmp_path: Path) -> None:
    path = write_egodex(tmp_path / "0.hdf5", motion())
    write_video(path.with_suffix(".mp4"), 30)
    with pytest.raises(EmmaError, match="differ in length"):
        read_only(tmp_path)
    write_video(path.with_suffix(".mp4"), 40, size=(320, 192))
    with pytest.raises(EmmaError, match="another resolution"):
        read_only(tmp_path)
    path.with_suffix(".mp4").unlink()
    with pytest.raises(EmmaError, match="video is missing"):
        read_only(tmp_path)


def test_broken_files(tmp_path: Path) -> None:
    path = write_egodex(tmp_path / "0.hdf5", motion())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(EmmaError, match="no whole EgoDex"):
        read_only(tmp_path)
    path.unlink()
    with pytest.raises(EmmaError, match="no recordings"):
        find_recordings(tmp_path)
    (tmp_path / "hands.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(EmmaError, match="is a pickle"):
        find_recordings(tmp_path)
    table = write_table(tmp_path / "t.csv", motion())
    table.with_suffix(".yaml").write_text("video: t.mp4\nintrinsics: [1, 1, 1, 1]\nunit: inch\n")
    with pytest.raises(EmmaError, match="bad value"):
        read_only(tmp_path)


def test_an_import_goes_on(tmp_path: Path) -> None:
    write_egodex(tmp_path / "in" / "0.hdf5", motion())
    assert main(["human", "import", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--size", "32x20"]) == 0
    write_egodex(tmp_path / "in" / "1.hdf5", motion())
    results = import_recordings(tmp_path / "in", tmp_path / "out", ImportConfig(size=(32, 20)))
    assert [result.outcome for result in results] == ["present", "imported"]


@pytest.mark.slow
def test_killed_imports_keep_what_was_done(tmp_path: Path) -> None:
    for number in range(12):
        write_egodex(tmp_path / "in" / f"{number:02d}.hdf5", motion())
    arguments = ["human", "import", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--size", "32x20"]
    process = subprocess.Popen([sys.executable, "-m", "emma.cli", *arguments])
    log = tmp_path / "out" / "meta" / "provenance.jsonl"
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if log.is_file() and log.read_text().count("\n") >= 2:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait()
    done = len(read_provenance(tmp_path / "out"))
    assert done >= 2
    results = import_recordings(tmp_path / "in", tmp_path / "out", ImportConfig(size=(32, 20)))
    assert {result.outcome for result in results} <= {"present", "imported"}
    [actions] = columns(tmp_path / "out", ACTION)
    assert len(actions) == 12 * 20


def test_inspect_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    write_egodex(tmp_path / "0.hdf5", motion())
    assert main(["human", "inspect", str(tmp_path), "--hands", "both"]) == 0
    assert "right: valid 100%, in view 100%" in capsys.readouterr().out
    assert main(["human", "check", str(tmp_path), "--out", str(tmp_path / "check.png")]) == 0
    picture = cv2.imread(str(tmp_path / "check.png"))
    # The video is grey; what has colour was drawn.
    assert (np.ptp(picture.astype(int), axis=2) > 60).sum() > 1000
