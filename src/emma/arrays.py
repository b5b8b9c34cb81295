"""The type of an array whose shape, unit and element type a docstring tells."""

from typing import Any

import numpy as np

type Array = np.ndarray[Any, np.dtype[Any]]
