"""Every graph that is exported, held to TensorRT's published rules and built and run by the stand-in for TensorRT."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import onnx

from emma.bench.graphs_policies import POLICIES, write_small
from emma.bench.stand_in import Calls, standing_in
from emma.bench.tensorrt_names import absent, bindings_names
from emma.policy.bundle import Bundle
from emma.policy.export.bundle_export import export_bundle
from emma.policy.export.engines import cosine
from emma.policy.export.precision import PRECISIONS, PRODUCTS, misplaced, typed
from emma.policy.export.rules import broken_rules
from emma.policy.exported import FOLDER, ExportInfo
from emma.policy.runtime.graph_runtime import GraphRuntime
from emma.progress import progress_bar

HELP = "exported graphs of every policy against TensorRT's published rules; a dry run of the builder; names of its API"
NOT_TRIED = "not tried"


def run(quick: bool, seed: int) -> dict[str, Any]:
    """quick: two policies, and no look-up of the bindings. Every policy is small, with random weights."""
    kinds = ("spatial_flow", "act") if quick else POLICIES
    rows: list[dict[str, Any]] = []
    names: set[str] = set()
    with progress_bar() as bar, tempfile.TemporaryDirectory(prefix="emma-graphs-") as scratch:
        task = bar.add_task("graphs", total=len(kinds) + 1, note="")
        for kind in kinds:
            bar.update(task, note=kind)
            rows += _policy(kind, Path(scratch) / kind, seed, names)
            bar.update(task, advance=1)
        bar.update(task, note="names")
        bindings = None if quick else bindings_names()
    return {
        "graphs_checked": len(rows),
        "graphs_refused_by_rules": sum(bool(row["broken"]) for row in rows),
        "parity_max_abs_error": max(row["parity"] for row in rows),
        "products_bf16": sum(row["products"] for row in rows if row["precision"] == "bf16"),
        "nodes_in_another_type": sum(row["misplaced"] for row in rows),
        "engines_dry_run": sum(row["built"] for row in rows),
        "dry_run_min_cosine": min(row["cosine"] for row in rows),
        "tensorrt_names": len(names),
        "tensorrt_names_absent": NOT_TRIED if bindings is None else len(absent(names, bindings)),
        "cells": rows,
    }


def _policy(kind: str, folder: Path, seed: int, names: set[str]) -> Iterator[dict[str, Any]]:
    """A row for each graph and precision."""
    with ExitStack() as stack:
        bundle, cases = write_small(kind, folder, stack, seed)
        info = export_bundle(bundle, cases, reference="noise")
        assert info.parity is not None
        for precision in PRECISIONS:
            with standing_in() as calls:
                answer = dry_run(bundle, info, precision, cases[0])
            names |= calls.names - calls.unknown
            for graph in info.graphs:
                model = typed(onnx.load(folder / FOLDER / f"{graph}.onnx"), precision)
                broken = broken_rules(model)
                yield {
                    "name": f"{kind}-{graph}-{precision}",
                    "precision": precision,
                    "nodes": len(model.graph.node),
                    "products": sum(node.op_type in PRODUCTS for node in model.graph.node),
                    "broken": [str(rule) for rule in broken[:5]],
                    "misplaced": len(misplaced(model)) if precision == "bf16" else 0,
                    "parity": info.parity.max_abs_error,
                    "built": int(_was_built(calls)),
                    "cosine": answer,
                }


def _was_built(calls: Calls) -> bool:
    """Whether a strongly typed network was built (flag 1) and a timing cache set."""
    made = dict(calls.made)
    return made.get("create_network") == 2 and "build_serialized_network" in made and "set_timing_cache" in made


def dry_run(bundle: Bundle, info: ExportInfo, precision: str, case: Any) -> float:
    """Cosine of the chunks of the "engines" and of ONNX Runtime, in the robot's units. Inside `standing_in`."""
    from emma.policy.runtime.onnx_graphs import open_graphs
    from emma.policy.runtime.tensorrt import Engines, build_engine

    root = Path(bundle.path)
    with tempfile.TemporaryDirectory(prefix="emma-engines-") as scratch:
        engines = {}
        for graph in info.graphs:
            engines[graph] = Path(scratch) / f"{graph}.engine"
            built = build_engine(root / FOLDER / f"{graph}.onnx", precision, Path(scratch) / "timing.cache")
            engines[graph].write_bytes(built)
        chunks = []
        opened: tuple[Callable[[], Any], ...] = (
            lambda: open_graphs(root, info, device="cpu", threads=1),
            lambda: Engines(engines, info),
        )
        for graphs in opened:
            runtime = GraphRuntime(bundle, info, graphs(), name="dry run")
            runtime.reset(0)
            chunks.append(runtime.infer(*case))
            runtime.close()
    return cosine(*chunks)
