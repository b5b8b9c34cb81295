"""Parser, network, configuration and builder: an "engine" is the ONNX graph itself."""

from collections.abc import Iterator
from typing import Any

import onnx

from emma.bench.stand_in.enums import (
    BuilderFlag,
    DataType,
    DeviceType,
    EngineCapability,
    HardwareCompatibilityLevel,
    MemoryPoolType,
    NetworkDefinitionCreationFlag,
    PreviewFeature,
    ProfilingVerbosity,
    QuantizationFlag,
    RuntimePlatform,
    TilingOptimizationLevel,
)
from emma.bench.stand_in.recording import Recording
from emma.policy.export.rules import broken_rules


class Dims(tuple[int, ...]): ...


class ILogger(Recording):
    def __init__(self) -> None: ...


class Logger(ILogger):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


TYPES: dict[int, DataType] = {
    onnx.TensorProto.FLOAT: DataType.FLOAT,
    onnx.TensorProto.INT64: DataType.INT64,
    onnx.TensorProto.INT32: DataType.INT32,
    onnx.TensorProto.BOOL: DataType.BOOL,
    onnx.TensorProto.UINT8: DataType.UINT8,
}


class ITensor(Recording):
    def __init__(self, value: onnx.ValueInfoProto) -> None:
        tensor = value.type.tensor_type
        self.name = value.name
        self.shape = Dims(d.dim_value for d in tensor.shape.dim)
        self.dtype = TYPES[tensor.elem_type]
        self.is_shape_tensor = False


class INetworkDefinition(Recording):
    def __init__(self, flags: int) -> None:
        self._model: onnx.ModelProto | None = None
        self._inputs: list[ITensor] = []
        self._outputs: list[ITensor] = []
        self.flags = flags
        self.name = ""
        self.has_implicit_batch_dimension = False

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def get_flag(self, flag: NetworkDefinitionCreationFlag) -> bool:
        return bool(self.flags >> int(flag) & 1)

    @property
    def num_layers(self) -> int:
        return 0

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_input(self, index: int) -> ITensor:
        return self._inputs[index]

    def get_output(self, index: int) -> ITensor:
        return self._outputs[index]


class IOptimizationProfile(Recording):
    def set_shape(self, name: str, smallest: Any, usual: Any, largest: Any) -> None:
        self.calls.made.append(("set_shape", (name, tuple(smallest), tuple(usual), tuple(largest))))

    def __bool__(self) -> bool:
        return True


class ITimingCache(Recording):
    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)

    def combine(self, other: "ITimingCache", ignore_mismatch: bool) -> bool:
        return True

    def serialize(self) -> "IHostMemory":
        return IHostMemory(b"timings")


class IHostMemory(Recording):
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __enter__(self) -> bytes:
        return self._data

    def __exit__(self, *_: object) -> None: ...

    def __bytes__(self) -> bytes:
        return self._data

    def __bool__(self) -> bool:
        return bool(self._data)


class IBuilderConfig(Recording):
    def __init__(self) -> None:
        self._cache: ITimingCache | None = None
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.engine_capability = EngineCapability.STANDARD
        self.default_device_type = DeviceType.GPU
        self.DLA_core = -1
        self.num_optimization_profiles = 0
        self.int8_calibrator = None
        self.builder_optimization_level = 3
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE
        self.runtime_platform = RuntimePlatform.SAME_AS_BUILD
        self.max_aux_streams = -1
        self.tiling_optimization_level = TilingOptimizationLevel.NONE
        self.algorithm_selector = None
        self.flags = 0

    def set_flag(self, flag: BuilderFlag) -> None:
        self.calls.made.append(("set_flag", flag.name))

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.calls.made.append(("clear_flag", flag.name))

    def get_flag(self, flag: BuilderFlag) -> bool:
        return False

    def get_preview_feature(self, feature: PreviewFeature) -> bool:
        return False

    def get_quantization_flag(self, flag: QuantizationFlag) -> bool:
        return False

    def get_tactic_sources(self) -> int:
        return 0

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        return 0

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.num_optimization_profiles += 1
        return self.num_optimization_profiles - 1

    def create_timing_cache(self, data: bytes) -> ITimingCache:
        return ITimingCache(data)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        self._cache = cache
        self.calls.made.append(("set_timing_cache", cache._data))
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache


class Builder(Recording):
    def __init__(self, logger: ILogger) -> None: ...

    def create_network(self, flags: int) -> INetworkDefinition:
        self.calls.made.append(("create_network", flags))
        return INetworkDefinition(flags)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory:
        assert network._model is not None
        self.calls.made.append(("build_serialized_network", len(network._model.graph.node)))
        return IHostMemory(network._model.SerializeToString())


class OnnxParser(Recording):
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self._errors: list[str] = []
        self.flags = 0

    def parse_from_file(self, path: str) -> bool:
        model = onnx.load(path)
        self._errors = [str(broken) for broken in broken_rules(model)]
        self._network._model = model
        self._network._inputs = [ITensor(value) for value in model.graph.input]
        self._network._outputs = [ITensor(value) for value in model.graph.output]
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> str:
        return self._errors[index]
