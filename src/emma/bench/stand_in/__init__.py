"""Stands where TensorRT and CUDA stand, so that Polygraphy and our calls run to the end on a machine without a GPU.

The stand-in has the part of TensorRT 10's Python interface that the builder and the runner use, and records every name
that is looked up, for a comparison with the bindings. It optimises nothing and proves nothing about kernels; it proves
that the calls are made in an order, with names and with buffers that fit together.
"""

from emma.bench.stand_in.module import standing_in
from emma.bench.stand_in.recording import Calls

__all__ = ["Calls", "standing_in"]
