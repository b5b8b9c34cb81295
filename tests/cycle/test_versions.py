"""Promoting, going back, and what is left when a process is killed in between."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emma.cycle.versions import Versions
from emma.errors import EmmaError
from emma.policy.bundle import load_bundle
from emma.resources import data_dir


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The shipped policy without its graphs: small."""
    mine = tmp_path / "bundle"
    shutil.copytree(data_dir("models") / "desk_arm_source", mine, ignore=shutil.ignore_patterns("export", "*.png"))
    (mine / "training").mkdir()
    (mine / "training" / "log.jsonl").write_text("{}\n")
    return mine


def promoted(versions: Versions, bundle: Path, count: int) -> None:
    for cycle in range(count):
        versions.promote(versions.add(bundle, cycle=cycle, before=versions.current, figures={"gain": 0.1}), "better")


def test_promote_and_roll_back(tmp_path: Path, bundle: Path) -> None:
    versions = Versions(tmp_path / "versions")
    promoted(versions, bundle, 3)
    assert versions.current == 3
    assert load_bundle(versions.folder / "current").info.robot == "desk_arm"
    assert not (versions.path(3) / "training").exists()
    assert versions.roll_back() == (3, 2)
    assert versions.roll_back() == (2, 1)
    with pytest.raises(EmmaError, match="is the first"):
        versions.roll_back()
    assert versions.roll_back(3) == (1, 3)
    assert [row["number"] for row in versions.history()] == [1, 2, 3, 2, 1, 3]


def test_a_cycle_adds_one_version_however_often_it_tries(tmp_path: Path, bundle: Path) -> None:
    versions = Versions(tmp_path / "versions")
    promoted(versions, bundle, 1)
    first = versions.add(bundle, cycle=7, before=1, figures={})
    assert versions.add(bundle, cycle=7, before=1, figures={}) == first == 2


def test_the_last_ones_are_kept_and_numbers_are_never_used_again(tmp_path: Path, bundle: Path) -> None:
    versions = Versions(tmp_path / "versions", keep=2)
    promoted(versions, bundle, 4)
    assert versions.numbers() == [3, 4]
    versions.roll_back()
    # Two, and the one that the current version would go back to.
    promoted(versions, bundle, 1)
    assert versions.numbers() == [3, 4, 5]
    assert not [p for p in versions.folder.iterdir() if p.name.startswith(".0")]


def test_unknown_versions_are_refused(tmp_path: Path, bundle: Path) -> None:
    versions = Versions(tmp_path / "versions")
    with pytest.raises(EmmaError, match="nothing to roll back"):
        versions.roll_back()
    promoted(versions, bundle, 1)
    with pytest.raises(EmmaError, match="no version 9"):
        versions.roll_back(9)


PROMOTER = """
import sys
from pathlib import Path
from emma.cycle.versions import Versions
versions = Versions(Path(sys.argv[1]), keep=3)
print("ready", flush=True)
for cycle in range(1, 100000):
    versions.promote(versions.add(Path(sys.argv[2]), cycle=cycle, before=versions.current, figures={}), "better")
"""


def test_current_is_a_whole_bundle_whenever_the_process_is_killed(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "versions"
    for i in range(5):
        child = subprocess.Popen([sys.executable, "-c", PROMOTER, str(folder), str(bundle)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.05 + 0.11 * i)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        versions = Versions(folder, keep=3)
        if versions.current:
            loaded = load_bundle(folder / "current")
            assert (loaded.path / "model.safetensors").stat().st_size == (bundle / "model.safetensors").stat().st_size
            assert json.loads((loaded.path / "version.json").read_text())["number"] == versions.current
