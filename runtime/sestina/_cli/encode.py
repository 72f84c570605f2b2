"""`sestina encode`: texts to vectors, from arguments, a file or a pipe, to a file or a pipe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sestina._cli import arguments, options, printing
from sestina._cli.destination import Destination, destination
from sestina._errors import InputError, OptionError, OutputError

if TYPE_CHECKING:
    from sestina._arrays import Embeddings
    from sestina._cli.texts import Text
    from sestina._cli.vector_files import VectorWriter

_FORMATS = ("npy", "jsonl")
_DTYPES = ("float32", "float16", "int8", "binary")

_EPILOG = """\
Texts are the TEXT arguments, or --input FILE, or standard input. A file is UTF-8, one text a line; a blank
line is the empty text, so that line n always gives vector n; none may be longer than 16 MiB. With --field or
--column it is JSONL or CSV, where blank lines are passed over. Put -- before a TEXT that begins with a dash,
that is written as a path is, or where standard input is not for sestina (in a loop of a shell).

Examples:
  sestina encode "one text" "another"
  sestina encode --input passages.txt --output passages.npy
  zcat docs.jsonl.gz | sestina encode minilm.sestina --field body > vectors.jsonl
  sestina encode nomic.sestina --prompt document --input passages.txt --output passages.npy

JSONL has a line {"text": ..., "vector": [...]} for each text; .npy holds an array (n, dimensions) of float32,
or of --output-dtype, that numpy.load can map. Input of any size runs in bounded memory, but for .npy from a
pipe to a pipe: there the vectors wait until their number is known. The output file appears when it is
complete.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "encode", "turn texts into vectors", _EPILOG)
    arguments.add_arguments(parser, "[TEXT ...]", "texts to encode")
    parser.add_argument("--input", metavar="FILE", help="read texts from a file; - is standard input")
    options.add_text_file(parser)
    parser.add_argument(
        "--output", metavar="FILE", help="write to a .npy or .jsonl file; - is standard output"
    )
    parser.add_argument(
        "--format", choices=_FORMATS, help="default: by the suffix of --output; jsonl on standard output"
    )
    parser.add_argument("--no-text", action="store_true", help="leave the texts out of JSONL")
    options.add_prompt(parser)
    options.add_vectors(parser)
    options.add_on_null(parser)
    parser.add_argument(
        "--output-dtype",
        default="float32",
        choices=_DTYPES,
        help="the form of vectors: float32 (default), float16, int8 (each scaled by its largest number to "
        "127) or binary (signs, eight a byte)",
    )
    options.add_json(parser, "with --output: state what was written as one JSON document")
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encode what the arguments name."""
    args.texts = arguments.take_bundle(args, 0)
    args.output = None if args.output == "-" else args.output
    form = _format(args)
    if args.output_dtype == "binary" and form != "npy":
        raise OptionError(f"--output-dtype is binary, which is for .npy, and the format is {form}: pass int8")
    if args.json and args.output is None:
        raise OptionError("--json states what --output wrote: pass --output FILE too")
    # What is wrong with the input or the output is said now, not after hours of encoding.
    texts, total = _texts(args)
    with destination(args.output) as out:
        from sestina._cli.encoding import encode_each

        with options.open_encoder(args) as encoder:
            _check_stdin(args)  # once more: a slow writer has had time to begin
            width = encoder.dimensions if args.dimensions is None else args.dimensions
            shape = encoder.encode([], dimensions=args.dimensions, output=args.output_dtype)
            writer = _writer(out, form, shape, total, with_text=not args.no_text)
            bar = printing.show_bar(stdout_used=args.output is None)
            count = encode_each(encoder, texts, writer.add, args, total=total, bar=bar)
            writer.finish()
            space = encoder.space
    if args.json:
        facts = {"output": args.output, "format": form, "count": count, "dimensions": width, "space": space}
        if args.output_dtype != "float32":
            facts["dtype"] = args.output_dtype
        printing.say_json(facts)
    elif args.output is not None:
        printing.say(f"{args.output}: {count} vectors of {width} dimensions")
    return 0


def _format(args: argparse.Namespace) -> str:
    asked: str | None = args.format
    if args.output is None:
        if sys.stdout is None:
            raise printing.closed_stdout()
        if asked == "npy" and (printing.is_terminal(sys.stdout) or not hasattr(sys.stdout, "buffer")):
            raise OptionError(
                "npy is binary and standard output takes text: pass --output FILE, or send it elsewhere"
            )
        return asked or "jsonl"
    suffix = Path(args.output).suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        if asked is None:
            raise OptionError(
                f"{args.output} ends neither in .npy nor in .jsonl: rename it, or pass --format"
            )
        return asked
    if asked not in (None, suffix):
        raise OptionError(f"{args.output} ends in .{suffix} but --format is {asked}: make them agree")
    return suffix


def _texts(args: argparse.Namespace) -> tuple[Iterable[Text], int | None]:
    """The texts, and how many they are where that can be known beforehand."""
    if args.texts:
        for option in ("input", "field", "column"):
            if getattr(args, option) is not None:
                raise OptionError(f"TEXT arguments and --{option} exclude each other: pass one of them")
        _check_stdin(args)
        texts = arguments.argument_texts(args.texts)
        return texts, len(texts)
    from sestina._cli.files import STDIN
    from sestina._cli.texts import TextFile

    path = args.input
    if path is None:
        if sys.stdin is None or printing.is_terminal(sys.stdin):
            raise InputError("there is nothing to encode: give TEXT arguments, --input FILE or a pipe")
        path = STDIN
    if path != STDIN and args.output is not None and _same_file(path, args.output):
        raise OutputError(f"{args.output} is the input file too: name another output")
    source = TextFile(path, args.field, args.column, nulls=args.on_null == "zero")
    return source, source.count()


def _check_stdin(args: argparse.Namespace) -> None:
    """Texts come in one way: what is piped in is not dropped for an argument that may be no text at all.

    Raises:
        OptionError: Where they come both ways.
    """
    from sestina._cli.files import stdin_has_data

    if args.texts and not args.dashed and stdin_has_data():
        raise OptionError(
            f"{args.texts[0]} is a TEXT argument, and texts come through standard input too: write a BUNDLE "
            "as a path, such as ./minilm, or put -- before the TEXT to leave standard input alone"
        )


def _same_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False  # at least one of them does not exist


def _writer(
    out: Destination, form: str, none: Embeddings, total: int | None, *, with_text: bool
) -> VectorWriter:
    from sestina._cli.vector_files import JsonlWriter, NpyWriter

    return (
        NpyWriter(out, none.shape[1], total, none.dtype.str)
        if form == "npy"
        else JsonlWriter(out, with_text=with_text)
    )
