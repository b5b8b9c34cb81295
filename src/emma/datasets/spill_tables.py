"""Rows that may be larger than the memory: in mapped temporary files, read and written a row group at a time."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from emma.datasets.encode import ROW_GROUP_BYTES, parquet_options
from emma.datasets.spill_arrays import ORDINARY


def episode_rows(file: Path, columns: list[str], episode: int, ordinary: int = ORDINARY) -> pa.Table:
    """Rows of one episode of a Parquet file. Above `ordinary` bytes they lie in a file that is gone with the table."""
    kept = ds.dataset(file).scanner(columns=columns, filter=ds.field("episode_index") == episode, batch_size=32)
    schema = kept.projected_schema.remove_metadata()
    batches: list[pa.RecordBatch] = []
    size = 0
    found = iter(kept.to_batches())
    for batch in found:
        batches.append(batch)
        size += batch.nbytes
        if size > ordinary:
            return _mapped(schema, batches, found)
    return pa.Table.from_batches([batch.replace_schema_metadata(None) for batch in batches], schema)


def _mapped(schema: pa.Schema, batches: list[pa.RecordBatch], rest: Iterable[pa.RecordBatch]) -> pa.Table:
    with tempfile.NamedTemporaryFile() as file:
        with pa.ipc.new_file(file, schema) as writer:
            while batches:
                writer.write_batch(batches.pop(0).replace_schema_metadata(None))
            for batch in rest:
                writer.write_batch(batch.replace_schema_metadata(None))
        file.flush()
        # The map outlives the name.
        return pa.ipc.open_file(pa.memory_map(file.name)).read_all()


def parquet_bytes(tables: Iterable[pa.Table], features: Mapping[str, Any], ordinary: int = ORDINARY) -> Any:
    """Tables below each other as one Parquet file: bytes, or above `ordinary` of them a mapped array of uint8.

    A row group ends with the table that fills it.
    """
    with tempfile.SpooledTemporaryFile(max_size=ordinary) as file:
        writer, waiting, size = None, list[pa.Table](), 0
        for table in tables:
            if writer is None:
                writer = pq.ParquetWriter(file, table.schema, **parquet_options(features))
            waiting.append(table)
            size += table.nbytes
            if size >= ROW_GROUP_BYTES:
                writer.write_table(pa.concat_tables(waiting), row_group_size=sum(map(len, waiting)))
                waiting, size = [], 0
        assert writer is not None  # an episode has a frame
        if waiting:
            writer.write_table(pa.concat_tables(waiting), row_group_size=sum(map(len, waiting)))
        writer.close()
        length = file.tell()
        if length > ordinary:
            file.flush()
            return np.memmap(file, np.uint8, "r", shape=(length,))
        file.seek(0)
        return file.read()
