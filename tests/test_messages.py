"""Pictures are converted by the rules that cv_bridge publishes, for every encoding it knows.

The rules are those of cv_bridge.cpp (rolling): which OpenCV conversion an encoding takes, that 16 bits are scaled to 8
with rounding, that rows may be padded and bytes swapped, and that a compressed picture is grey or colour.
"""

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from emma.errors import EmmaError
from emma.messages import decode_image

HEIGHT, WIDTH = 6, 8
CAMERA: Any = SimpleNamespace(name="top", image_topic="/image", height=HEIGHT, width=WIDTH)
# Encoding -> channels, and the conversion to RGB; None: it is RGB.
RULES: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "rgb16": (3, None),
    "bgr16": (3, cv2.COLOR_BGR2RGB),
    "rgba16": (4, cv2.COLOR_RGBA2RGB),
    "bgra16": (4, cv2.COLOR_BGRA2RGB),
    "mono16": (1, cv2.COLOR_GRAY2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    **{f"bayer_rggb{bits}": (1, cv2.COLOR_BayerBG2RGB) for bits in (8, 16)},
    **{f"bayer_bggr{bits}": (1, cv2.COLOR_BayerRG2RGB) for bits in (8, 16)},
    **{f"bayer_gbrg{bits}": (1, cv2.COLOR_BayerGR2RGB) for bits in (8, 16)},
    **{f"bayer_grbg{bits}": (1, cv2.COLOR_BayerGB2RGB) for bits in (8, 16)},
}


def pixels(encoding: str) -> np.ndarray:
    """(H, W) or (H, W, C) noise over the whole range."""
    dtype = np.uint16 if encoding.endswith("16") else np.uint8
    channels = RULES[encoding][0]
    shape = (HEIGHT, WIDTH) if channels == 1 else (HEIGHT, WIDTH, channels)
    return np.random.default_rng(len(encoding)).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def message(encoding: str, image: np.ndarray, *, padding: int = 0, big: bool = False) -> Any:
    """An Image whose rows end with `padding` bytes of noise."""
    rows = image.astype(image.dtype.newbyteorder(">" if big else "<")).reshape(HEIGHT, -1).view(np.uint8)
    noise = np.full((HEIGHT, padding), 173, np.uint8)
    data = np.hstack([rows, noise])
    return SimpleNamespace(
        header=None,
        encoding=encoding,
        height=HEIGHT,
        width=WIDTH,
        step=data.shape[1],
        is_bigendian=big,
        data=data.reshape(-1),
    )


def by_cv_bridge(encoding: str, image: np.ndarray) -> np.ndarray:
    """toCvCopy(image, "rgb8"): the colour conversion at the depth of the source, then the scaling."""
    code = RULES[encoding][1]
    colour = image if code is None else np.asarray(cv2.cvtColor(image, code))
    if colour.dtype == np.uint8:
        return colour
    return np.asarray(cv2.convertScaleAbs(colour, alpha=255.0 / 65535.0))


@pytest.mark.parametrize("encoding", RULES)
@pytest.mark.parametrize("padding", [0, 4])
def test_every_encoding(encoding: str, padding: int) -> None:
    image = pixels(encoding)
    decoded = decode_image(message(encoding, image, padding=padding), CAMERA)
    assert (decoded.dtype, decoded.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
    np.testing.assert_array_equal(decoded, by_cv_bridge(encoding, image))


@pytest.mark.parametrize("encoding", [name for name in RULES if name.endswith("16")])
def test_bytes_in_the_other_order(encoding: str) -> None:
    image = pixels(encoding)
    np.testing.assert_array_equal(
        decode_image(message(encoding, image, big=True), CAMERA), by_cv_bridge(encoding, image)
    )


def test_every_value_of_16_bits_is_scaled_with_rounding() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    sent = SimpleNamespace(
        header=None,
        encoding="mono16",
        height=256,
        width=256,
        step=512,
        is_bigendian=False,
        data=values.reshape(-1).view(np.uint8),
    )
    camera: Any = SimpleNamespace(name="top", image_topic="/image", height=256, width=256)
    np.testing.assert_array_equal(
        decode_image(sent, camera)[..., 0], cv2.convertScaleAbs(values, alpha=255.0 / 65535.0)
    )


@pytest.mark.parametrize("form", [".png", ".jpg"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_compressed_pictures(form: str, channels: int) -> None:
    encoding = {1: "mono8", 3: "bgr8", 4: "bgra8"}[channels]
    data = cv2.imencode(form, pixels(encoding))[1]
    stored = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))
    code = {2: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB}[stored.ndim]
    expected = cv2.cvtColor(stored[..., :3] if stored.ndim == 3 else stored, code)
    sent = SimpleNamespace(header=None, format=f"{encoding}; {form[1:]} compressed", data=data.tobytes())
    np.testing.assert_array_equal(decode_image(sent, CAMERA), expected)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"encoding": "rgb12"}, "cannot decode"),
        ({"step": WIDTH}, "rows too short"),
        ({"data": np.zeros(7, np.uint8)}, "cut short"),
    ],
)
def test_what_cv_bridge_refuses_is_refused(change: dict, problem: str) -> None:
    sent = message("rgb8", pixels("rgb8"))
    vars(sent).update(change)
    with pytest.raises(EmmaError, match=problem):
        decode_image(sent, CAMERA)


def test_depth_is_no_colour_picture() -> None:
    with pytest.raises(EmmaError, match="cannot decode"):
        decode_image(message("32FC1", np.zeros((HEIGHT, WIDTH), np.float32)), CAMERA)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG"])
def test_compressed_rubbish(data: bytes) -> None:
    sent = SimpleNamespace(header=None, format="jpeg", data=data)
    with pytest.raises(EmmaError, match="cannot decode"):
        decode_image(sent, CAMERA)
