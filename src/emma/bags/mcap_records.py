"""Walking the records of an MCAP file and of its chunks, which may be cut short or damaged anywhere."""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode

from emma.bags.mcap_format import CHUNK_HEAD, MESSAGE_HEAD, RECORD_HEAD

# Pages of a bag stay in the page cache; after so much of it they stop counting as memory of this process.
RELEASE_BYTES = 64 << 20
# What parsing bytes that are no record may raise.
BROKEN = (McapError, ValueError, IndexError, OverflowError, struct.error, EOFError)


class RawMessage(NamedTuple):
    """One message record: data is a view into the chunk."""

    channel_id: int
    sequence: int
    log_time_ns: int
    publish_time_ns: int
    data: memoryview


def walk(data: memoryview, at: int = 0) -> Iterator[tuple[int, int, int]]:
    """Opcode, start and end of every whole record from `at` on, known or not; ends where the bytes are no record."""
    while at + RECORD_HEAD.size <= len(data):
        opcode, length = RECORD_HEAD.unpack_from(data, at)
        end = at + RECORD_HEAD.size + length
        if end > len(data) or not opcode:
            return
        yield opcode, at, end
        at = end


def stream(view: memoryview, at: int, end: int) -> ReadDataStream:
    """The content of the record from `at` to `end`, for the library's classes."""
    return ReadDataStream(BytesIO(bytes(view[at + RECORD_HEAD.size : end])))


def messages(data: memoryview) -> Iterator[RawMessage]:
    """The whole messages of a chunk's decompressed records, which may be cut short anywhere."""
    for opcode, at, end in walk(data):
        if opcode == Opcode.MESSAGE and end - at >= MESSAGE_HEAD.size:
            _, _, channel_id, sequence, log_time, publish_time = MESSAGE_HEAD.unpack_from(data, at)
            yield RawMessage(channel_id, sequence, log_time, publish_time, data[at + MESSAGE_HEAD.size : end])


def chunk_body(view: memoryview, start: int) -> tuple[str, memoryview]:
    """Compression and stored records of the chunk at `start`; the records end where the file ends, if it is cut."""
    at = start + CHUNK_HEAD.size
    tag = int.from_bytes(view[at : at + 4], "little")
    if tag > 16:
        raise ValueError("no chunk here")
    compression = bytes(view[at + 4 : at + 4 + tag]).decode()
    at += 4 + tag
    stored = int.from_bytes(view[at : at + 8], "little")
    return compression, view[at + 8 : at + 8 + stored]


def plain(records: memoryview, compression: str) -> memoryview:
    """The records of a chunk, decompressed as far as they can be."""
    return memoryview(_decompressed(records, compression)) if compression else records


def _decompressed(records: memoryview, compression: str) -> bytes:
    """As much as a compressed chunk gives back."""
    if compression not in ("zstd", "lz4"):
        return b""
    decompressor = (
        zstandard.ZstdDecompressor().decompressobj() if compression == "zstd" else lz4.frame.LZ4FrameDecompressor()
    )
    parts = []
    try:
        for at in range(0, len(records), 1 << 16):
            parts.append(decompressor.decompress(bytes(records[at : at + (1 << 16)])))
    except (zstandard.ZstdError, RuntimeError, EOFError):
        pass  # cut or damaged here; what came before is whole
    return b"".join(parts)
