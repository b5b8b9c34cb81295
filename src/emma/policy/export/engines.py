"""`emma compile`: engines beside the graphs, rebuilt when anything that decides them changes. No TensorRT call here."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from emma.errors import EmmaError
from emma.files import atomic_write_bytes, atomic_write_text, sha256_file
from emma.policy.export.parity import Case
from emma.policy.exported import FOLDER, ExportInfo
from emma.policy.runtime.graph_runtime import STEP, VELOCITY, Graphs
from emma.records import decode, encode

ENGINES, MANIFEST, TIMING = "engines", "engines.json", "timing.cache"
FORMAT = 1
COSINE = 0.999


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What an engine runs on: it is of no use anywhere else."""

    tensorrt: str
    gpu: str
    capability: str
    driver: str


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """Everything that decides an engine. graph: file -> sha256 of the ONNX graph and of the weights beside it."""

    graph: Mapping[str, str]
    platform: Platform
    precision: str
    format: int = FORMAT

    @property
    def digest(self) -> str:
        """Hex digest, the same for the same content."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Built:
    """The file beside an engine. sha256: of the engine."""

    VERSION: ClassVar[int] = 1
    key: EngineKey
    sha256: str


@dataclass(frozen=True, kw_only=True)
class EngineSet:
    """`engines.json`: the engines that passed, by graph. cosine: the smallest to the float32 graphs."""

    VERSION: ClassVar[int] = 2
    keys: Mapping[str, EngineKey]
    cosine: float


# graph file, precision, timing cache -> serialised engine
Build = Callable[[Path, str, Path], bytes]


def ensure_engine(bundle: Path, name: str, key: EngineKey, build: Build) -> tuple[Path, bool]:
    """The engine of graph `name` for `key`, and whether it had to be built. Its sidecar is written last."""
    folder = bundle / ENGINES
    path = engine_path(bundle, name, key)
    if engine_is_whole(path, key):
        return path, False
    folder.mkdir(exist_ok=True)
    data = build(bundle / FOLDER / f"{name}.onnx", key.precision, folder / TIMING)
    atomic_write_bytes(path, data)
    built = Built(key=key, sha256=hashlib.sha256(data).hexdigest())
    atomic_write_text(path.with_suffix(".json"), encode(built, indent=2) + "\n")
    return path, True


def engine_path(bundle: Path, name: str, key: EngineKey) -> Path:
    """Where the engine of graph `name` for `key` is kept."""
    return bundle / ENGINES / f"{name}-{key.digest[:16]}.engine"


def engine_is_whole(path: Path, key: EngineKey) -> bool:
    """Whether the engine is there, unchanged, and was built for exactly `key`."""
    try:
        built = decode(Built, path.with_suffix(".json").read_bytes(), str(path))
        return built.key == key and built.sha256 == sha256_file(path)
    except (OSError, EmmaError):
        return False


class Recorded:
    """Graphs whose velocities are kept, one a flow step."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs
        self.buffers = graphs.buffers
        self.velocities: list[np.ndarray] = []

    def run(self, graph: str) -> None:
        self._graphs.run(graph)
        if graph == STEP:
            self.velocities.append(self.buffers[VELOCITY].copy())

    def close(self) -> None:
        self._graphs.close()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between two arrays as vectors; NaN if one is not finite, 1 for two zeros."""
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    lengths = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
    if not math.isfinite(lengths):
        return math.nan
    return 1.0 if lengths == 0.0 and not x.any() and not y.any() else float(x @ y) / lengths if lengths else 0.0


def worst_cosine(
    compare: Sequence[Case], expected: Callable[[Case], Sequence[np.ndarray]], found: Callable[[Case], Any]
) -> float:
    """The smallest cosine over all cases and flow steps; NaN if any is NaN."""
    values = [cosine(a, b) for case in compare for a, b in zip(expected(case), found(case), strict=True)]
    return math.nan if any(math.isnan(v) for v in values) else min(values)


def write_engines(bundle: Path, keys: Mapping[str, EngineKey], smallest: float) -> None:
    """Record a set of engines that passed. Raises EmmaError for one that did not: it stays unused."""
    # A comparison with NaN is false.
    if not smallest >= COSINE:
        raise EmmaError(
            f"the engines of {bundle} do not compute the policy's actions",
            found=f"cosine {smallest:.4f} to the float32 graph in some flow step",
            expected=f"at least {COSINE}",
            fix="compile with --precision fp32, or use onnxruntime",
        )
    passed = EngineSet(keys=dict(keys), cosine=smallest)
    atomic_write_text(bundle / ENGINES / MANIFEST, encode(passed, indent=2) + "\n")


def usable_engines(bundle: Path, info: ExportInfo, platform: Platform) -> dict[str, Path]:
    """Graph -> engine, all for these graphs on this machine and checked. Raises EmmaError else."""
    fix = f"run `emma compile {bundle}` on this machine"
    file = bundle / ENGINES / MANIFEST
    if not file.is_file():
        raise EmmaError(f"{bundle} has no engines", found="none", expected="compiled engines", fix=fix)
    try:
        keys = decode(EngineSet, file.read_bytes(), str(file)).keys
    except EmmaError as error:
        raise EmmaError(error.problem, found=error.found, expected=error.expected, fix=fix) from None
    engines = {}
    for name, files in info.graphs.items():
        key = keys.get(name)
        if key is None or key.graph != files or key.platform != platform or key.format != FORMAT:
            raise EmmaError(
                f"the engine of '{name}' is for other graphs or another machine",
                found=key.platform if key else "none",
                expected=platform,
                fix=fix,
            )
        engines[name] = engine_path(bundle, name, key)
        if not engine_is_whole(engines[name], key):
            raise EmmaError(f"the engine of '{name}' is damaged", found="another hash", expected="as built", fix=fix)
    return engines
