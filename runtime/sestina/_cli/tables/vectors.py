"""Vectors read back from a table that `sestina encode` wrote, held against the space that it states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sestina._bits import signs
from sestina._cli.files import InputFile
from sestina._cli.tables.arrow import holds_text, pyarrow, readable, the_column
from sestina._cli.tables.reading import TableFile
from sestina._cli.tables.writing import PREFIX
from sestina._cli.vector_files import Saved, check_space, check_width
from sestina._errors import InputError
from sestina._vectors import in_float32

if TYPE_CHECKING:
    from sestina._arrays import Vectors


def vector_column(path: str) -> str | None:
    """What the column of vectors of a table is called; None where it says of none.

    Raises:
        InputError: Where it cannot be read.
        MissingExtraError: Where pyarrow is not installed.
    """
    return _stated(TableFile(InputFile(path), None).schema, "vector_column")


def read_table(path: str, width: int, space: str, column: str | None) -> Iterator[Saved]:
    """The vectors of a table in pieces, with the number of each row and its text, if there is one.

    Args:
        path: The file.
        width: Of a vector.
        space: Of the query.
        column: Of the texts; None: the one that was encoded, if it is there.

    Raises:
        InputError: Where the table has no vectors of this space and width, or one is null or not finite.
    """
    table = TableFile(InputFile(path), None)
    schema, types = table.schema, pyarrow("types")
    name = _stated(schema, "vector_column")
    if name is None:
        raise InputError(f"{path} has no vectors: encode its texts first")
    check_space(_stated(schema, "space"), space, path)
    kind = schema.field(the_column(schema, name, path)).type
    numbers = kind.value_type if types.is_fixed_size_list(kind) else None
    dtype = _stated(schema, "dtype")
    # Bytes are signs only where that is said: they could be numbers as well.
    bits = numbers is not None and types.is_uint8(numbers) and dtype == "binary"
    if numbers is None or not (bits or types.is_floating(numbers) or types.is_int8(numbers)):
        raise InputError(
            f"{path}: column {name!r} is {kind} of dtype {dtype or 'float32'}; it must be a fixed-size list "
            "of floats or int8, or of uint8 that are binary"
        )
    if bits:
        stated = _stated(schema, "dimensions") or ""
        if not (stated.isdecimal() and -(-int(stated) // 8) == kind.list_size):
            raise InputError(
                f"{path}: column {name!r} has {kind.list_size} bytes of signs, which are not those of "
                f"{stated or 'no'} dimensions: encode the texts again"
            )
        check_width(int(stated), width, path)
    else:
        check_width(kind.list_size, width, path)
    encoded = _stated(schema, "text_column")  # a null of which has its vector as every text has
    texts = _text_column(table, column)
    begin = 0
    for batch in table.batches([name] if texts is None else [name, texts]):
        with readable(path):
            found = batch.column(batch.schema.names.index(name))
            flat = found.flatten()  # of what is not null
            if found.null_count or flat.null_count:
                raise InputError(
                    f"{path}: column {name!r} has nulls from row {begin + 1} on: encode it again"
                )
            rows = np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(found), kind.list_size)
        vectors: Vectors
        vectors, unfit = in_float32(signs(rows, width) if bits else rows)
        if unfit is not None:
            what = "too small for float32" if unfit.small else "not finite"
            raise InputError(f"{path} row {begin + unfit.row + 1} is {what}: encode the texts again")
        lines = list(range(begin + 1, begin + len(vectors) + 1))
        values: list[str | None] = [None] * len(lines)
        if texts is not None:
            values = table.values(batch, texts, begin, nulls=texts == encoded)
        yield Saved(vectors, lines, values, not types.is_floating(numbers))
        begin += len(lines)


def _text_column(table: TableFile, column: str | None) -> str | None:
    if column is not None:
        return TableFile(table.file, column).column
    stated = _stated(table.schema, "text_column")
    names = list(table.schema.names)
    there = stated in names and holds_text(table.schema.field(names.index(stated)).type)
    return stated if there else None


def _stated(schema: Any, key: str) -> str | None:
    found = (schema.metadata or {}).get(f"{PREFIX}{key}".encode())
    return None if found is None else str(found, "utf-8", "replace")
