"""Where calibration and weights are looked for, and what is said when they are not there."""

import os
from pathlib import Path

import pytest

from emma import resources
from emma.errors import EmmaError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As from site-packages: no checkout around the source, nothing in the environment's share."""
    site = tmp_path / "lib" / "python3.12" / "site-packages" / "emma"
    monkeypatch.setattr(resources, "__file__", str(site / "resources.py"))
    monkeypatch.setattr(resources.sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.delenv("EMMA_HOME", raising=False)
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    return tmp_path


def make(prefix: Path) -> Path:
    folder = prefix / "share" / "emma" / "calibration"
    folder.mkdir(parents=True)
    return folder


def test_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMMA_HOME", raising=False)
    assert resources.data_dir("calibration") == ROOT / "calibration"


def test_installed_by_pip(installed: Path) -> None:
    folder = make(installed / "venv")
    assert resources.data_dir("calibration") == folder


def test_installed_by_colcon(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(installed / "install" / "emma")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/opt/ros/jazzy{os.pathsep}{installed / 'install' / 'emma'}")
    assert resources.data_dir("calibration") == folder


def test_a_home_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("EMMA_HOME", str(tmp_path))
    assert resources.data_dir("models") == tmp_path / "models"
    assert resources.data_dir("calibration") == ROOT / "calibration", "what the home lacks is looked for elsewhere"


def test_nowhere(installed: Path) -> None:
    with pytest.raises(EmmaError, match="no calibration folder") as told:
        resources.data_dir("calibration")
    assert str(installed / "venv" / "share" / "emma" / "calibration") in str(told.value.found)
    assert "EMMA_HOME" in str(told.value.fix)
