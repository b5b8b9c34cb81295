"""A build of engines in the background: when it helps, how it goes, and that nothing of it stays behind."""

import os
import sys
from pathlib import Path

import pytest

from emma.policy import engine_build
from emma.policy.engine_build import EngineBuild, Phase, build_helps
from emma.policy.exported import FOLDER, MANIFEST

ANSWER_S = 60


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-u", "-c", code]


def finished(build: EngineBuild) -> Phase:
    build._process.wait(ANSWER_S)
    return build.poll()


def test_a_build_that_ends_well(tmp_path: Path) -> None:
    build = EngineBuild(tmp_path, python("print('prefix built'); print('step built')"))
    assert finished(build) is Phase.READY
    assert build.last_line() == "step built"
    build.close()


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    build = EngineBuild(tmp_path, python("import sys; sys.exit('TensorRT cannot build step.onnx')"))
    assert finished(build) is Phase.FAILED
    assert build.last_line() == "TensorRT cannot build step.onnx"
    build.close()


def test_a_build_yields_and_ends_with_its_owner(tmp_path: Path) -> None:
    build = EngineBuild(tmp_path, python("import sys; print('ready'); sys.stdin.read(); import time; time.sleep(600)"))
    pid = build._process.pid
    assert build.poll() is Phase.BUILDING
    assert os.getpriority(os.PRIO_PROCESS, pid) == engine_build.NICE
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    build.close()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("change", "helps"),
    [
        ({}, True),
        ({"runtime": "tensorrt, own process"}, False),
        ({"kind": "onnxruntime"}, False),
        ({"device": "cpu"}, False),
        ({"driver": False}, False),
        ({"tensorrt": None}, False),
        ({"export": False}, False),
    ],
)
def test_when_a_build_helps(change: dict, helps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"runtime": "onnxruntime (cuda)", "kind": "auto", "device": "auto", "driver": True, "tensorrt": "spec"}
    here |= {"export": True, **change}
    monkeypatch.setattr(engine_build, "driver_loads", lambda: here["driver"])
    monkeypatch.setattr(engine_build.importlib.util, "find_spec", lambda name: here["tensorrt"])
    if here["export"]:
        (tmp_path / FOLDER).mkdir()
        (tmp_path / FOLDER / MANIFEST).touch()
    assert build_helps(tmp_path, here["runtime"], kind=here["kind"], device=here["device"]) is helps
