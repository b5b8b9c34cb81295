"""Cameras of a spec against the image streams that were heard."""

from collections.abc import Iterator

from emma.robots.findings import Finding, Level
from emma.robots.heard import COMPRESSED, IMAGE, Heard, Traffic
from emma.robots.rates import check_clock, check_rate
from emma.robots.spec import TRANSPORTS, Camera, RobotSpec

# What becomes rgb8 (`rosbags.image`); compressed formats are told by their text.
ENCODINGS = ("rgb", "bgr", "mono8", "bayer", "yuv", "uyvy", "yuyv", "8UC3", "8UC1", "nv", "mono16", "16UC3")


def check_cameras(spec: RobotSpec, heard: Heard) -> Iterator[Finding]:
    """Topic, transport, size, encoding, rate, clock, depth and CameraInfo of every camera."""
    for camera in spec.cameras:
        where = f"camera {camera.name} in {spec.folder / 'robot.yaml'}"
        yield from _check_image(camera, heard, where)
        if camera.info_topic:
            yield from _check_info(camera, heard, where)
        if camera.depth_topic:
            yield from _check_depth(camera, heard, where)


def _check_image(camera: Camera, heard: Heard, where: str) -> Iterator[Finding]:
    topic, kind = camera.image_topic, TRANSPORTS[camera.transport]
    seen = heard.traffic.get(topic)
    if seen is None or not seen.publishers or seen.type != kind:
        yield _absent(topic, seen, kind, heard.of_type(IMAGE, COMPRESSED), f"transport and topics of {where}")
        return
    image = heard.images.get(topic)
    if image is None:
        yield Finding(
            what=topic,
            found=heard.broken.get(topic, f"{seen.count} images, none that can be read"),
            expected=f"images of {camera.width} x {camera.height}",
            fix="see that the camera is plugged in and its driver is active",
        )
        return
    if (image.width, image.height) != (camera.width, camera.height):
        yield Finding(
            what=topic,
            found=f"{image.width} x {image.height}",
            expected=f"{camera.width} x {camera.height}",
            fix=f"set the driver's resolution, or width and height of {where}",
        )
    plain = image.encoding.lower()
    if camera.transport == "raw" and not plain.startswith(tuple(each.lower() for each in ENCODINGS)):
        yield Finding(
            what=topic,
            found=f"encoding {image.encoding}",
            expected="an encoding that becomes rgb8, as rgb8, bgr8 or yuv422",
            fix="set the driver's encoding; depth belongs under depth_topic",
        )
    yield from check_rate(topic, seen, camera.rate_hz, f"rate_hz of {where}")
    yield from check_clock(topic, seen)


def _check_info(camera: Camera, heard: Heard, where: str) -> Iterator[Finding]:
    topic = camera.info_topic or ""
    info = heard.infos.get(topic)
    if info is None:
        yield Finding(
            what=topic,
            found="no CameraInfo",
            expected="CameraInfo beside the images",
            fix=f"let the driver publish it, or take info_topic out of {where}",
        )
    elif (info.width, info.height) != (camera.width, camera.height):
        yield Finding(
            what=topic,
            found=f"CameraInfo of {info.width} x {info.height}",
            expected=f"{camera.width} x {camera.height}",
            fix="calibrate the camera at the size it is used with",
        )
    elif not info.k or info.k[0] <= 0:
        yield Finding(
            what=topic,
            found="a camera matrix of zeros",
            expected="a calibrated camera",
            fix="calibrate it (ros2 run camera_calibration cameracalibrator): projection and generators need it",
            level=Level.WARNING,
        )


def _check_depth(camera: Camera, heard: Heard, where: str) -> Iterator[Finding]:
    topic = camera.depth_topic or ""
    seen, image = heard.traffic.get(topic), heard.images.get(topic)
    if seen is None or not seen.publishers or seen.type != IMAGE:
        yield _absent(topic, seen, IMAGE, heard.of_type(IMAGE), f"depth_topic of {where}")
    elif image is not None and not image.depth:
        yield Finding(
            what=topic,
            found=f"encoding {image.encoding}",
            expected="16UC1 in mm or 32FC1 in m",
            fix=f"name the depth stream as depth_topic of {where}",
        )
    elif image is not None and (image.width, image.height) != (camera.width, camera.height):
        yield Finding(
            what=topic,
            found=f"{image.width} x {image.height}",
            expected=f"{camera.width} x {camera.height}, as the colour image",
            fix="align depth to colour in the driver (align_depth)",
        )


def _absent(topic: str, seen: Traffic | None, kind: str, others: list[str], where: str) -> Finding:
    found = f"published as {seen.type}" if seen is not None and seen.publishers else "no publisher"
    return Finding(
        what=topic,
        found=f"{found}; images come on {', '.join(others) or 'no topic'}",
        expected=kind,
        fix=f"start the driver, or correct {where}",
    )
