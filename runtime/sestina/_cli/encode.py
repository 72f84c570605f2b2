"""`sestina encode`: texts to vectors, from arguments, files or a pipe, to a file, a folder or a pipe."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sestina._cli import arguments, encode_sparse, formats, options, printing
from sestina._cli.destination import destination, is_standard_output
from sestina._errors import InputError, OptionError, OutputError

if TYPE_CHECKING:
    from sestina._cli.inputs import TextFiles

_SHARD_ROWS, _MOST_ROWS = 16384, 1 << 31

_EPILOG = """\
Texts are the TEXT arguments, or --input FILE, or standard input. A file is UTF-8, one text a line; a blank
line is the empty text, so that line n always gives vector n; none may be longer than 16 MiB. With --field or
--column it is JSONL or CSV, where blank lines are passed over; .json is one array, .parquet and .arrow are
tables. What gzip, zstd, bzip2 or xz made is read as what it holds. --input may be given several times, and a
quoted pattern stands for the files that it matches, sorted. Put -- before a TEXT that begins with a dash,
that is written as a path is, or where standard input is not for sestina (in a loop of a shell).

Examples:
  sestina encode "one text" "another"
  sestina encode --input passages.txt --output passages.npy
  sestina encode minilm.sestina --input "docs/*.jsonl.gz" --field page.body --output vectors/
  sestina encode --input reviews.parquet --column text --output embedded.parquet
  sestina encode nomic.sestina --prompt document --input passages.txt --output passages.npy
  sestina encode splade.sestina --input passages.txt --output passages.npz

JSONL has a line {"text": ..., "vector": [...]} for each text; .npy holds an array (n, dimensions) that
numpy.load can map; a table keeps the columns of the input's and has a column of vectors. Numbers are float32,
or as --output-dtype says. Input of any size runs in bounded memory, but for .npy from a pipe to a pipe: there
the vectors wait until their number is known. The output file appears when it is complete. A folder (--output
DIR/) gets shards and a manifest: run it again after whatever stopped it, and it goes on, to the same bytes.

Vectors of a sparse bundle go to .npz, which scipy.sparse.load_npz reads as a csr_array, or to .jsonl, a line
{"text": ..., "indices": [...], "values": [...]} for each text.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "encode", "turn texts into vectors", _EPILOG)
    arguments.add_arguments(parser, "[TEXT ...]", "texts to encode")
    parser.add_argument(
        "--input",
        metavar="FILE",
        action="append",
        help="read texts from a file, or from those of a pattern; may be repeated; - is standard input",
    )
    options.add_text_file(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write to a .npy, .jsonl, .parquet or .arrow file (of a sparse bundle: .npz or .jsonl), or to "
        "shards in DIR/; - is standard output",
    )
    parser.add_argument(
        "--format",
        choices=dict.fromkeys([*formats.FORMATS, *formats.OF_SPARSE]),
        help="default: by the suffix of --output; jsonl on standard output, npy in a folder",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a table or a complete folder that is there"
    )
    parser.add_argument("--no-text", action="store_true", help="leave the texts out of JSONL and tables")
    parser.add_argument(
        "--vector-column",
        default="vector",
        metavar="NAME",
        help="of a table that is written (default vector)",
    )
    parser.add_argument(
        "--shard-rows",
        type=int,
        default=_SHARD_ROWS,
        metavar="N",
        help=f"texts of one shard of a folder (default {_SHARD_ROWS})",
    )
    options.add_prompt(parser)
    options.add_vectors(parser)
    parser.add_argument(
        "--max-active", type=int, metavar="N", help="of a sparse bundle: keep the N largest weights of a text"
    )
    options.add_on_null(parser)
    parser.add_argument(
        "--output-dtype",
        default="float32",
        choices=formats.DTYPES,
        help="the form of vectors: float32 (default), float16, int8 (each scaled by its largest number to "
        "127) or binary (signs, eight a byte)",
    )
    options.add_json(parser, "with --output: state what was written as one JSON document")
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encode what the arguments name."""
    args.texts = arguments.take_bundle(args, 0)
    args.output = None if is_standard_output(args.output) else args.output
    task = encode_sparse.task_of(args)
    sparse = task == "sparse"
    encode_sparse.check_options(args, task)
    form = formats.format_of(args, sparse=sparse)
    formats.check_dtype(args, form)
    if args.json and args.output is None:
        raise OptionError("--json states what --output wrote: pass --output FILE too")
    if options.at_least_one(args.shard_rows, "--shard-rows") > _MOST_ROWS:
        raise OptionError(f"--shard-rows is {args.shard_rows}; it must be at most {_MOST_ROWS}")
    # What is wrong with the input or the output is said now, not after hours of encoding.
    source = _source(args)
    formats.check_overwrite(args, form)
    schema = formats.schema_of(args, source, form)
    table = (schema, None if schema is None or source is None else source.column())
    if source is None:
        texts: Any = arguments.argument_texts(args.texts)
        total: int | None = len(texts)
    else:
        texts, total = source, source.count()
    if sparse:
        facts = encode_sparse.to_file(args, form, texts, total)
    else:
        wrote = _to_folder if formats.is_folder(args.output) else _to_file
        facts = wrote(args, form, texts, total, table)
    if args.json:
        printing.say_json(facts)
    elif args.output is not None:
        known = facts.get("encoded", facts["count"]) != facts["count"]
        told = f" ({facts['count'] - facts['encoded']} were there)" if known else ""
        told = f", {facts['weights']} weights" if sparse else told
        kind = "sparse vectors" if sparse else "vectors"
        printing.say(f"{args.output}: {facts['count']} {kind} of {facts['dimensions']} dimensions{told}")
    return 0


def _to_file(
    args: argparse.Namespace, form: str, texts: Any, total: int | None, table: tuple[Any, str | None]
) -> dict[str, Any]:
    """Everything into one file or to standard output; what is to be said of it."""
    with destination(args.output) as out:
        from sestina._cli.encoding import encode_each

        with options.open_encoder(args) as encoder:
            arguments.check_stdin(args)  # once more: a slow writer has had time to begin
            facts = formats.facts_of(args, encoder)
            writer = formats.new_writer(out, form, facts, total, args, table)
            bar = printing.show_bar(stdout_used=args.output is None)
            count = encode_each(encoder, texts, writer.add, args, total=total, bar=bar)
            writer.finish()
    return formats.told(args, form, count, facts)


def _to_folder(
    args: argparse.Namespace, form: str, texts: Any, total: int | None, table: tuple[Any, str | None]
) -> dict[str, Any]:
    """Into shards; what is to be said of them."""
    from sestina._cli.shards.folder import shard_folder
    from sestina._cli.shards.run import encode_shards, inputs_of, plan_of

    with shard_folder(args.output, overwrite=args.overwrite) as folder:
        inputs = inputs_of(texts)
        with options.open_encoder(args) as encoder:
            arguments.check_stdin(args)
            facts = formats.facts_of(args, encoder)
            folder.begin(plan_of(args, encoder, inputs, facts, form), total)
            new = partial(formats.new_writer, form=form, facts=facts, args=args, table=table)
            count, encoded = encode_shards(
                folder, encoder, texts, args, lambda out: new(out, total=None), total=total, form=form
            )
    return {**formats.told(args, form, count, facts), "shards": len(folder.records), "encoded": encoded}


def _source(args: argparse.Namespace) -> TextFiles | None:
    """The files to read, or the pipe; None where there are TEXT arguments."""
    if args.texts:
        for option in ("input", "field", "column", "delimiter"):
            if getattr(args, option) is not None:
                raise OptionError(f"TEXT arguments and --{option} exclude each other: pass one of them")
        arguments.check_stdin(args)
        return None
    from sestina._cli.files import STDIN
    from sestina._cli.inputs import TextFiles, expanded

    if args.input is None and (sys.stdin is None or printing.is_terminal(sys.stdin)):
        raise InputError("there is nothing to encode: give TEXT arguments, --input FILE or a pipe")
    paths = expanded(args.input or [STDIN], "--input")
    for path in paths:
        if path != STDIN and args.output is not None and _same_file(path, args.output):
            raise OutputError(f"{args.output} is the input file too: name another output")
    return TextFiles(paths, args.field, args.column, args.delimiter, nulls=args.on_null == "zero")


def _same_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):  # at least one of them does not exist, or could not
        return False
