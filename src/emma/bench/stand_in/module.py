"""The stand-in as the module `tensorrt`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest import mock

from emma.bench.stand_in import building, enums, running
from emma.bench.stand_in.building import ILogger
from emma.bench.stand_in.enums import DataType
from emma.bench.stand_in.memory import HostMemory
from emma.bench.stand_in.recording import Calls, Recording

VERSION = "10.16.1.11"
# TensorRT's short names of its types.
SHORT = {
    **{"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16", "fp8": "FP8", "bool": "BOOL"},
    **{name.lower(): name for name in ("INT8", "INT32", "INT64", "UINT8", "INT4")},
}


class _Module(ModuleType):
    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            Recording.calls.names.add(name)
        return ModuleType.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            Recording.calls.unknown.add(name)
        raise AttributeError(name)


def init_libnvinfer_plugins(logger: ILogger, namespace: str) -> bool:
    return True


def _module() -> ModuleType:
    made = _Module("tensorrt")
    made.__spec__ = ModuleSpec("tensorrt", None)
    made.__dict__.update(__version__=VERSION, init_libnvinfer_plugins=init_libnvinfer_plugins)
    for part in (enums, building, running):
        classes = {n: c for n, c in vars(part).items() if isinstance(c, type) and c.__module__ == part.__name__}
        made.__dict__.update(classes)
    made.__dict__.update({name: DataType[member] for name, member in SHORT.items()})
    return made


@contextmanager
def standing_in() -> Iterator[Calls]:
    """While it holds, `import tensorrt` gives the stand-in and Polygraphy's device memory is host memory."""
    import polygraphy.backend.trt.util as polygraphy_util
    import polygraphy.cuda.cuda as polygraphy_cuda
    from polygraphy.logger import G_LOGGER

    Recording.calls = Calls()
    with (
        G_LOGGER.verbosity(G_LOGGER.CRITICAL),
        mock.patch.dict(sys.modules, {"tensorrt": _module()}),
        mock.patch.object(polygraphy_cuda, "G_CUDA", HostMemory()),
        mock.patch.object(polygraphy_util, "TRT_LOGGER", None),
    ):
        yield Recording.calls
