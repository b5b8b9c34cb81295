"""rosbag2's own compression: whole files, or each message by itself, both zstd (MCAP's chunks are another matter)."""

import shutil
from pathlib import Path

import zstandard

from emma.errors import EmmaError
from emma.files import no_room

PACKED = ".zstd"
# The first bytes of a zstd frame (RFC 8878). No CDR message begins with them: its first byte is 0.
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PIECE_BYTES = 1 << 20


def is_packed(data: memoryview | bytes) -> bool:
    """Whether a message is compressed by itself."""
    return bytes(data[:4]) == ZSTD_MAGIC


def unpack(data: memoryview | bytes) -> bytes:
    """A message that was compressed by itself. Raises ValueError if it is cut short or damaged."""
    # Streaming: a damaged frame may announce any size, and nothing may be allocated for a promise.
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    try:
        plain = decompressor.decompress(bytes(data))
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    if not decompressor.eof:
        raise ValueError("compressed data cut short")
    return plain


def unpack_file(source: Path, target: Path) -> str:
    """Decompress a file; returns why its end is missing, "" if nothing is. Raises EmmaError without room for it."""
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    try:
        with source.open("rb") as packed, target.open("wb") as plain:
            while piece := packed.read(PIECE_BYTES):
                try:
                    plain.write(decompressor.decompress(piece))
                except zstandard.ZstdError as error:
                    return f"{source.name}: zstd data damaged ({error})"
                if decompressor.eof:
                    more = decompressor.unused_data or packed.read(1)
                    return f"{source.name}: data after its end" if more else ""
        return f"{source.name}: zstd data cut short"
    except OSError as error:
        if not no_room(error):
            raise
        raise EmmaError(
            f"no room to unpack {source.name}",
            found=f"{shutil.disk_usage(target.parent).free / 1e9:.1f} GB free in {target.parent}",
            expected="room for the file without compression",
            fix="set TMPDIR to a folder on a disk with room",
        ) from None
