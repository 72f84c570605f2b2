"""The table as Ray reads it: row groups that the driver has counted already, some of them a task.

`ray.data.read_parquet` would list the files and read their ends again, in processes of their own: seconds on
a machine of few cores, before anything is encoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from sestina.integrations._ray.table import Table, readable

_BLOCKS = 4  # of the output that a task reads for, so that few tasks keep many encoders
_BYTES = 64 << 20  # of a task at most, where row groups are no larger


class Piece(NamedTuple):
    """Row groups of one file.

    Attributes:
        file: Its path.
        begin, end: Its first row group, and the one after its last.
        rows: How many they have.
        size: Bytes, not compressed.
    """

    file: str
    begin: int
    end: int
    rows: int
    size: int


def pieces(table: Table, rows: int) -> list[Piece]:
    """All row groups that have rows, in order.

    Args:
        table: What is read.
        rows: Of a block of the output.

    Raises:
        InputError: Where a file cannot be read any more.
    """
    found: list[Piece] = []
    for file in table.files:
        with readable(file):
            told = pq.read_metadata(file)
        last: Piece | None = None
        for at in range(told.num_row_groups):
            group = told.row_group(at)
            if group.num_rows == 0:
                continue
            if last and last.rows < _BLOCKS * rows and last.size + group.total_byte_size <= _BYTES:
                last = last._replace(
                    end=at + 1, rows=last.rows + group.num_rows, size=last.size + group.total_byte_size
                )
                found[-1] = last
            else:
                last = Piece(file, at, at + 1, group.num_rows, group.total_byte_size)
                found.append(last)
    return found


class Tables(Datasource):  # type: ignore[misc, unused-ignore]
    """Rows of tables with all their columns, for `ray.data.read_datasource`.

    Args:
        found: What to read, a task each.
        schema: Of every file (pyarrow.Schema).
        rows: Of a block of the output: what is read at a time.
    """

    def __init__(self, found: list[Piece], schema: Any, rows: int) -> None:
        super().__init__()
        self._pieces, self._schema, self._rows = found, schema, rows

    def get_name(self) -> str:
        """What Ray calls the step."""
        return "Parquet"

    def estimate_inmemory_data_size(self) -> int:
        """Bytes of all of it."""
        return sum(piece.size for piece in self._pieces)

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002  Ray's interface
        per_task_row_limit: int | None = None,
        data_context: Any = None,  # noqa: ARG002
    ) -> list[Any]:
        """A task for each piece, however many Ray would have."""
        return [
            ReadTask(
                partial(_read, piece, self._rows),
                BlockMetadata(
                    num_rows=piece.rows, size_bytes=piece.size, exec_stats=None, input_files=(piece.file,)
                ),
                schema=self._schema,
                per_task_row_limit=per_task_row_limit,
            )
            for piece in self._pieces
        ]


def _read(piece: Piece, rows: int) -> Iterator[Any]:
    with readable(piece.file), pq.ParquetFile(piece.file) as opened:
        for batch in opened.iter_batches(batch_size=rows, row_groups=range(piece.begin, piece.end)):
            yield pa.Table.from_batches([batch]).replace_schema_metadata(None)
