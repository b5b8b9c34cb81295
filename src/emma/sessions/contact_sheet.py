"""What the cameras saw, on one picture: a row per episode and camera, time from left to right."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from emma.bags.reader import Bag
from emma.files import atomic_write_bytes
from emma.messages import decode_image
from emma.robots.spec import Camera, RobotSpec

COLUMNS = 8
LABEL_PX, GAP_PX = 16, 2
BACKGROUND, INK = (24, 24, 24), (230, 230, 230)


def contact_sheet(bags: Sequence[tuple[str, Path]], spec: RobotSpec, path: Path) -> Path:
    """Write a PNG with COLUMNS evenly spaced pictures of every camera of every (label, bag); returns `path`."""
    rows: list[tuple[str, list[np.ndarray]]] = []
    for label, folder in bags:
        with Bag(folder) as bag:
            for camera in spec.cameras:
                if pictures := _pictures(bag, camera):
                    rows.append((f"{camera.name}: {label}", pictures))
    width = max(sum(p.shape[1] + GAP_PX for p in pictures) for _, pictures in rows)
    height = sum(LABEL_PX + pictures[0].shape[0] + GAP_PX for _, pictures in rows)
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw, y = ImageDraw.Draw(sheet), 0
    for label, pictures in rows:
        draw.text((2, y + 2), label, fill=INK)
        y, x = y + LABEL_PX, 0
        for picture in pictures:
            sheet.paste(Image.fromarray(picture), (x, y))
            x += picture.shape[1] + GAP_PX
        y += pictures[0].shape[0] + GAP_PX
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    atomic_write_bytes(path, buffer.getvalue())
    return path


def _pictures(bag: Bag, camera: Camera) -> list[np.ndarray]:
    topic = bag.topics.get(camera.image_topic)
    if topic is None:
        return []
    positions = bag.index.of(topic.number)
    chosen = np.unique(np.linspace(0, len(positions) - 1, COLUMNS).astype(int)) if len(positions) else []
    return [decode_image(bag.message(int(positions[i])), camera) for i in chosen]
