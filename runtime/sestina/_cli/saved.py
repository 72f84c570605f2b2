"""Vectors that were saved, whatever they are in: which kind that is, and all of them in pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sestina._cli import compressed
from sestina._cli.texts import TABLES

if TYPE_CHECKING:
    from sestina._cli.vector_files import Saved


def kind_of_vectors(path: str, *, by_itself: bool) -> str | None:
    """Which kind: "npy", "jsonl", "table" or "shards"; None where it holds texts.

    Args:
        path: What is to be searched.
        by_itself: Whether nothing says where in it the texts are.

    Raises:
        InputError: Where it is a table that cannot be read.
        MissingExtraError: Where it is a table and pyarrow is not installed.
    """
    name = compressed.plain_name(path)
    if name.endswith(".npy"):
        return "npy"
    if path.lower().endswith(TABLES):
        from sestina._cli.tables.vectors import vector_column

        return None if vector_column(path) is None else "table"
    try:
        if os.path.isfile(os.path.join(path, "manifest.json")):  # noqa: PTH113, PTH118
            return "shards"
    except ValueError:  # of a null character
        return None
    return "jsonl" if by_itself and name.endswith(".jsonl") else None


def read_saved(path: str, kind: str, width: int, space: str, column: str | None) -> Iterator[Saved]:
    """The vectors of a file or folder in pieces, with the line or row of each, and its text if known.

    Args:
        path: Where they are.
        kind: As `kind_of_vectors` says.
        width: Of a vector.
        space: Of the query, held against that of the vectors where it is stated.
        column: Of the texts of a table.

    Raises:
        InputError: Where they are not vectors of this width and space.
    """
    from sestina._cli.vector_files import read_jsonl, read_npy

    if kind == "table":
        from sestina._cli.tables.vectors import read_table

        return read_table(path, width, space, column)
    if kind == "shards":
        from sestina._cli.shards.reading import read_shards

        return read_shards(path, width, space, column)
    return read_npy(path, width) if kind == "npy" else read_jsonl(path, width)
