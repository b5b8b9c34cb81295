"""What an MCAP file holds, read from front to back without trusting its end: the basis of reading and of repair.

Chunk bodies are skipped, so that a scan touches a few pages per chunk. Records of unknown opcodes are skipped, message
indexes and chunks are optional, and types are taken from inside chunks where nothing else has them
(https://mcap.dev/spec). Where the bytes stop being records, the chunk index of a whole summary gives the next place to
go on. Of a file without its end the last chunks are walked through: a power cut can leave them in place but empty.
"""

import mmap
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcap.opcode import Opcode
from mcap.records import ChunkIndex, DataEnd

from emma.bags.append_file import BLOCK
from emma.bags.mcap_contents import ChunkEntry, McapScan, add_to_run, keep, keep_types
from emma.bags.mcap_format import CHUNK_HEAD, INDEX_ENTRY, INDEX_HEAD, MAGIC, MESSAGE_HEAD, RECORD_HEAD
from emma.bags.mcap_records import BROKEN, RELEASE_BYTES, chunk_body, messages, plain, stream, walk
from emma.bags.mcap_summary import Summary, read_summary
from emma.errors import EmmaError

# How much of the end is walked through message by message: more than any disk loses from its cache between two syncs.
CHECKED_BYTES = 256 << 20


def scan(path: Path) -> McapScan:
    """Scan one file. Raises EmmaError if it is not an MCAP file."""
    size = path.stat().st_size
    found = McapScan(path=path, size=size)
    if size == 0:
        return found
    with path.open("rb") as file:
        # Not closed by hand: an error on the way may still hold a view of it.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        _scan(memoryview(mapped), found, lambda: mapped.madvise(mmap.MADV_DONTNEED))
    return found


def _scan(view: memoryview, found: McapScan, release: Callable[[], None]) -> None:
    if bytes(view[: len(MAGIC)]) != MAGIC[: found.size]:
        raise EmmaError(
            f"{found.path} is not an MCAP file", found=bytes(view[:8]), expected=MAGIC, fix="it cannot be repaired"
        )
    summary = read_summary(view)
    at = len(MAGIC)
    while not _scan_records(view, found, at, release, summary):
        if summary is None or not summary.start:
            break
        # Bytes that are no record: go on with the next chunk that the summary knows.
        following = summary.next_chunk(found.end)
        found.gaps.append((found.end, following or summary.start))
        at = found.end = following or summary.start
        if following is None:
            found.finished = True
            break
    if summary is not None:
        found.types_differ = _differ(found.schemas, summary.schemas) or _differ(found.channels, summary.channels)
        found.schemas.update(summary.schemas)
        found.channels.update(summary.channels)
        found.statistics = summary.statistics
    if not found.finished:
        _save_torn(found, view)


def _differ(found: Mapping[int, Any], stated: Mapping[int, Any]) -> bool:
    return any(found[number] != record for number, record in stated.items() if number in found)


def _scan_records(
    view: memoryview, found: McapScan, start: int, release: Callable[[], None], summary: Summary | None
) -> bool:
    """Take the records from `start` on; whether they reach the end of the data section."""
    has_end = summary is not None
    chunk: _Chunk | None = None
    released = start
    for opcode, at, following in walk(view, start):
        if following - released >= RELEASE_BYTES:
            release()
            released = following
        if opcode == Opcode.MESSAGE_INDEX and chunk is None:
            continue
        if opcode != Opcode.MESSAGE_INDEX and chunk is not None:
            if not chunk.close(found, view, check=not has_end):
                return False
            chunk = None
        try:
            if opcode == Opcode.CHUNK:
                if summary is not None and following > (summary.next_chunk(at) or following):
                    return False
                chunk = _Chunk(view, at, following)
            elif opcode == Opcode.MESSAGE_INDEX and chunk is not None:
                chunk.add_index(view, at)
            elif opcode == Opcode.MESSAGE:
                add_to_run(found, view, at, following)
            elif opcode in (Opcode.DATA_END, Opcode.FOOTER):
                if opcode == Opcode.DATA_END:
                    found.data_crc = DataEnd.read(stream(view, at, following)).data_section_crc
                found.finished = has_end
                return True
            else:
                keep(found, opcode, view, at, following)
        except BROKEN:
            return False
        if chunk is None:
            found.end = following
    if chunk is not None and (has_end or chunk.counts):
        chunk.close(found, view, check=not has_end)
    # Else the file was cut before the indexes of its last chunk: repair writes that chunk again, with them.
    return False


class _Chunk:
    """A chunk with the message indexes that follow it."""

    def __init__(self, view: memoryview, start: int, end: int) -> None:
        _, _, first, last, size, _ = CHUNK_HEAD.unpack_from(view, start)
        self.compression, self.records = chunk_body(view, start)
        self.end = end
        self.counts: dict[int, int] = {}
        self.index = ChunkIndex(
            chunk_length=end - start,
            chunk_start_offset=start,
            compression=self.compression,
            compressed_size=len(self.records),
            message_end_time=last,
            message_index_length=0,
            message_index_offsets={},
            message_start_time=first,
            uncompressed_size=size,
        )

    def add_index(self, view: memoryview, at: int) -> None:
        _, length, channel_id, array = INDEX_HEAD.unpack_from(view, at)
        self.index.message_index_offsets[channel_id] = at
        self.index.message_index_length += RECORD_HEAD.size + length
        self.counts[channel_id] = array // INDEX_ENTRY.size
        self.end = at + RECORD_HEAD.size + length

    def close(self, found: McapScan, view: memoryview, *, check: bool) -> bool:
        """Take the chunk if it is whole; near the end of a file that was not finished that is checked."""
        if not self.counts:
            # No message indexes: the only way to know is to look.
            data = plain(self.records, self.compression)
            self.counts = Counter(message.channel_id for message in messages(data))
            keep_types(found, data)
        elif check and self.end > found.size - CHECKED_BYTES:
            inside = messages(plain(self.records, self.compression))
            if Counter(message.channel_id for message in inside) != self.counts:
                return False
        if not self.counts.keys() <= found.channels.keys():
            keep_types(found, plain(self.records, self.compression))
        found.chunks.append(ChunkEntry(self.index, self.counts))
        found.end = self.end
        return True


def _save_torn(found: McapScan, view: memoryview) -> None:
    """Read what can be read of a chunk at the end of the whole records."""
    left = found.size - found.end
    if left and view[found.end] == Opcode.DATA_END:
        return  # everything is there but the index, which repair writes again
    if found.end + CHUNK_HEAD.size + 12 <= found.size and view[found.end] == Opcode.CHUNK:
        try:
            compression, records = chunk_body(view, found.end)
            data = plain(records, compression)
            keep_types(found, data)
        except BROKEN:
            data = view[:0]
        found.torn = [
            message._replace(data=memoryview(bytes(message.data)))
            for message in messages(data)
            if message.channel_id in found.channels
        ]
    if not found.torn and left < BLOCK and not any(view[found.end :]):
        return  # the last block of a file written directly, filled up with zeros
    found.cut_bytes = max(0, left - sum(MESSAGE_HEAD.size + len(message.data) for message in found.torn))
