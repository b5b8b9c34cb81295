"""The file of a calibrated camera, as ROS' camera_info_manager reads and writes it."""

from pathlib import Path
from typing import Any

import numpy as np

from emma.arrays import Array
from emma.errors import EmmaError
from emma.robots.lens import COEFFICIENTS, Distortion
from emma.robots.yaml_file import read_yaml


def read_camera(file: Path, size: tuple[int, int] | None = None) -> tuple[Array, Distortion | None]:
    """Matrix (3, 3) and lens of a camera file; no lens where it does not bend anything. Raises EmmaError.

    size: (width, height) that the robot's camera has, which the file must agree with.
    """
    content = read_mapping(file)
    return _matrix(file, content, size), _distortion(file, content)


def read_mapping(file: Path) -> dict[str, Any]:
    """A YAML file whose content is a mapping. Raises EmmaError."""
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise EmmaError(f"{file} holds no mapping", found=type(content).__name__, expected="names and values")
    return content


def _matrix(file: Path, content: dict[str, Any], size: tuple[int, int] | None) -> Array:
    try:
        matrix = np.array(content["camera_matrix"]["data"], np.float64).reshape(3, 3)
    except (KeyError, TypeError, ValueError) as error:
        raise EmmaError(
            f"{file} is no camera calibration", found=repr(error), expected="camera_matrix, 3 x 3"
        ) from None
    focal = matrix[[0, 1], [0, 1]]
    if not np.isfinite(matrix).all() or (focal <= 0).any() or matrix[2].tolist() != [0, 0, 1]:
        raise EmmaError(
            f"{file}: camera_matrix is not valid",
            found=matrix.tolist(),
            expected="finite numbers, focal lengths above 0, last row 0 0 1",
            fix="calibrate the camera again",
        )
    found = (content.get("image_width"), content.get("image_height"))
    if size is not None and found != size:
        raise EmmaError(
            f"{file}: image_width and image_height do not fit the robot's camera",
            found=found,
            expected=f"{size}, as in robot.yaml",
            fix="calibrate at the size that the camera publishes, or correct the size in robot.yaml",
        )
    return matrix


def _distortion(file: Path, content: dict[str, Any]) -> Distortion | None:
    """None where the file names no model or all coefficients are 0 in a model without distortion of its own."""
    model = content.get("distortion_model", "")
    try:
        values = np.array(content.get("distortion_coefficients", {}).get("data", []), np.float64).reshape(-1)
        if not np.isfinite(values).all():
            raise ValueError("coefficients that are not finite")
        # Coefficients of 0 still bend an equidistant lens: its ideal projection is not a pinhole's.
        if model != "equidistant" and not values.any():
            return None
        return Distortion(model, tuple(values.tolist()))
    except (AttributeError, TypeError, ValueError) as error:
        raise EmmaError(
            f"{file}: the lens distortion cannot be used",
            found=f"{model or 'no distortion_model'}: {error}",
            expected="; ".join(f"{m} with {' or '.join(map(str, n))} numbers" for m, n in COEFFICIENTS.items()),
            fix="calibrate with one of these models, or publish rectified images and their calibration",
        ) from None
