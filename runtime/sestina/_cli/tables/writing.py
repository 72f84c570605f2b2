"""A table written: the input's columns or the texts alone, and the vectors beside them, group by group."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sestina._cli.tables.arrow import pyarrow
from sestina._cli.vector_files import check_finite
from sestina._errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sestina._arrays import Embeddings
    from sestina._cli.destination import Destination
    from sestina._cli.located import Rows, Text

PREFIX = "sestina."  # of the keys of a schema's metadata
_GROUP_ROWS = 1 << 14
_GROUP_BYTES = 64 << 20


def checked_schema(schema: Any, column: str, name: str) -> Any:
    """A table's schema, where a column of vectors can stand beside the others.

    Raises:
        InputError: Where one of that name is there.
    """
    if schema is not None and column in schema.names:
        raise InputError(
            f"{name} has a column {column!r} already: give the vectors another name with --vector-column"
        )
    return schema


class TableWriter:
    """Rows with their vectors as Parquet or Arrow IPC. In row groups (batches) that depend on the rows alone.

    Args:
        out: Where to.
        form: "parquet" or "arrow".
        schema: Of the table that the texts are from (pyarrow.Schema); None: they are from elsewhere, and
            stand in a column "text" themselves.
        texts: The column of texts to leave out; None: none.
        column: What the column of vectors is called.
        facts: What the schema's metadata is to say of them.
        row: Any row of vectors, for its width and dtype: float32, float16, int8, or uint8 for eight signs a
            byte.
        nulls: Whether texts that stand in a column of their own may be null.
    """

    def __init__(
        self,
        out: Destination,
        form: str,
        schema: Any,
        leave_out: str | None,
        column: str,
        facts: Mapping[str, str],
        row: Embeddings,
        *,
        nulls: bool,
    ) -> None:
        pa = pyarrow()
        self._pa, self._form, self._kept = pa, form, schema is not None
        self._leave_out = leave_out
        self._row = row
        text = pa.schema([] if leave_out is not None else [pa.field("text", pa.string(), nullable=nulls)])
        rows = _without(schema, leave_out) if self._kept else text
        if form == "arrow":
            rows = _plain(pa, rows)
        self._rows = rows
        told = {f"{PREFIX}{key}": value for key, value in facts.items()} | {f"{PREFIX}vector_column": column}
        kind = pa.list_(pa.field("item", pa.from_numpy_dtype(row.dtype), nullable=False), len(row))
        # A table that was encoded before says of other vectors what `told` says of these.
        others = {
            key: value for key, value in (rows.metadata or {}).items() if not key.startswith(PREFIX.encode())
        }
        self.schema = rows.append(pa.field(column, kind, nullable=False)).with_metadata({**others, **told})
        self._pieces: list[Any] = []  # batches of the rows that wait
        self._batch: Any = None  # what the last of them are of
        self._begin = self._end = 0
        self._texts: list[str | None] = []
        self._vectors: list[Embeddings] = []
        self._size = 0
        self._out = _Sink(out)
        options: dict[str, Any] = {}
        if form == "parquet":
            make = pyarrow("parquet").ParquetWriter
            options["compression"] = "zstd" if pa.Codec.is_available("zstd") else "snappy"
            # Floats of a vector do not repeat: as a dictionary they would be written twice. Of bytes there
            # are 256, and by themselves each would take four.
            of_bytes = [f"{column}.list.element"] if row.dtype.itemsize == 1 else []
            options["use_dictionary"] = [*(field.name for field in rows), *of_bytes]
        else:
            make = pyarrow("ipc").new_file
        self._writer = self._called(make, self._out, self.schema, **options)

    def add(self, text: Text, vector: Embeddings) -> None:
        """Take one row, and its (d,) vector.

        Raises:
            OutputError: Where the vector is not finite, or what waited cannot be written.
        """
        check_finite(text, vector)
        if self._kept:
            table = cast("Rows", text.table)  # as every text has whose source has a schema
            batch, at = table.row((text.line or 1) - 1)
            if batch is not self._batch or at != self._end:
                self._close_piece()
                self._batch, self._begin = batch, at
            self._end = at + 1
        elif self._leave_out is None:
            self._texts.append(None if text.null else text.value)
        self._vectors.append(vector)
        self._size += self._row.nbytes + 4 * len(text.value)
        if len(self._vectors) >= _GROUP_ROWS or self._size >= _GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Write what waits, and what ends the file."""
        self._flush()
        self._called(self._writer.close)

    def _close_piece(self) -> None:
        if self._batch is not None and self._end > self._begin:
            piece = self._batch.slice(self._begin, self._end - self._begin)
            self._size += piece.nbytes
            self._pieces.append(piece)
        self._batch, self._begin, self._end = None, 0, 0

    def _flush(self) -> None:
        if not self._vectors:
            return
        pa = self._pa
        self._close_piece()
        flat = np.stack(self._vectors).astype(self._row.dtype, copy=False).reshape(-1)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat), type=self.schema.field(-1).type)
        if self._kept:
            pieces = [_without(piece, self._leave_out) for piece in self._pieces]
            table = self._called(pa.Table.from_batches(pieces).unify_dictionaries)
        elif self._leave_out is None:
            table = pa.table({"text": pa.array(self._texts, pa.string())})
        else:
            table = pa.table({})
        columns = [
            column if column.type == field.type else self._called(column.cast, field.type)
            for column, field in zip(table.columns, self._rows, strict=True)
        ]
        whole = pa.Table.from_arrays([*columns, vectors], schema=self.schema)
        self._called(self._writer.write_table, whole, len(flat))
        self._pieces, self._texts, self._vectors, self._size = [], [], [], 0

    def _called(self, function: Any, *arguments: Any, **options: Any) -> Any:
        self._out.taking = True
        try:
            return function(*arguments, **options)
        except (OutputError, BrokenPipeError):
            raise
        except (self._pa.ArrowException, TypeError, ValueError) as error:
            if self._out.failure is not None:
                raise self._out.failure from None
            told = str(error).partition("\n")[0]
            raise OutputError(
                f"{self._out.name} cannot be written as {self._form}: {told}; try the other form"
            ) from None
        finally:
            self._out.taking = False


def _without(rows: Any, column: str | None) -> Any:
    """A schema or a batch without a column."""
    names = [field.name for field in (rows.schema if hasattr(rows, "schema") else rows)]
    if column is None or column not in names:
        return rows
    if hasattr(rows, "schema"):  # by their places: other names may stand twice
        return rows.select([at for at, name in enumerate(names) if name != column])
    return rows.remove(names.index(column))


def _plain(pa: Any, schema: Any) -> Any:
    """The schema without dictionaries: a file of Arrow IPC has one a column, and batches bring theirs."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]
    return pa.schema(fields, schema.metadata)


class _Sink(io.RawIOBase):
    """A destination as pyarrow takes one: counted, and left open for whoever opened it.

    Attributes:
        failure: Of a write.
        taking: Whether a call asked for what is written. A writer of pyarrow that is collected ends its file,
            whatever went wrong: in a pipe the half of a table would then be a whole one.
    """

    def __init__(self, out: Destination) -> None:
        self._out, self._written = out, 0
        self.name = out.name
        self.failure: OSError | None = None
        self.taking = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """All of it."""
        content = bytes(data)
        if not self.taking:
            return len(content)
        try:
            self._out.write(content)
        except OSError as error:
            self.failure = error
            raise
        self._written += len(content)
        return len(content)

    def tell(self) -> int:
        return self._written
