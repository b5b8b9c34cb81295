"""Which recordings lie below a folder, and the reader of each."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from emma.errors import EmmaError
from emma.human import aria, bag, egodex, table
from emma.human.recording import Recording
from emma.human.video import frames_at

READERS: Mapping[str, Callable[[Path], Recording]] = {
    egodex.FORMAT: egodex.read_egodex,
    aria.FORMAT: aria.read_aria,
    table.FORMAT: table.read_table,
    bag.FORMAT: bag.read_bag,
}
PICKLES = (".pkl", ".pickle", ".p")


def find_recordings(path: Path) -> list[tuple[str, Path]]:
    """(format, place) of every recording at or below `path`, sorted. Raises EmmaError if there is none."""
    if not path.exists():
        raise EmmaError(f"no {path}", found="nothing there", expected="a recording, or a folder with some")
    if path.suffix in PICKLES:
        raise _pickle(path)
    places = [path] if path.is_file() else sorted(path.rglob("*"))
    found: list[tuple[str, Path]] = []
    for place in places:
        if place.suffix in egodex.SUFFIXES and place.is_file():
            found.append((egodex.FORMAT, place))
        elif place.suffix in table.SUFFIXES and place.with_suffix(".yaml").is_file():
            found.append((table.FORMAT, place))
        elif place.name in (Path(aria.HANDS).name, Path(aria.OLD_HANDS).name) and place.parent.name == "hand_tracking":
            found.append((aria.FORMAT, place.parent.parent))
        elif place.name == bag.MAP:
            found.append((bag.FORMAT, place.parent))
    found = list(dict.fromkeys(found))
    if not found:
        pickles = [place for place in places if place.suffix in PICKLES]
        if pickles:
            raise _pickle(pickles[0])
        raise EmmaError(
            f"no recordings of hands below {path}",
            found="no EgoDex .hdf5, no Aria hand_tracking folder, no table with a column map (NAME.csv, NAME.yaml), "
            f"no bag with {bag.MAP}",
            expected="one of these",
            fix="export to a table: docs/how-to/human-video.md",
        )
    return found


def read_recording(format_name: str, place: Path) -> Recording:
    """Raises EmmaError for whatever is wrong with it."""
    return READERS[format_name](place)


def frames_of(recording: Recording, indices: np.ndarray, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 RGB of video frames `indices`, which do not decrease, scaled to `size` (width, height)."""
    if recording.image_topic:
        return bag.bag_frames(recording.video, recording.image_topic, indices, size)
    return frames_at(recording.video, indices, size)


def _pickle(path: Path) -> EmmaError:
    return EmmaError(
        f"{path} is a pickle",
        found="a file that runs code when it is opened",
        expected="HDF5, CSV or Parquet",
        fix="convert it to a table with the tool that wrote it: docs/how-to/human-video.md",
    )
