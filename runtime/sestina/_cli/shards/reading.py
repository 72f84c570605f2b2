"""A complete folder of shards read back, each shard held against its checksum."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from sestina._cli.shards import manifest
from sestina._cli.vector_files import Saved, check_space, check_width, read_npy
from sestina._errors import InputError


def read_shards(path: str, width: int, space: str, column: str | None) -> Iterator[Saved]:
    """The vectors of a folder in pieces, with the number of each row in all of it, and its text if known.

    Args:
        path: The folder.
        width: Of a vector.
        space: Of the query.
        column: Of the texts, where the shards are tables; None: as the tables say.

    Raises:
        InputError: Where it is none, not complete, of another space or width, or a shard is damaged.
    """
    found = manifest.read(path, path)
    if found is None:
        raise InputError(f"{path} is a directory without a {manifest.MANIFEST} of shards: name a file")
    document, records = found
    if not document["complete"]:
        raise InputError(f"{path} is not complete: run the sestina encode that began it again")
    check_space(document["space"], space, path)
    check_width(document["dimensions"], width, path)  # of which bits alone say no more than their bytes
    if column is not None and document["shard_format"] != "parquet":
        raise InputError(
            f"{path} holds vectors alone: name the file of their texts with --texts, and its --column"
        )
    for record in records:
        shard = os.path.join(path, record.file)  # noqa: PTH118
        try:
            if Path(shard).exists() and not Path(shard).is_file():  # to open a pipe would be to wait
                raise InputError(f"{shard} is no plain file: run the sestina encode that made {path} again")
            with Path(shard).open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{shard} cannot be read: {error.strerror or error}") from None
        if digest != record.sha256:
            raise InputError(f"{shard} is damaged: run the sestina encode that made {path} again")
        if document["shard_format"] == "parquet":
            from sestina._cli.tables.vectors import read_table

            pieces = read_table(shard, width, space, column)
        else:
            pieces = read_npy(shard, width)
        for piece in pieces:
            yield piece._replace(lines=[record.begin + line for line in piece.lines])
