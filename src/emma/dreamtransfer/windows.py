"""Long episodes in windows: each begins with frames that the one before has made, held fixed."""

from dataclasses import dataclass

from emma.errors import EmmaError


@dataclass(frozen=True, kw_only=True)
class Window:
    """Frames start to stop; the first `known` of them are there already. Beyond the episode its last frame repeats."""

    start: int
    stop: int
    known: int


def windows(length: int, size: int, overlap: int) -> list[Window]:
    """Cover `length` frames with windows of exactly `size` frames that share `overlap`.

    The last window may reach beyond the end. Raises EmmaError for sizes that make no progress.
    """
    if length < 1 or not 0 <= overlap < size:
        raise EmmaError(
            "windows that do not cover an episode",
            found=f"{length} frames in windows of {size} with {overlap} shared",
            expected="at least one frame, and an overlap shorter than a window",
        )
    found = [Window(start=0, stop=size, known=0)]
    while found[-1].stop < length:
        start = found[-1].stop - overlap
        found.append(Window(start=start, stop=start + size, known=overlap))
    return found
