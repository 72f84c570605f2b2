"""The manifest of a folder of shards: what its vectors depend on, and which files they are in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sestina._errors import InputError

MANIFEST = "manifest.json"
FORMAT, VERSION = "sestina-shards", 1
SHARD = re.compile(r"shard-([0-9]{5,12})\.(npy|parquet)")
_LIMIT = 1 << 30  # bytes; a record is 250, so of millions of shards

# What may not change between the runs that make one folder, in the order in which a difference is told, and
# what each is called there. Threads and what is done with truncated texts change no vector.
_FIXED = {
    "space": "space",
    "bundle": "bundle",
    "precision": "precision",
    "provider": "provider",
    "dimensions": "number of dimensions",
    "dtype": "--output-dtype",
    "prompt": "prompt",
    "on_empty": "--on-empty",
    "on_null": "--on-null",
    "inputs": "input",
    "field": "--field",
    "column": "--column",
    "delimiter": "--delimiter",
    "shard_format": "--format",
    "shard_rows": "--shard-rows",
    "text": "choice of --no-text",
    "vector_column": "--vector-column",
    "batch_tokens": "number of tokens in a batch (--max-memory-mb)",
    "max_memory_mb": "--max-memory-mb",
}


class Record(NamedTuple):
    """One shard.

    Attributes:
        file: Its name in the folder.
        begin, end: Its rows of the input, counted from 0, without the last.
        bytes: Its size.
        sha256: Of the file.
        texts_sha256: Of the texts that it was made of, as `run` takes it.
    """

    file: str
    begin: int
    end: int
    bytes: int
    sha256: str
    texts_sha256: str


def name_of(number: int, suffix: str) -> str:
    """What a shard's file is called."""
    return f"shard-{number:05}.{suffix}"


def record_as_json(record: Record) -> dict[str, Any]:
    """As manifest and journal have it."""
    told = record._asdict()
    return {"file": told.pop("file"), "rows": [told.pop("begin"), told.pop("end")], **told}


def record_of_json(value: Any) -> Record:
    """What `record_as_json` made.

    Raises:
        ValueError, LookupError, TypeError: Where it did not.
    """
    begin, end = value["rows"]
    numbers, words = (begin, end, value["bytes"]), (value["file"], value["sha256"], value["texts_sha256"])
    if not all(type(each) is int and each >= 0 for each in numbers) or not all(type(e) is str for e in words):
        raise ValueError("a record of a shard has other types")
    file, sha256, texts = words
    if not SHARD.fullmatch(file) or begin > end:
        raise ValueError("a record of a shard names another file")
    return Record(file, begin, end, value["bytes"], sha256, texts)


def as_bytes(plan: Mapping[str, Any], rows: int | None, records: list[Record] | None) -> bytes:
    """The whole manifest; `records` only of a complete folder."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "complete": records is not None,
        "rows": rows,
        **plan,
        "shards": [record_as_json(each) for each in records or ()],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def read(folder: str, where: str) -> tuple[dict[str, Any], list[Record]] | None:
    """The manifest of a folder and its records; None where it has none.

    Raises:
        InputError: Where it is not a manifest of shards that can be read.
    """
    try:
        path = Path(os.path.join(folder, MANIFEST))  # noqa: PTH118
        if path.exists() and not path.is_file():  # to open a pipe would be to wait
            raise ValueError("it is no plain file")
        with path.open("rb") as stream:
            document = json.loads(stream.read(_LIMIT).decode("utf-8", "surrogatepass"))
        if document["format"] != FORMAT:
            raise ValueError("it is of something else")
        if document["version"] != VERSION:
            raise ValueError(f"it is of version {document['version']}, and this is {VERSION}")
        records = [record_of_json(each) for each in document["shards"]]
        numbers = (document["dimensions"], document["rows"] if document["complete"] else 0)
        words = (document["space"], document["shard_format"])
        whole = all(type(each) is int and each >= 0 for each in numbers)
        if not whole or not all(type(each) is str for each in words):
            raise ValueError("its members are of other types")
        ends = [0, *(record.end for record in records)]
        if document["complete"] and (
            [record.begin for record in records] != ends[:-1] or ends[-1] != document["rows"]
        ):
            raise ValueError("its shards do not follow one another")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        told = f"no member {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{where} has a {MANIFEST} that is not one of shards: {told}") from None
    return document, records


def difference(begun: Mapping[str, Any], plan: Mapping[str, Any]) -> str | None:
    """The first difference between a folder and a run that would go on with it, in words; None: none."""
    for key, called in _FIXED.items():
        was, now = begun.get(key), plan.get(key)
        if key == "inputs":
            told = _other_input(was, plan["inputs"])
            if told is not None:
                return told
        elif was != now:
            if isinstance(was, dict) and isinstance(now, dict):  # the bundle, by its name and its checksum
                was, now = (
                    f"{each.get('name')!r} ({str(each.get('manifest_sha256'))[:12]})" for each in (was, now)
                )
                return f"the {called} {was}, and this run has {now}"
            return f"the {called} {_worded(was)}, and this run has {_worded(now)}"
    return None


def _worded(value: object) -> str:
    return "none" if value is None else str(value) if isinstance(value, int) else repr(value)


def _other_input(was: Any, now: list[dict[str, Any]]) -> str | None:
    """By content: a file that was moved is the same one."""
    if not isinstance(was, list) or not all(isinstance(each, dict) for each in was):
        return "no input that could be read, and this run has one"
    if len(was) != len(now):
        return f"an input of {len(was)} files, and this run has {len(now)}"
    for then, each in zip(was, now, strict=True):
        if (then.get("sha256"), then.get("bytes")) != (each["sha256"], each["bytes"]):
            return f"another input in place of {each['path']}"
    return None
