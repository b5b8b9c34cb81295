"""Engines: what is kept, what is rebuilt, what is refused. Building and running them needs a GPU and TensorRT."""

import dataclasses
import importlib.util
import math

import numpy as np
import pytest

from emma.cli import main
from emma.errors import EmmaError
from emma.policy.export.engines import (
    MANIFEST,
    EngineKey,
    Platform,
    Recorded,
    cosine,
    engine_is_whole,
    ensure_engine,
    usable_engines,
    worst_cosine,
    write_engines,
)
from emma.policy.exported import usable_export
from emma.policy.runtime.graph_runtime import GraphRuntime
from emma.policy.runtime.onnx_graphs import open_graphs
from emma.policy.runtime.tensorrt import require_tensorrt

HERE = Platform(tensorrt="10.9.0", gpu="A GPU", capability="9.0", driver="570")
KEY = EngineKey(graph={"step.onnx": "abc"}, platform=HERE, precision="bf16")


class Builder:
    """Stands where TensorRT's builder stands: writes bytes that name their input, and counts."""

    def __init__(self):
        self.built = []

    def __call__(self, graph, precision, timing):
        self.built.append((graph.name, precision))
        timing.write_bytes(b"timings")
        return f"{graph.name} {precision}".encode()


@pytest.mark.parametrize(
    "other",
    [
        {"graph": {"step.onnx": "abd"}},
        {"graph": {"step.onnx": "abc", "step.onnx.data": "e"}},
        {"precision": "fp32"},
        {"format": 2},
        *({"platform": dataclasses.replace(HERE, **{field.name: "other"})} for field in dataclasses.fields(Platform)),
    ],
)
def test_key_changes_with_everything_that_decides_an_engine(other):
    assert KEY.digest == dataclasses.replace(KEY).digest
    assert dataclasses.replace(KEY, **other).digest != KEY.digest


def test_engine_is_built_once_and_again_when_damaged(tmp_path):
    build = Builder()
    path, built = ensure_engine(tmp_path, "step", KEY, build)
    assert built
    assert path.read_bytes() == b"step.onnx bf16"
    assert ensure_engine(tmp_path, "step", KEY, build) == (path, False)
    path.write_bytes(b"half")
    assert not engine_is_whole(path, KEY)
    assert ensure_engine(tmp_path, "step", KEY, build) == (path, True)
    other = dataclasses.replace(KEY, precision="fp32")
    assert ensure_engine(tmp_path, "step", other, build)[0] != path
    assert build.built == [("step.onnx", "bf16")] * 2 + [("step.onnx", "fp32")]
    assert engine_is_whole(path, KEY)


def test_a_build_that_fails_leaves_no_engine(tmp_path):
    def fail(*_):
        raise EmmaError("out of memory")

    with pytest.raises(EmmaError, match="out of memory"):
        ensure_engine(tmp_path, "step", KEY, fail)
    assert not list((tmp_path / "engines").iterdir())


def test_engines_are_used_for_their_graphs_on_their_machine_only(own_copy):
    path, info = own_copy.path, usable_export(own_copy.path)
    with pytest.raises(EmmaError, match="has no engines"):
        usable_engines(path, info, HERE)
    keys = {n: EngineKey(graph=files, platform=HERE, precision="bf16") for n, files in info.graphs.items()}
    for name, key in keys.items():
        ensure_engine(path, name, key, Builder())
    for bad in (0.99, math.nan):
        with pytest.raises(EmmaError, match="do not compute the policy's actions"):
            write_engines(path, keys, bad)
    assert not (path / "engines" / MANIFEST).exists()
    write_engines(path, keys, 0.9995)
    engines = usable_engines(path, info, HERE)
    assert set(engines) == {"prefix", "step"}
    with pytest.raises(EmmaError, match="another machine"):
        usable_engines(path, info, dataclasses.replace(HERE, driver="580"))
    changed = dataclasses.replace(info, graphs={**info.graphs, "step": {"step.onnx": "changed"}})
    with pytest.raises(EmmaError, match="other graphs"):
        usable_engines(path, changed, HERE)
    engines["step"].write_bytes(b"")
    with pytest.raises(EmmaError, match="damaged"):
        usable_engines(path, info, HERE)


def test_cosine():
    a = np.array([1.0, 2.0, 3.0], np.float32)
    assert cosine(a, a * 2) == pytest.approx(1.0)
    assert cosine(a, -a) == pytest.approx(-1.0)
    assert cosine(a, np.zeros(3)) == 0.0
    assert cosine(np.zeros(3), np.zeros(3)) == 1.0
    assert math.isnan(cosine(a, np.array([1.0, np.nan, 1.0])))
    assert math.isnan(cosine(a, np.array([1.0, np.inf, 1.0])))


def test_every_flow_step_is_compared(exported, cases):
    bundle, info = exported("spatial_flow")
    recorded = Recorded(open_graphs(bundle.path, info, device="cpu", threads=1))
    runtime = GraphRuntime(bundle, info, recorded, name="recorded")
    runtime.infer(*cases[0])
    assert len(recorded.velocities) == info.flow.steps
    good = list(recorded.velocities)
    one_wrong = [*good[:-1], -good[-1]]
    assert worst_cosine(cases[:1], lambda _: good, lambda _: good) == pytest.approx(1.0)
    assert worst_cosine(cases[:1], lambda _: good, lambda _: one_wrong) == pytest.approx(-1.0)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_without_tensorrt_the_verb_says_what_to_do(own_copy, capsys):
    with pytest.raises(EmmaError, match="TensorRT is not installed"):
        require_tensorrt()
    assert main(["compile", str(own_copy.path)]) == 2
    error = capsys.readouterr().err
    assert "TensorRT is not installed" in error
    assert "GPU=1 make setup" in error
    assert "Traceback" not in error


def test_compile_without_graphs_sends_to_export(own_copy, capsys):
    (own_copy.path / "export/export.json").unlink()
    assert main(["compile", str(own_copy.path)]) == 2
    assert "emma export" in capsys.readouterr().err


@pytest.mark.gpu
def test_engines_agree_with_the_graphs_on_this_gpu(own_copy, cases):
    pytest.importorskip("tensorrt")
    from emma.policy.runtime import open_runtime
    from emma.policy.runtime.tensorrt import compile_bundle

    compile_bundle(own_copy, "bf16", cases, lambda what: None)
    engines, graphs = (open_runtime(own_copy, kind=kind, device="cuda") for kind in ("tensorrt", "onnxruntime"))
    for case in cases:
        assert cosine(engines.infer(*case), graphs.infer(*case)) >= 0.999
