"""What is written: which format an output has, by its name or by --format, and the writer of each."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sestina._cli import printing
from sestina._errors import InputError, OptionError, OutputError

if TYPE_CHECKING:
    from sestina._arrays import Embeddings
    from sestina._cli.destination import Destination
    from sestina._cli.inputs import TextFiles
    from sestina._cli.vector_files import VectorWriter
    from sestina._encoder import Encoder

TABLES = ("parquet", "arrow")
FORMATS = ("npy", "jsonl", *TABLES)
OF_SHARDS = ("npy", "parquet")
DTYPES = ("float32", "float16", "int8", "binary")
_SUFFIXES = {".npy": "npy", ".jsonl": "jsonl", ".parquet": "parquet", ".arrow": "arrow"}
_OF_SPARSE = {".npz": "npz", ".jsonl": "jsonl"}
OF_SPARSE = tuple(_OF_SPARSE.values())
_BINARY = ("npy", "npz", *TABLES)
_SEPARATORS = os.sep + (os.altsep or "")


def is_folder(output: str | None) -> bool:
    """Whether an output is a folder of shards: it ends as one, or is there and has no suffix of a format."""
    if output is None:
        return False
    if output.endswith(tuple(_SEPARATORS)):
        return True
    try:
        return _suffix(output) not in {**_SUFFIXES, **_OF_SPARSE} and Path(output).is_dir()
    except (OSError, ValueError):
        return False


def format_of(args: argparse.Namespace, *, sparse: bool = False) -> str:
    """The format of `args.output`, None of which is standard output.

    Args:
        args: `format` and `output`.
        sparse: Whether what is written is sparse vectors.

    Raises:
        OptionError: Where it has none, two, or one that cannot go there.
    """
    asked: str | None = args.format
    suffixes = _OF_SPARSE if sparse else _SUFFIXES
    if asked not in (None, *suffixes.values()):
        what = "sparse vectors are" if sparse else "vectors of this bundle are"
        raise OptionError(f"--format is {asked}; {what} {' or '.join(OF_SPARSE if sparse else FORMATS)}")
    if args.output is None:
        if sys.stdout is None:
            raise printing.closed_stdout()
        if asked in _BINARY and (printing.is_terminal(sys.stdout) or not hasattr(sys.stdout, "buffer")):
            raise OptionError(
                f"{asked} is binary and standard output takes text: pass --output FILE, or send it elsewhere"
            )
        return asked or "jsonl"
    if not args.output:  # a variable of a shell that is not set: the system takes it for where one is
        raise OptionError(
            f"--output is empty; it must be a file, a directory that ends in {os.sep}, or - for standard "
            "output"
        )
    if is_folder(args.output):
        if sparse:
            raise OptionError(
                f"{args.output} is a directory, and shards are of dense vectors: name a .npz or .jsonl file"
            )
        if asked not in (None, *OF_SHARDS):
            raise OptionError(f"--format is {asked}; shards of a folder are {' or '.join(OF_SHARDS)}")
        return asked or OF_SHARDS[0]
    found = suffixes.get(_suffix(args.output))
    if found is None:
        if asked is None:
            shards = "" if sparse else f", nor in {os.sep} for a directory of shards"
            raise OptionError(
                f"{args.output} ends in none of {', '.join(suffixes)}{shards}: rename it, or pass --format"
            )
        return asked
    if asked not in (None, found):
        raise OptionError(f"{args.output} ends in .{found} but --format is {asked}: make them agree")
    return found


def _suffix(output: str) -> str:
    return os.path.splitext(output)[1].lower()  # noqa: PTH122  Path would drop a separator at the end


def check_dtype(args: argparse.Namespace, form: str) -> None:
    """Keep bytes that each hold eight signs out of where nothing says that they are no numbers.

    Raises:
        OptionError: Where they would come there.
    """
    if args.output_dtype == "binary" and form == "jsonl":
        raise OptionError(
            f"--output-dtype is binary, which is for .npy and tables, and the format is {form}: pass int8"
        )


def check_overwrite(args: argparse.Namespace, form: str) -> None:
    """Keep a table that is there: it may hold more than vectors, which are made again.

    Raises:
        OutputError: Where one is there and --overwrite is not.
    """
    if form not in TABLES or args.overwrite or args.output is None:
        return
    try:
        there = Path(args.output).is_file()
    except (OSError, ValueError):
        return  # said when it is written
    if there:
        raise OutputError(f"{args.output} exists: name another file, or pass --overwrite")


def schema_of(args: argparse.Namespace, source: TextFiles | None, form: str) -> Any:
    """The columns that are kept (pyarrow.Schema); None where there are none.

    Raises:
        InputError: Where a column of vectors cannot stand beside them.
        OptionError: Where it has no name that it could have.
        MissingExtraError: Where pyarrow is not installed.
    """
    if form not in TABLES:
        return None
    from sestina._cli.tables.arrow import pyarrow
    from sestina._cli.tables.writing import checked_schema

    pyarrow()
    try:
        args.vector_column.encode()
    except UnicodeEncodeError:
        raise OptionError(f"--vector-column is {args.vector_column!r}; it must be valid Unicode") from None
    if not args.vector_column:
        raise OptionError("--vector-column is empty; it must be a name, such as 'vector'")
    schema = None if source is None else source.schema()
    if schema is None and args.vector_column == "text" and not args.no_text:
        raise InputError(
            "--vector-column is text, which the texts are called: name another, or pass --no-text"
        )
    return checked_schema(schema, args.vector_column, "" if source is None else source.name)


def facts_of(args: argparse.Namespace, encoder: Encoder) -> dict[str, str]:
    """What is said of vectors wherever there is room for it.

    Raises:
        OptionError: Where the number of dimensions or the prompt is not one of this bundle's, or the dtype
            keeps no lengths and the bundle compares by them.
    """
    width = encoder.dimensions if args.dimensions is None else args.dimensions
    encoder.encode([], dimensions=args.dimensions, output=args.output_dtype)
    report = encoder.report()
    return {
        "space": report.space,
        "name": report.name,
        "precision": report.precision,
        "dimensions": str(width),
        "dtype": args.output_dtype,
        "prompt": encoder._prompts.choose(args.prompt, args.prompt_text).text,
    }


def row_of(facts: dict[str, str]) -> Embeddings:
    """A row as it will be written, of zeros: its width and its dtype."""
    import numpy as np

    from sestina._output import OutputForm

    form = OutputForm(facts["dtype"], direction=True)  # type: ignore[arg-type]  # as the parser checks
    return np.zeros(form.width(int(facts["dimensions"])), form.dtype)


def told(args: argparse.Namespace, form: str, count: int, facts: dict[str, str]) -> dict[str, Any]:
    """What --json says of what was written."""
    said = {
        "output": args.output,
        "format": form,
        "count": count,
        "dimensions": int(facts["dimensions"]),
        "space": facts["space"],
    }
    return said if facts["dtype"] == "float32" else {**said, "dtype": facts["dtype"]}


def new_writer(
    out: Destination,
    form: str,
    facts: dict[str, str],
    total: int | None,
    args: argparse.Namespace,
    table: tuple[Any, str | None],
) -> VectorWriter:
    """What writes vectors and texts in a format.

    Args:
        out: Where to.
        form: One of `FORMATS`.
        facts: As `facts_of` says.
        total: How many there will be; None: that is not known.
        args: `no_text`, `vector_column` and `on_null`.
        table: The schema of `schema_of`, and what its column of texts is called.
    """
    from sestina._cli.vector_files import JsonlWriter, NpyWriter

    if form == "npy":
        row = row_of(facts)
        return NpyWriter(out, len(row), total, row.dtype.str)
    if form == "jsonl":
        return JsonlWriter(out, with_text=not args.no_text)
    from sestina._cli.tables.writing import TableWriter

    schema, column = table
    called = column if schema is not None and column is not None else "text"
    told = facts if args.no_text else {**facts, "text_column": called}
    left_out = called if args.no_text else None
    nulls = args.on_null == "zero"
    return TableWriter(out, form, schema, left_out, args.vector_column, told, row_of(facts), nulls=nulls)
