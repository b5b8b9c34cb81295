"""Enumerations of TensorRT 10, as far as the builder and the runner look at them."""

from enum import IntEnum


class DataType(IntEnum):
    FLOAT, HALF, INT8, INT32, BOOL, UINT8, FP8, BF16, INT64, INT4 = range(10)


class TensorIOMode(IntEnum):
    NONE, INPUT, OUTPUT = range(3)


class TensorFormat(IntEnum):
    LINEAR, CHW2, HWC8, CHW4, CHW16, CHW32, DHWC8, CDHW32, HWC, DLA_LINEAR, DLA_HWC4, HWC16, DHWC = range(13)


class NetworkDefinitionCreationFlag(IntEnum):
    EXPLICIT_BATCH, STRONGLY_TYPED, PREFER_AOT_PYTHON_PLUGINS, PREFER_JIT_PYTHON_PLUGINS = range(4)


class OnnxParserFlag(IntEnum):
    NATIVE_INSTANCENORM = 0


class ProfilingVerbosity(IntEnum):
    LAYER_NAMES_ONLY, NONE, DETAILED = range(3)


class BuilderFlag(IntEnum):
    TF32 = 7


class LayerType(IntEnum):
    SHAPE, CONSTANT, QUANTIZE, DEQUANTIZE = range(4)


class MemoryPoolType(IntEnum):
    WORKSPACE, DLA_MANAGED_SRAM, DLA_LOCAL_DRAM, DLA_GLOBAL_DRAM, TACTIC_DRAM, TACTIC_SHARED_MEMORY = range(6)


class TacticSource(IntEnum):
    CUBLAS, CUBLAS_LT, CUDNN, EDGE_MASK_CONVOLUTIONS, JIT_CONVOLUTIONS = range(5)


class PreviewFeature(IntEnum):
    PROFILE_SHARING_0806 = 0


class QuantizationFlag(IntEnum):
    CALIBRATE_BEFORE_FUSION = 0


class EngineCapability(IntEnum):
    STANDARD, SAFETY, DLA_STANDALONE = range(3)


class DeviceType(IntEnum):
    GPU, DLA = range(2)


class HardwareCompatibilityLevel(IntEnum):
    NONE, AMPERE_PLUS, SAME_COMPUTE_CAPABILITY = range(3)


class RuntimePlatform(IntEnum):
    SAME_AS_BUILD, WINDOWS_AMD64 = range(2)


class TilingOptimizationLevel(IntEnum):
    NONE, FAST, MODERATE, FULL = range(4)


class ExecutionContextAllocationStrategy(IntEnum):
    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = range(3)
