"""The summary at the end of a finished MCAP file: its types, the places of its chunks, its statistics."""

import zlib
from bisect import bisect_right
from dataclasses import dataclass, field

from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Footer, Schema, Statistics

from emma.bags.mcap_format import MAGIC, RECORD_HEAD
from emma.bags.mcap_records import BROKEN, stream, walk

# Footer record and magic: where every finished file ends.
FOOTER_BYTES = RECORD_HEAD.size + 20 + len(MAGIC)


@dataclass
class Summary:
    """The summary section of a finished file, if its CRC holds (or it has none)."""

    start: int = 0
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunk_starts: list[int] = field(default_factory=list)
    statistics: Statistics | None = None

    def next_chunk(self, at: int) -> int | None:
        """Where the first chunk after `at` begins."""
        place = bisect_right(self.chunk_starts, at)
        return self.chunk_starts[place] if place < len(self.chunk_starts) else None


def read_summary(view: memoryview) -> Summary | None:
    """The summary of a file that ends as MCAP files do; None if the end is missing or damaged."""
    try:
        if len(view) < len(MAGIC) + FOOTER_BYTES or bytes(view[-len(MAGIC) :]) != MAGIC:
            return None
        at = len(view) - FOOTER_BYTES
        if RECORD_HEAD.unpack_from(view, at) != (Opcode.FOOTER, 20):
            return None
        footer = Footer.read(stream(view, at, len(view)))
        summary = Summary()
        if not footer.summary_start:
            return summary
        summary.start = footer.summary_start
        if not len(MAGIC) <= footer.summary_start <= at:
            return None
        # The CRC covers the summary and the footer up to the CRC itself.
        crc = zlib.crc32(view[footer.summary_start : len(view) - len(MAGIC) - 4])
        if footer.summary_crc and footer.summary_crc != crc:
            return None
        for opcode, start, end in walk(view[:at], footer.summary_start):
            body = stream(view, start, end)
            if opcode == Opcode.SCHEMA:
                schema = Schema.read(body)
                summary.schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                channel = Channel.read(body)
                summary.channels[channel.id] = channel
            elif opcode == Opcode.CHUNK_INDEX:
                summary.chunk_starts.append(ChunkIndex.read(body).chunk_start_offset)
            elif opcode == Opcode.STATISTICS:
                summary.statistics = Statistics.read(body)
        summary.chunk_starts.sort()
        return summary
    except BROKEN:
        return None
