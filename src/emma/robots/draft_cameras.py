"""Cameras of a draft robot from the image streams that were heard."""

import re
from dataclasses import dataclass

from emma.robots.heard import COMPRESSED, IMAGE, Heard

# What image_transport and common drivers call the last parts of a topic; what is left names the camera.
_ENDS = re.compile(
    r"/(compressed|image_raw|image_rect(_raw|_color)?|image_color|image|color|rgb|depth|camera|aligned_depth_to_color)$"
)


@dataclass(frozen=True, kw_only=True)
class DraftCamera:
    """One colour stream with what belongs to it; sizes and rate as heard."""

    name: str
    image_topic: str
    transport: str
    width: int
    height: int
    rate_hz: float
    encoding: str
    info_topic: str = ""
    depth_topic: str = ""
    frame_id: str = ""


def cameras_of(heard: Heard) -> tuple[list[DraftCamera], list[str]]:
    """The cameras, and notes about streams that were left out.

    A camera that sends raw and compressed images is taken raw. Depth belongs to the colour stream with the longest
    common beginning of names, if its size is the same.
    """
    colour: list[str] = []
    depth: list[str] = []
    notes: list[str] = []
    for topic in heard.of_type(IMAGE, COMPRESSED):
        image = heard.images.get(topic)
        if image is None:
            if heard.traffic[topic].publishers:
                why = heard.broken.get(topic, "no image came")
                notes.append(f"{topic} is left out: {why}")
            continue
        (depth if image.depth else colour).append(topic)
    raw = [topic for topic in colour if heard.traffic[topic].type == IMAGE]
    packed = [topic for topic in colour if topic not in raw]
    twice = [topic for topic in packed if topic.removesuffix("/compressed") in raw]
    notes += [f"{topic} is left out: {topic.removesuffix('/compressed')} has the same pictures raw" for topic in twice]
    chosen = sorted([*raw, *(topic for topic in packed if topic not in twice)])
    names = _names_of(chosen)
    cameras = []
    for topic in chosen:
        image, transport = heard.images[topic], "raw" if topic in raw else "compressed"
        cameras.append(
            DraftCamera(
                name=names[topic],
                image_topic=topic,
                transport=transport,
                width=image.width,
                height=image.height,
                rate_hz=usual_rate(heard.traffic[topic].rate_hz),
                encoding=image.encoding,
                info_topic=_info_topic(topic, heard),
                depth_topic=_depth_topic(topic, depth, heard),
                frame_id=image.frame_id,
            )
        )
    return cameras, notes


def _info_topic(topic: str, heard: Heard) -> str:
    """`camera_info` beside the image, where image_transport puts it."""
    beside = topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
    return beside if beside in heard.infos else ""


def _depth_topic(topic: str, depth: list[str], heard: Heard) -> str:
    image = heard.images[topic]
    fitting = [
        each
        for each in depth
        if (heard.images[each].width, heard.images[each].height) == (image.width, image.height)
        and heard.traffic[each].type == IMAGE
        and _common(topic, each) >= 1
    ]
    return max(fitting, key=lambda each: _common(topic, each), default="")


def _common(one: str, other: str) -> int:
    """How many parts of two topics are alike from the beginning."""
    parts = list(zip(one.split("/")[1:], other.split("/")[1:], strict=False))
    return next((i for i, (a, b) in enumerate(parts) if a != b), len(parts))


def _names_of(topics: list[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for topic in topics:
        stem = topic
        while (shorter := _ENDS.sub("", stem)) and shorter != stem:
            stem = shorter
        parts = [part for part in stem.split("/") if part and part != "camera"] or ["camera"]
        name = re.sub(r"\W", "_", parts[-1], flags=re.ASCII)
        if name in names.values() and len(parts) > 1:
            name = re.sub(r"\W", "_", "_".join(parts[-2:]), flags=re.ASCII)
        if not name.isidentifier():
            name = f"camera_{name}"
        while name in names.values():
            name += "_"
        names[topic] = name
    return names


def usual_rate(rate_hz: float) -> float:
    """A rate as drivers are set: measured ones are a little off."""
    usual = (5, 6, 10, 15, 20, 24, 25, 30, 50, 60, 90, 100, 120, 125, 200, 250, 400, 500, 1000)
    near = min(usual, key=lambda each: abs(each - rate_hz))
    return float(near) if rate_hz and abs(near - rate_hz) <= 0.08 * near else round(max(rate_hz, 0.1), 1)
