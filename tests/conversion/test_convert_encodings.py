"""Bags to datasets: encodings of colour and depth that other drivers publish."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from emma.bags.message_definitions import typestore
from emma.conversion.convert import ConvertReport, convert
from emma.datasets.encode import encode_png
from emma.datasets.index import read_provenance

Make = Callable


def only_reason(report: ConvertReport) -> str:
    [result] = report.results
    assert result.outcome in ("refused", "skipped"), result
    return result.reason


BAYER = ("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8", "bayer_grbg16")


def other_encoding(encoding: str, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as that encoding stores them, and the RGB they stand for."""
    if encoding == "bgr8":
        return rgb[..., ::-1], rgb
    if encoding == "rgba8":
        return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]), rgb
    if encoding == "mono8":
        return rgb[..., 0], np.repeat(rgb[..., :1], 3, axis=2)
    if encoding == "mono16":
        return rgb[..., 0].astype(np.uint16) * 257, np.repeat(rgb[..., :1], 3, axis=2)
    # A Bayer encoding names the colours of the first two rows; one colour everywhere is reconstructed exactly.
    flat = np.broadcast_to(rgb[0, 0], rgb.shape).copy()
    pattern = encoding.removeprefix("bayer_")[:4]
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        mosaic[rows, columns] = flat[rows, columns, "rgb".index(colour)]
    return (mosaic.astype(np.uint16) * 257 if encoding.endswith("16") else mosaic), flat


@pytest.mark.parametrize("encoding", ["bgr8", "rgba8", "mono8", "mono16", *BAYER])
def test_other_encodings_and_float_depth(tmp_path: Path, make_spec: Make, make_scene: Make, encoding: str) -> None:
    spec = make_spec(cameras=("top",))
    scene = make_scene(spec, seconds=0.3)
    store = typestore()
    expected = {}
    for i, (log_ns, topic, stamp, data) in enumerate(scene.messages):
        if not topic.startswith("/top"):
            continue
        message = store.deserialize_cdr(data, "sensor_msgs/msg/Image")
        if topic == "/top/depth":
            pixels = message.data.view(np.uint16).reshape(24, 32)
            metres = pixels.astype(np.float32) / 1000
            metres[0, 0] = np.nan
            expected[topic, stamp] = np.where(np.isnan(metres), 0, pixels)
            stored, name = metres, "32FC1"
        else:
            stored, expected[topic, stamp] = other_encoding(encoding, message.data.reshape(24, 32, 3))
            name = encoding
        stored = np.ascontiguousarray(stored)
        changed = replace(message, encoding=name, step=stored.nbytes // 24, data=stored.reshape(-1).view(np.uint8))
        scene.messages[i] = (log_ns, topic, stamp, bytes(store.serialize_cdr(changed, message.__msgtype__)))
    scene.record(tmp_path / "bags")
    assert convert(tmp_path / "bags", tmp_path / "data", spec).count("converted") == 1
    item = LeRobotDataset("local/test", root=tmp_path / "data")[0]
    first = read_provenance(tmp_path / "data")[0]["first_stamp_ns"]
    pixels = (item["observation.images.top"] * 255).round().permute(1, 2, 0).numpy()
    np.testing.assert_allclose(pixels, expected["/top/image", first], atol=1)
    np.testing.assert_array_equal(item["observation.depth.top"][0], expected["/top/depth", first])


def test_compressed_images(tmp_path: Path, make_spec: Make, make_scene: Make) -> None:
    spec = make_spec(cameras=("top",))
    scene = make_scene(spec, seconds=0.3)
    store = typestore()
    expected = {}
    for i, (log_ns, topic, stamp, data) in enumerate(scene.messages):
        if topic != "/top/image":
            continue
        message = store.deserialize_cdr(data, "sensor_msgs/msg/Image")
        rgb = expected[stamp] = message.data.reshape(24, 32, 3)
        png = np.frombuffer(encode_png(rgb), np.uint8)
        packed = store.types["sensor_msgs/msg/CompressedImage"](header=message.header, format="png", data=png)
        scene.messages[i] = (log_ns, topic, stamp, bytes(store.serialize_cdr(packed, packed.__msgtype__)))
    spec = scene.spec = replace(spec, cameras=(replace(spec.cameras[0], transport="compressed"),))
    scene.record(tmp_path / "bags")
    report = convert(tmp_path / "bags", tmp_path / "data", spec)
    assert report.count("converted") == 1, report
    item = LeRobotDataset("local/test", root=tmp_path / "data")[0]
    first = read_provenance(tmp_path / "data")[0]["first_stamp_ns"]
    pixels = (item["observation.images.top"] * 255).round().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(pixels, expected[first])


def test_an_image_that_cannot_be_decoded_refuses_its_episode(tmp_path: Path, make_spec: Make, make_scene: Make) -> None:
    spec = make_spec(cameras=("top",))
    make_scene(spec, seconds=0.3).record(tmp_path / "bags")
    wide = replace(spec, cameras=(replace(spec.cameras[0], width=64),))
    reason = only_reason(convert(tmp_path / "bags", tmp_path / "data", wide))
    assert "wrong image size on /top/image, found 32 x 24, expected 64 x 24" in reason
