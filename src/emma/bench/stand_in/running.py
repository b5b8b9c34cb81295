"""Engine and execution context: ONNX Runtime computes the graph on the processor, from the addresses that were set."""

import ctypes
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from emma.bench.stand_in.building import TYPES, Dims, ILogger
from emma.bench.stand_in.enums import DataType, ExecutionContextAllocationStrategy, TensorFormat, TensorIOMode
from emma.bench.stand_in.recording import Recording
from emma.policy.export.precision import NARROW, PRODUCTS

PIECE = 1 << 20


class IStreamReader(Recording):
    """Polygraphy reads an engine's file in it; TensorRT calls `read` until nothing comes."""

    def __init__(self) -> None: ...

    def read(self, size: int) -> bytes:
        raise NotImplementedError


class IOutputAllocator(Recording):
    """Polygraphy overrides these two; TensorRT calls them."""

    def __init__(self) -> None: ...

    def reallocate_output_async(self, name: str, memory: int, size: int, alignment: int, stream: int) -> int:
        raise NotImplementedError

    def notify_shape(self, name: str, shape: Dims) -> None:
        raise NotImplementedError


class IDebugListener(Recording):
    def __init__(self) -> None: ...


class IExecutionContext(Recording):
    def __init__(self, engine: "ICudaEngine") -> None:
        self._addresses: dict[str, int] = {}
        self._allocators: dict[str, Any] = {}
        self._session: Any = None
        self.engine = engine
        self.active_optimization_profile = 0

    def set_all_tensors_debug_state(self, on: bool) -> bool:
        return True

    def set_debug_listener(self, listener: Any) -> bool:
        return True

    def get_tensor_shape(self, name: str) -> Dims:
        return object.__getattribute__(self, "engine").get_tensor_shape(name)

    def set_input_shape(self, name: str, shape: Any) -> bool:
        return tuple(shape) == tuple(self.get_tensor_shape(name))

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def set_output_allocator(self, name: str, allocator: Any) -> bool:
        self._allocators[name] = allocator
        return True

    def execute_async_v3(self, stream: int) -> bool:
        engine = object.__getattribute__(self, "engine")
        if self._session is None:
            self._session = _session(engine._model)
        feeds = {}
        for value in engine._model.graph.input:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            shape = tuple(engine._shape(value))
            size = int(np.prod(shape)) * dtype.itemsize
            data = ctypes.string_at(self._addresses[value.name], size)
            feeds[value.name] = np.frombuffer(data, dtype).reshape(shape)
        outputs = self._session.run(None, feeds)
        for value, array in zip(engine._model.graph.output, outputs, strict=True):
            allocator = self._allocators[value.name]
            made = np.ascontiguousarray(array)
            address = allocator.reallocate_output_async(value.name, 0, made.nbytes, 256, stream)
            ctypes.memmove(address, made.ctypes.data, made.nbytes)
            allocator.notify_shape(value.name, Dims(made.shape))
        return True


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(_wide_products(model).SerializeToString(), options, ["CPUExecutionProvider"])


def _wide_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Products of bfloat16 values as a GPU computes them: exact products summed in float32, the sum rounded."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    for node in model.graph.node:
        if node.op_type not in PRODUCTS or not node.input[0].endswith(NARROW):
            copy.graph.node.append(node)
            continue
        wide = onnx.NodeProto()
        wide.CopyFrom(node)
        for i, name in enumerate(node.input):
            wide.input[i] = f"{node.output[0]}::wide{i}"
            copy.graph.node.append(helper.make_node("Cast", [name], [wide.input[i]], to=TensorProto.FLOAT))
        wide.output[0] = f"{node.output[0]}::wide"
        narrow = helper.make_node("Cast", [wide.output[0]], [node.output[0]], to=TensorProto.BFLOAT16)
        copy.graph.node.extend([wide, narrow])
    return copy


class ICudaEngine(Recording):
    def __init__(self, data: bytes) -> None:
        self._model = onnx.ModelProto.FromString(data)
        self._values = [*self._model.graph.input, *self._model.graph.output]
        self.streamable_weights_size = 0
        self.weight_streaming_budget_v2 = 0

    def _named(self, name: str) -> onnx.ValueInfoProto:
        return next(value for value in self._values if value.name == name)

    @staticmethod
    def _shape(value: onnx.ValueInfoProto) -> Dims:
        return Dims(d.dim_value for d in value.type.tensor_type.shape.dim)

    @property
    def num_io_tensors(self) -> int:
        return len(self._values)

    def get_tensor_name(self, index: int) -> str:
        return self._values[index].name

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        inputs = {value.name for value in self._model.graph.input}
        return TensorIOMode.INPUT if name in inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> Dims:
        return self._shape(self._named(name))

    def get_tensor_dtype(self, name: str) -> DataType:
        return TYPES[self._named(name).type.tensor_type.elem_type]

    def get_tensor_format(self, name: str, profile: int = 0) -> TensorFormat:
        return TensorFormat.LINEAR

    def is_shape_inference_io(self, name: str) -> bool:
        return False

    def get_aliased_input_tensor(self, name: str) -> str | None:
        return None

    def create_execution_context(self, strategy: Any = ExecutionContextAllocationStrategy.STATIC) -> IExecutionContext:
        return IExecutionContext(self)


class Runtime(Recording):
    def __init__(self, logger: ILogger) -> None:
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, source: bytes | IStreamReader) -> ICudaEngine:
        if not isinstance(source, IStreamReader):
            return ICudaEngine(bytes(source))
        return ICudaEngine(b"".join(iter(lambda: source.read(PIECE), b"")))
