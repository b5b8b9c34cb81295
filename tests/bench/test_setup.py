"""What is said about fresh systems, and that the GPU's extras fit together with everything else."""

import json
import tomllib
from pathlib import Path

import pytest

from emma.bench import setup

ROOT = Path(__file__).resolve().parents[2]


def test_fresh_systems_are_what_the_script_found(tmp_path: Path) -> None:
    said = {"passed": 1, "commands": ["make demo"], "users": ["person", "root"], "python_lent": True}
    (tmp_path / "debian13.json").write_text(json.dumps(said))
    figures = setup.fresh_systems(tmp_path)
    assert figures["fresh_debian13"] == 1
    assert figures["fresh_debian13_commands"] == "make demo"
    assert figures["fresh_debian13_users"] == "person, root"
    assert figures["fresh_debian12"] == "not tried: sudo scripts/fresh.sh debian12"


def test_pins_of_the_gpu_are_for_one_cuda() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
    )
    assert pins["onnxruntime-gpu"] == pins["onnxruntime"], "a policy is exported by one and run by the other"
    assert pins["nvidia-cuda-runtime"].startswith("13."), "onnxruntime-gpu 1.27 and newer are built for CUDA 13"
    assert pins["tensorrt-cu13"].startswith("10."), "its provider is linked with libnvinfer.so.10"
    assert len({pins[f"tensorrt-cu13{part}"] for part in ("", "-bindings", "-libs")}) == 1
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["dependency-metadata"]
    assert known == [{"name": "tensorrt-cu13-libs", "version": pins["tensorrt-cu13-libs"]}]


@pytest.mark.slow
def test_the_extras_resolve() -> None:
    assert setup.gpu_extra_resolves(ROOT) in (1, "not tried: no uv")
