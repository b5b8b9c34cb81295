"""Checks of the GPU: what each finding says, and the two layers by the libraries that are here."""

import json
from pathlib import Path

import numpy as np
import pytest

from emma.doctor import gpu, two_layers
from emma.doctor.check import Check, Probe, Status

CUDA = {"version": "2.11.0", "built_for": "13.0", "cuda": True, "device": "a card", "threads": 1, "error": 1e-4}
NO_CUDA = {**CUDA, "cuda": False, "device": None, "error": None}
ONE = ("onnxruntime-gpu 1.31.1",)
LIBC = "libc.so.6"


def is_(check: Check, status: Status, text: str = "") -> None:
    assert check.status is status, check
    assert text in check.found or text in check.fix, check
    assert (check.status is Status.OK) == (not check.fix), check


def said(answer: object) -> Probe:
    return Probe("-c", f"print({json.dumps(json.dumps(answer))})")


class TestDriver:
    def test_none(self, tmp_path: Path) -> None:
        is_(gpu.driver(tmp_path / "none", "libnone.so", tmp_path), Status.OK, "no card")

    def test_a_card_without_a_driver(self, tmp_path: Path) -> None:
        card = tmp_path / "0000:01:00.0"
        card.mkdir()
        (card / "vendor").write_text("0x10de\n")
        (card / "class").write_text("0x030200\n")
        is_(gpu.driver(tmp_path / "none", "libnone.so", tmp_path), Status.WARN, "nvidia-driver")
        (card / "class").write_text("0x040300\n")  # its sound device
        is_(gpu.driver(tmp_path / "none", "libnone.so", tmp_path), Status.OK)

    def test_a_container_without_the_library(self, tmp_path: Path) -> None:
        file = tmp_path / "version"
        file.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build\n")
        is_(gpu.driver(file, "libnone.so", tmp_path), Status.WARN, "--gpus all")
        is_(gpu.driver(file, LIBC, tmp_path), Status.WARN, "575.57.08")

    @pytest.mark.parametrize(("supports", "status"), [(13.2, Status.OK), (13.0, Status.OK), (12.9, Status.WARN)])
    def test_too_old(self, supports: float, status: Status, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(gpu, "_supported_cuda", lambda library: supports)
        is_(gpu.driver(tmp_path / "none", built_for="13.0"), status, "580" if status is Status.WARN else "13.")


class TestTorch:
    @pytest.mark.parametrize(
        ("answer", "driver", "status", "text"),
        [
            (CUDA, True, Status.OK, "on a card, CUDA 13.0; two layers with error 1e-04"),
            ({**CUDA, "error": 0.5}, True, Status.FAIL, "error 0.5"),
            ({**CUDA, "error": float("inf")}, True, Status.FAIL, "inf"),
            (NO_CUDA, True, Status.WARN, "does not see the NVIDIA GPU"),
            (NO_CUDA, False, Status.OK, "on the CPU, 1 threads; no GPU here"),
        ],
    )
    def test_answers(self, answer: dict, driver: bool, status: Status, text: str, tmp_path: Path) -> None:
        is_(gpu.torch_check(answer, tmp_path if driver else tmp_path / "none"), status, text)

    def test_that_cannot_be_imported(self) -> None:
        checks = gpu.examine(Probe("-c", "raise ImportError('libcudart')"), None, None)
        assert [check.name for check in checks] == ["NVIDIA driver", "torch", "onnxruntime", "TensorRT"]
        is_(checks[1], Status.FAIL, "libcudart")


class TestOnnxruntime:
    @pytest.mark.parametrize(
        ("providers", "status", "text"),
        [
            ({"CUDAExecutionProvider": 1e-3, "CPUExecutionProvider": 1e-7}, Status.OK, "CUDA error 1e-03"),
            ({"CUDAExecutionProvider": 0.1, "CPUExecutionProvider": 1e-7}, Status.WARN, "GPU=1 make setup"),
            (
                {"CUDAExecutionProvider": "falls back on CPUExecutionProvider", "CPUExecutionProvider": 1e-7},
                Status.WARN,
                "falls back",
            ),
            ({"CPUExecutionProvider": 1e-7}, Status.WARN, "do not use the GPU"),
            ({"CPUExecutionProvider": "illegal instruction"}, Status.FAIL, "illegal instruction"),
        ],
    )
    def test_beside_a_gpu(self, providers: dict, status: Status, text: str) -> None:
        probe = said({"version": "1.31.1", "providers": providers})
        is_(gpu.onnxruntime(probe, gpu=True, installed=ONE), status, text)

    def test_both_builds(self) -> None:
        both = ("onnxruntime 1.31.1", *ONE)
        is_(gpu.onnxruntime(said({}), gpu=True, installed=both), Status.WARN, "write the same files")

    def test_missing_or_broken(self) -> None:
        is_(gpu.onnxruntime(None, gpu=False), Status.WARN, "make setup")
        is_(gpu.onnxruntime(Probe("-c", "import os; os.abort()"), gpu=False, installed=ONE), Status.FAIL, "signal 6")


class TestTensorrt:
    def test_not_installed(self) -> None:
        is_(gpu.tensorrt(None, gpu=False), Status.OK, "not installed")
        is_(gpu.tensorrt(None, gpu=True), Status.WARN, "GPU=1 make setup")

    def test_answers(self) -> None:
        is_(gpu.tensorrt(said({"version": "10.16", "error": 1e-3}), gpu=True), Status.OK, "10.16 builds")
        is_(gpu.tensorrt(said({"version": "10.16", "error": 1.0}), gpu=True), Status.FAIL, "error 1.0")
        problem = {"problem": "TensorRT needs an NVIDIA GPU", "found": "no CUDA device", "fix": "see emma doctor"}
        is_(gpu.tensorrt(said(problem), gpu=False), Status.WARN, "no CUDA device")
        is_(gpu.tensorrt(Probe("-c", "raise ImportError('libnvinfer.so.10')"), gpu=True), Status.WARN, "libnvinfer")


def test_two_layers_by_what_is_installed_here() -> None:
    probe = gpu.start_onnxruntime()
    assert probe is not None
    providers = probe.answer()["providers"]
    assert providers["CPUExecutionProvider"] < 1e-5
    assert not set(providers) & set(two_layers.REMOTE)


def test_nan_and_another_shape_are_no_answer() -> None:
    good = two_layers.expected().astype(np.float32)
    assert two_layers.error_of(good) < 1e-6
    assert two_layers.error_of(good[:1]) == float("inf")
    assert two_layers.error_of(np.where(good > 1, np.nan, good)) == float("inf")
