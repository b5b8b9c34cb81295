"""MCAP's records as bytes: the fixed heads of the hot path, the library's classes for the rest (https://mcap.dev/spec)."""

import struct
import zlib
from collections.abc import Mapping, Sequence

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    DataEnd,
    Footer,
    McapRecord,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

MAGIC = b"\x89MCAP0\r\n"
RECORD_HEAD = struct.Struct("<BQ")  # opcode, length of what follows
MESSAGE_HEAD = struct.Struct("<BQHIQQ")  # opcode, length, channel, sequence, log time, publish time
CHUNK_HEAD = struct.Struct("<BQQQQI")  # opcode, length, first and last log time, uncompressed size, CRC-32
INDEX_HEAD = struct.Struct("<BQHI")  # opcode, length, channel, bytes of the array
INDEX_ENTRY = struct.Struct("<QQ")  # log time, offset in the uncompressed chunk


def record_bytes(record: McapRecord) -> bytes:
    """The bytes of one record."""
    builder = RecordBuilder()
    record.write(builder)
    return bytes(builder.end())


def ending(
    *,
    at: int,
    schemas: Sequence[Schema],
    channels: Sequence[Channel],
    counts: Mapping[int, int],
    span_ns: tuple[int, int],
    chunks: bytes | bytearray,
    chunk_count: int,
    metadata: Sequence[MetadataIndex],
) -> list[bytes]:
    """Everything after the data section that ends at offset `at`: data end, summary, footer, magic.

    chunks: the records of `chunk_count` chunk indexes, one after the other.
    """
    data_end = record_bytes(DataEnd(data_section_crc=0))
    statistics = Statistics(
        attachment_count=0,
        channel_count=len(channels),
        channel_message_counts=dict(counts),
        chunk_count=chunk_count,
        message_count=sum(counts.values()),
        message_end_time=span_ns[1],
        message_start_time=span_ns[0],
        metadata_count=len(metadata),
        schema_count=len(schemas),
    )
    groups = [
        (Opcode.SCHEMA, _joined(schemas)),
        (Opcode.CHANNEL, _joined(channels)),
        (Opcode.STATISTICS, _joined([statistics])),
        (Opcode.CHUNK_INDEX, chunks),
        (Opcode.METADATA_INDEX, _joined(metadata)),
    ]
    start = position = at + len(data_end)
    body: list[bytes | bytearray] = []
    offsets: list[bytes | bytearray] = []
    for opcode, group in groups:
        if group:
            offsets.append(
                record_bytes(SummaryOffset(group_opcode=opcode, group_start=position, group_length=len(group)))
            )
            body.append(group)
            position += len(group)
    summary = b"".join(body + offsets)
    blank = record_bytes(Footer(summary_start=start, summary_offset_start=position, summary_crc=0))
    # The CRC covers the summary and the footer up to the CRC itself.
    crc = zlib.crc32(summary + blank[:-4])
    footer = record_bytes(Footer(summary_start=start, summary_offset_start=position, summary_crc=crc))
    return [data_end, summary, footer, MAGIC]


def _joined(records: Sequence[McapRecord]) -> bytes:
    return b"".join(record_bytes(record) for record in records)
