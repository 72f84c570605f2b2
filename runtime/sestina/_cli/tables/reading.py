"""A table read: Parquet or Arrow IPC, some thousand rows at a time, whatever the size of its row groups."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sestina._cli import compressed
from sestina._cli.files import LONGEST_LINE, InputFile
from sestina._cli.located import Row, Text
from sestina._cli.tables.arrow import holds_text, pyarrow, readable, the_column
from sestina._errors import InputError, OptionError

_ROWS = 4096  # that are read at once
_BYTES = 32 << 20  # of them, as far as a file says what its rows take
_PARQUET, _ARROW, _FEATHER_1 = b"PAR1", b"ARROW1", b"FEA1"


class TableFile:
    """A table in a file.

    Args:
        file: The file.
        column: The column of texts; None: the only one there is.

    Raises:
        InputError: Where it is no table, or has no such column of texts.
        OptionError: Where there is more than one column of texts and none was named.
        MissingExtraError: Where pyarrow is not installed.
    """

    def __init__(self, file: InputFile, column: str | None) -> None:
        self.file = file
        if not file.rereadable:
            raise InputError(f"{file.name} is a pipe or a device; a table is read from a file: save it first")
        if compressed.plain_name(file.path) != file.path.lower():
            raise InputError(
                f"{file.name} is a table in compressed form: unpack it; its columns may be compressed"
            )
        with file.open_raw() as stream:
            begin = stream.read(len(_ARROW))
        if begin.startswith(_FEATHER_1):
            raise InputError(f"{file.name} is Feather of version 1: save it as Parquet or Arrow IPC")
        self._parquet = begin.startswith(_PARQUET)
        self._stream = not self._parquet and begin != _ARROW
        with self._opened() as reader:
            self.schema = reader.schema_arrow if self._parquet else reader.schema
            with readable(file.name):
                list(self.schema.names)  # what is not UTF-8 is refused here, not later
        self._asked = column
        self._read: Iterator[Any] = iter(())
        self._batch: Any = None
        self._begin = self._end = 0  # of the batch

    @property
    def column(self) -> str:
        """What the column of texts is called."""
        names = [field.name for field in self.schema if holds_text(field.type)]
        if self._asked is None:
            if len(names) != 1:
                told = ", ".join(names) or "none"
                raise OptionError(
                    f"{self.file.name} is a table: name the column of texts with --column ({told})"
                )
            return str(names[0])
        kind = self.schema.field(the_column(self.schema, self._asked, self.file.name)).type
        if not holds_text(kind):
            raise InputError(
                f"{self.file.name}: column {self._asked!r} is {kind}; it must hold text"
                f" (columns that do: {', '.join(names) or 'none'})"
            )
        return self._asked

    def texts(self, *, nulls: bool = False) -> Iterator[Text]:
        """Its texts. Only their column is read: others may be large, and many texts wait to be encoded.

        Args:
            nulls: Whether one may be null.

        Raises:
            InputError: At the first that is no text, or is null and may not be, and where the file is
                damaged.
        """
        begin = 0
        column = self.column
        for batch in self.batches([column]):
            for at, value in enumerate(self.values(batch, column, begin, nulls=nulls), start=1):
                yield Text(value or "", self.file.name, begin + at, "row", self, null=value is None)
            begin += batch.num_rows

    def row(self, index: int) -> Row:
        """A row with all columns, by its place counted from 0; quickly where they are asked for in order.

        Raises:
            InputError: Where there is none, or the file is damaged.
        """
        if index < self._begin or self._batch is None or index > self._end + _ROWS:
            self._end, self._read = self._from(index)
            self._begin, self._batch = self._end, None
        while index >= self._end:
            self._batch = None  # before the next is there
            self._batch = next(self._read, None)
            if self._batch is None:
                raise InputError(
                    f"{self.file.name} changed while it was read: encode a file that stays as it is"
                )
            self._begin, self._end = self._end, self._end + self._batch.num_rows
        return Row(self._batch, index - self._begin)

    def _from(self, index: int) -> tuple[int, Iterator[Any]]:
        """Batches from one that is not after this row, and the place of its first."""
        if not self._parquet:
            return 0, self.batches()
        begin = 0
        with self._opened() as reader:
            for group in range(reader.metadata.num_row_groups):
                rows = reader.metadata.row_group(group).num_rows
                if begin + rows > index:
                    return begin, self.batches(first_group=group)
                begin += rows
        return begin, iter(())

    def batches(self, columns: list[str] | None = None, first_group: int = 0) -> Iterator[Any]:
        """Its rows as batches of some thousand (pyarrow.RecordBatch), never empty and always the same.

        Args:
            columns: Which columns; None: all.
            first_group: Of Parquet, the row group to begin with.
        """
        with self._opened() as reader:
            if self._parquet:
                found = self._of_parquet(reader, columns, first_group)
            else:
                found = self._of_ipc(reader, columns)
            while True:
                with readable(self.file.name):
                    batch = next(found, None)
                if batch is None:
                    return
                if batch.num_rows:
                    yield batch

    def _of_parquet(self, reader: Any, columns: list[str] | None, first_group: int) -> Iterator[Any]:
        for group in range(first_group, reader.metadata.num_row_groups):
            told = reader.metadata.row_group(group)
            each = max(1, told.total_byte_size // max(1, told.num_rows))
            count = max(1, min(_ROWS, _BYTES // each))
            yield from reader.iter_batches(count, [group], columns, use_threads=False)

    def _of_ipc(self, reader: Any, columns: list[str] | None) -> Iterator[Any]:
        count = None if self._stream else reader.num_record_batches
        batches = iter(reader) if count is None else (reader.get_batch(at) for at in range(count))
        for batch in batches:
            kept = batch if columns is None else batch.select(columns)
            kept.validate(full=True)  # its buffers are what the file says, and may point beyond themselves
            each = max(1, kept.nbytes // max(1, kept.num_rows))
            step = max(1, min(_ROWS, _BYTES // each))
            for begin in range(0, kept.num_rows, step):
                yield kept.slice(begin, step)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        pa, name = pyarrow(), self.file.name
        with contextlib.ExitStack() as stack:
            with readable(name):
                source = stack.enter_context(pa.OSFile(self.file.path, "rb"))
                if self._parquet:
                    reader = pyarrow("parquet").ParquetFile(source, buffer_size=1 << 20, pre_buffer=False)
                elif self._stream:
                    reader = pyarrow("ipc").open_stream(source)
                else:
                    reader = pyarrow("ipc").open_file(source)
            yield reader

    def values(self, batch: Any, column: str, begin: int, *, nulls: bool) -> list[str | None]:
        """The texts of a batch that begins after so many rows; None for a null where there may be nulls.

        Raises:
            InputError: Where one is no text, or is null and may not be.
        """
        name = self.file.name
        with readable(name):
            found = batch.column(batch.schema.names.index(column))
            if pyarrow("types").is_dictionary(found.type):
                found = found.dictionary_decode()
            if found.null_count and not nulls:
                at = found.is_valid().to_pylist().index(False)
                raise InputError(f"{name} row {begin + at + 1}: column {column!r} is null; it must be text")
            try:
                values: list[str | None] = found.to_pylist()
            except UnicodeDecodeError:
                at = next(at for at, value in enumerate(found) if not _is_utf8(value))
                raise InputError(
                    f"{name} row {begin + at + 1}: column {column!r} is not valid UTF-8: mend the file"
                ) from None
        for at, value in enumerate(values):
            if value is not None and len(value) > LONGEST_LINE:
                raise InputError(
                    f"{name} row {begin + at + 1}: column {column!r} is longer than {LONGEST_LINE >> 20} "
                    "MiB: split it"
                )
        return values


def _is_utf8(value: Any) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True
