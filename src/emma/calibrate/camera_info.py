"""What a driver says of its camera in CameraInfo, and whether that contradicts a calibration."""

from typing import Any

import numpy as np

from emma.calibrate.pinhole import Intrinsics
from emma.errors import EmmaError
from emma.robots.lens import COEFFICIENTS

# Two lenses that place a point further apart than this are not the same camera, px.
SAME_PX = 5.0


def of_message(message: Any) -> Intrinsics | None:
    """The intrinsics of a CameraInfo; None where the driver left them at 0. Raises EmmaError for an unknown model."""
    matrix = np.array(message.k, np.float64).reshape(3, 3)
    if not matrix[0, 0] > 0:
        return None
    values = tuple(float(v) for v in message.d)
    model = message.distortion_model or "plumb_bob"
    if not any(values) and model != "equidistant":
        model, values = "plumb_bob", (0.0,) * 5
    if len(values) not in COEFFICIENTS.get(model, ()):
        raise EmmaError(
            "CameraInfo has a lens model that is not known",
            found=f"{model} with {len(values)} coefficients",
            expected="; ".join(f"{m} with {' or '.join(map(str, n))}" for m, n in COEFFICIENTS.items()),
            fix="calibrate the camera: emma calibrate camera",
        )
    return Intrinsics(
        model=model, width=int(message.width), height=int(message.height), matrix=matrix, coefficients=values
    )


def disagreement_px(a: Intrinsics, b: Intrinsics) -> float:
    """Pixels between where two lenses see a ray: the largest over the picture, the outermost tenth left out."""
    columns, rows = np.meshgrid(np.linspace(0.1, 0.9, 9) * a.width, np.linspace(0.1, 0.9, 7) * a.height)
    pixels = np.stack([columns, rows], -1).reshape(-1, 2)
    rays = a.distortion.rays(pixels, a.matrix)
    return float(np.linalg.norm(b.project(rays)[0] - pixels, axis=1).max())


def check_same(calibrated: Intrinsics, published: Intrinsics | None, file: str) -> None:
    """Raise EmmaError where the driver publishes another lens or size than was calibrated."""
    if published is None:
        return
    sizes = [(lens.width, lens.height) for lens in (calibrated, published)]
    apart = disagreement_px(calibrated, published) if sizes[0] == sizes[1] else np.inf
    if apart > SAME_PX:
        raise EmmaError(
            f"the driver's CameraInfo contradicts {file}",
            found=f"CameraInfo: focal length {published.matrix[0, 0]:.1f} px at {sizes[1][0]} x {sizes[1][1]};"
            f" {file}: {calibrated.matrix[0, 0]:.1f} px at {sizes[0][0]} x {sizes[0][1]}; up to {apart:.0f} px apart",
            expected=f"the same lens to {SAME_PX:.0f} px",
            fix="give the driver the new file (camera_info_url), or calibrate the camera again",
        )
