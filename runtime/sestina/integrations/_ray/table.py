"""The table that is read: its files and columns, and ids that tell every row from every other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sestina import InputError

Ids = Any  # (n,) uint64, a number for each id


class Table:
    """Parquet files of one schema.

    Args:
        path: A file, or a directory of them at any depth.
        column: Of the texts.
        id_column: Of the ids.
        nulls: Whether a text may be null.

    Attributes:
        files: Paths, sorted.
        is_folder: Whether `path` is a directory of them.
        schema: Of all of them (pyarrow.Schema).
        rows: How many there are.

    Raises:
        InputError: Where there is nothing to read, files differ, or a column is missing or of another type.
    """

    def __init__(self, path: str, column: str, id_column: str, *, nulls: bool = False) -> None:
        self.path, self.column, self.id_column, self._nulls = path, column, id_column, nulls
        self.files = _files(path)
        self.is_folder = Path(path).is_dir()
        self.rows = 0
        self.schema: Any = None
        for file in self.files:
            with readable(file):
                opened = pq.ParquetFile(file)
                schema = opened.schema_arrow.remove_metadata()
                self.rows += opened.metadata.num_rows
            if self.schema is None:
                self.schema = schema
                self._check(file)
            elif schema != self.schema:
                raise InputError(f"{file} has other columns than {self.files[0]}: give tables of one schema")

    def fingerprint(self) -> list[list[Any]]:
        """What changes where the input does: name, size and time of each file."""
        base = Path(self.path)
        told = [(file, Path(file).stat()) for file in self.files]
        return [
            [
                Path(file).relative_to(base).as_posix() if self.is_folder else base.name,
                at.st_size,
                at.st_mtime_ns,
            ]
            for file, at in told
        ]

    def ids(self) -> Ids:
        """A number for each id, sorted, (rows,) uint64. Of the texts it reads only what may be null.

        Raises:
            InputError: Where an id or a text is null, or an id is there twice; the message has the rows.
        """
        found = []
        for file in self.files:
            if not self._nulls:
                self._refuse_null(file, self.column)
            self._refuse_null(file, self.id_column)
            found.append(ids_of(file, self.id_column))
        numbers = np.concatenate([np.empty(0, np.uint64), *found])
        order = np.argsort(numbers, kind="stable")
        numbers = numbers[order]
        twice = np.flatnonzero(numbers[1:] == numbers[:-1])
        if len(twice):
            first = twice[np.argmin(order[twice + 1])]  # the one that a reader comes to first
            self._refuse_twice(*sorted((int(order[first]), int(order[first + 1]))))
        return numbers

    def _check(self, file: str) -> None:
        for name in self.schema.names:
            if self.schema.names.count(name) > 1:
                raise InputError(f"{file}: there are several columns {name!r}: rename all but one")
        for name, allowed, what in (
            (self.column, _is_text, "text"),
            (self.id_column, _is_id, "integers or text"),
        ):
            if name not in self.schema.names:
                there = ", ".join(self.schema.names) or "none"
                raise InputError(f"{file}: there is no column {name!r}; there are {there}")
            kind = self.schema.field(name).type
            if not allowed(kind):
                raise InputError(f"{file}: column {name!r} is {kind}; it must be {what}")

    def _refuse_null(self, file: str, name: str) -> None:
        begin = 0
        with readable(file):
            opened = pq.ParquetFile(file)
            leaves = [opened.schema.column(leaf).path for leaf in range(len(opened.schema))]
            at = leaves.index(name) if name in leaves else None
            for group in range(opened.metadata.num_row_groups):
                told = opened.metadata.row_group(group)
                stated = None if at is None else told.column(at).statistics
                if stated is None or not stated.has_null_count or stated.null_count:
                    for batch in opened.iter_batches(row_groups=[group], columns=[name]):
                        missing = np.flatnonzero(~np.asarray(batch.column(0).is_valid()))
                        if len(missing):
                            row = begin + int(missing[0]) + 1
                            or_else = ", or pass --on-null zero" if name == self.column else ""
                            raise InputError(
                                f"{file} row {row}: column {name!r} is null; every row must have one{or_else}"
                            )
                        begin += batch.num_rows
                else:
                    begin += told.num_rows

    def _refuse_twice(self, one: int, other: int) -> None:
        values = []
        for place in (one, other):
            row = place
            for file in self.files:
                with readable(file):
                    rows = pq.ParquetFile(file).metadata.num_rows
                    if row >= rows:
                        row -= rows
                        continue
                    value = pq.read_table(file, columns=[self.id_column]).column(0)[row].as_py()
                    values.append((value, f"{file} row {row + 1}"))
                    break
        (first, there), (second, here) = values
        if first != second:
            raise InputError(
                f"ids {first!r} and {second!r} have one hash among {self.rows} and cannot be told apart: "
                "give rows numbers instead"
            )
        raise InputError(f"{here}: {self.id_column} {first!r} is that of {there} too; ids must be unique")


def ids_of(file: str, column: str) -> Ids:
    """A number for each id of a file, in its order, (n,) uint64: an integer is itself, a text has a hash.

    Raises:
        InputError: Where they cannot be read.
    """
    begin = 0
    with readable(file):
        found: list[Ids] = []
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1 << 17, columns=[column]):
            values = batch.column(0)
            if pa.types.is_integer(values.type):
                kind = np.dtype(values.type.to_pandas_dtype())  # to_numpy would import pandas for it
                numbers = np.frombuffer(values.buffers()[1], kind)[values.offset :][: len(values)]
                found.append(numbers.astype(np.int64 if kind.kind == "i" else np.uint64).view(np.uint64))
            else:
                import pandas as pd  # a quarter of a second, for ids that are texts

                found.append(pd.util.hash_array(_texts(values, file, begin, column), categorize=False))
            begin += len(values)
        return np.concatenate([np.empty(0, np.uint64), *found])


def _texts(values: Any, file: str, begin: int, column: str) -> Any:
    try:
        return np.array(values.to_pylist(), dtype=object)
    except UnicodeDecodeError:
        for at, value in enumerate(values):
            try:
                value.as_py()
            except UnicodeDecodeError:
                row = begin + at + 1
                raise InputError(f"{file} row {row}: column {column!r} is not valid UTF-8") from None
        raise


def doubled(pieces: Sequence[Ids]) -> set[int]:
    """Which pieces have an id that an earlier piece has."""
    numbers = np.concatenate([np.empty(0, np.uint64), *pieces])
    owners = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
    order = np.argsort(numbers, kind="stable")
    again = np.flatnonzero(numbers[order][1:] == numbers[order][:-1]) + 1
    return set(owners[order[again]].tolist())


@contextlib.contextmanager
def readable(file: str) -> Iterator[None]:
    """Inside the block, what cannot be read is an error that names the file.

    Raises:
        InputError: In place of what pyarrow and the system raise.
    """
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        if isinstance(error, InputError):
            raise
        told = str(error).partition("\n")[0]
        raise InputError(f"{file} cannot be read as Parquet: {told}") from None


def _files(path: str) -> list[str]:
    """Those to read: none where a name on the way begins with a dot or an underscore."""
    if "://" in path:
        raise InputError(f"{path} is no path: give one on a file system that every node has")
    there = Path(path)
    if there.is_dir():
        found = [
            str(file)
            for file in sorted(there.rglob("*"))
            if file.suffix.lower() == ".parquet" and file.is_file()
            if not any(part.startswith((".", "_")) for part in file.relative_to(there).parts)
        ]
        if not found:
            raise InputError(f"{path} has no .parquet file")
        return found
    if not there.is_file():
        raise InputError(f"{path} is not there: give a Parquet file or a directory of them")
    return [str(there)]


def _is_text(kind: Any) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(is_(inner) for is_ in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_id(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))
