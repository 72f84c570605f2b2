"""Texts to a folder of shards: what is there is compared with the input, what is missing is encoded."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from sestina._cli import printing
from sestina._cli.encoding import Notices, Within, encode_each
from sestina._cli.files import STDIN
from sestina._cli.inputs import TextFiles
from sestina._errors import OutputError
from sestina._progress import progress_bar

if TYPE_CHECKING:
    from sestina._cli.destination import Destination
    from sestina._cli.shards.folder import ShardFolder
    from sestina._cli.shards.manifest import Record
    from sestina._cli.texts import Text
    from sestina._cli.vector_files import VectorWriter
    from sestina._encoder import Encoder

    NewWriter = Callable[[Destination], VectorWriter]

_NULL = b"\xff" * 8  # in place of a length


def inputs_of(source: Iterable[Text]) -> list[dict[str, Any]]:
    """The files of a source by content. Of a pipe only its texts can be known, and each shard has those.

    Raises:
        InputError: Where one cannot be read.
    """
    if not isinstance(source, TextFiles):
        return []  # of the command line: likewise
    told: list[dict[str, Any]] = []
    for each in source.files:
        file = each.file
        if not file.rereadable:
            told.append({"path": STDIN if file.path == STDIN else file.path, "bytes": None, "sha256": None})
            continue
        with file.open_raw() as stream:
            try:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
                told.append({"path": file.path, "bytes": stream.tell(), "sha256": digest})
            except OSError as error:
                raise file.unreadable(error) from None
    return told


def plan_of(
    args: argparse.Namespace, encoder: Encoder, inputs: list[dict[str, Any]], facts: dict[str, str], form: str
) -> dict[str, Any]:
    """What the vectors depend on, and how they are written: as the manifest has it."""
    report = encoder.report()
    # As it was loaded: what lies at its path by now may be another.
    digest = hashlib.sha256(encoder._bundle.stated).hexdigest()
    table = form == "parquet"
    return {
        "space": report.space,
        "bundle": {"name": report.name, "manifest_sha256": digest},
        "precision": report.precision,
        "provider": report.provider,
        "dimensions": int(facts["dimensions"]),
        "dtype": facts["dtype"],
        "prompt": facts["prompt"],
        "on_empty": args.on_empty,
        "on_null": args.on_null,
        "inputs": inputs,
        "field": args.field,
        "column": args.column,
        "delimiter": args.delimiter,
        "shard_format": form,
        "shard_rows": args.shard_rows,
        "text": not args.no_text if table else None,
        "vector_column": args.vector_column if table else None,
        "batch_tokens": report.batch_tokens,
        "max_memory_mb": args.max_memory_mb,
    }


def encode_shards(
    folder: ShardFolder,
    encoder: Encoder,
    texts: Iterable[Text],
    args: argparse.Namespace,
    new_writer: NewWriter,
    *,
    total: int | None,
    form: str,
) -> tuple[int, int]:
    """Make the shards of a folder that was begun, and complete it.

    Each shard is a corpus of its own to the encoder, so that its vectors depend on its texts alone, not on
    where a run began. There is at least one, of no rows where there are no texts.

    Returns: how many texts there are, and how many were encoded now.

    Raises:
        OutputError: Where a shard that is there is of other texts.
    """
    given = iter(texts)
    rows = encoded = number = 0
    complete, notices = folder.complete, Notices()
    with progress_bar(total, printing.show_bar(stdout_used=False)) as advance:
        within = Within(notices, advance)
        while True:
            first = list(islice(given, 1))
            if not first and number:
                break
            part = _Digested(chain(first, islice(given, args.shard_rows - 1)))
            record = folder.records.get(number)
            if complete and record is None:
                raise OutputError(
                    f"{folder.name} was made with another input: it has {rows} texts, and there are more "
                    "now; name another directory, or pass --overwrite"
                )
            if record is not None and folder.is_whole(record):
                for _ in part:
                    advance(1)
                _check(folder, record, rows, part)
            else:
                with folder.shard(number, form) as out:
                    writer = new_writer(out)
                    encoded += encode_each(encoder, part, writer.add, args, within=within)
                    writer.finish()
                    if record is not None:
                        _check(folder, record, rows, part)
                folder.add(number, form, (rows, rows + part.count), part.hexdigest())
            rows += part.count
            number += 1
            if part.count < args.shard_rows:
                break
    notices.report()
    beyond = [record for at, record in folder.records.items() if at >= number]
    if beyond or (total is not None and rows != total):
        was = max((record.end for record in beyond), default=total)
        raise OutputError(
            f"the input of {folder.name} had {was} texts and has {rows} now: encode what stays as it is"
        )
    if not folder.complete:
        folder.finish(rows)
    return rows, encoded


def _check(folder: ShardFolder, record: Record, begin: int, part: _Digested) -> None:
    found = (begin, begin + part.count, part.hexdigest())
    if found != (record.begin, record.end, record.texts_sha256):
        raise OutputError(
            f"{folder.name} was begun with another input: its {record.file} is not of the texts from "
            f"{begin + 1} to {begin + part.count}; name another directory, or pass --overwrite"
        )


class _Digested(Iterable["Text"]):
    """Texts as they come, and what tells them from others: their number, and the SHA-256 of all.

    Each is hashed after its length, so that no two sequences have the same bytes; a null has a length of its
    own.
    """

    def __init__(self, texts: Iterable[Text]) -> None:
        self._texts = texts
        self._digest = hashlib.sha256()
        self.count = 0

    def __iter__(self) -> Iterator[Text]:
        for text in self._texts:
            content = text.value.encode("utf-8", "surrogatepass")
            self._digest.update(_NULL if text.null else len(content).to_bytes(8, "little"))
            self._digest.update(content)
            self.count += 1
            yield text

    def hexdigest(self) -> str:
        """Of those that have come."""
        return self._digest.hexdigest()
