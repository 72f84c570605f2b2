"""`sestina explain`: what every head attends to, and what every token gives to the vector."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sestina._cli import arguments, options, printing
from sestina._cli.destination import destination, is_standard_output
from sestina._cli.pieces import readable
from sestina._errors import OptionError, OutputError, TruncationError

if TYPE_CHECKING:
    from sestina._explain.scene import Scene

_DEFAULT = "explain.html"
_PAGE, _DOCUMENT = (".html", ".htm"), (".json",)

_EPILOG = """\
Writes a page with the attention of every head of every layer, as maps to walk through in a browser, and what
each token gives to the vector; it is one file and loads nothing. With no option to say
where, that is explain.html here, and the shares are printed, too.

Examples:
  sestina explain "the Transformer is an innovative NLP model"
  sestina explain minilm.sestina "a river bank" --output bank.html --png bank.png
  sestina explain "a river bank" --json | jq '.attention[0][3]'

Put -- before a TEXT that begins with a dash, or is written as a path is.

The attention is that of the very graph that makes the vectors: with --precision int8 it is int8's. In JSON
.attention[layer][head][from][to], counted from 0, is how much one token takes from another. The picture of
--png has a row of maps for each layer and a column for each head, each scaled to its strongest weight.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "explain", "see inside: attention and contributions", _EPILOG)
    arguments.add_arguments(parser, "TEXT", "the text to look into")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write the page (.html) or the numbers (.json); - sends the page to standard output "
        f"(default: {_DEFAULT}, where neither --png nor --json is given)",
    )
    parser.add_argument("--png", metavar="FILE", help="also write the maps of all heads as one picture")
    options.add_json(parser, "print one JSON document: tokens, contributions, vector, attention")
    options.add_prompt(parser, "the text")
    options.add_on_truncate(parser)
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look inside, and write or print what was seen."""
    (text,) = arguments.argument_texts(arguments.take_bundle(args, 1, 1))
    bare = args.output is None and args.png is None and not args.json
    if bare:
        args.output = _DEFAULT
    to_stdout = is_standard_output(args.output)
    numbers = _is_document(args.output)
    if to_stdout and args.json:
        raise OptionError("--json and --output - both go to standard output: name a file for the page")
    if args.png is not None and args.output is not None and _same(args.png, args.output):
        raise OutputError(f"{args.png} is to be both the picture and the page: name another file")
    # What is wrong with the outputs is said before any work.
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(destination(None if to_stdout else args.output)) if args.output else None
        png = stack.enter_context(destination(args.png)) if args.png is not None else None
        scene = _look(args, text.value)
        from sestina._explain.document import document, lines
        from sestina._explain.maps import picture
        from sestina._explain.page import page

        if png is not None:  # first, for it may refuse
            png.write(picture(scene.found.attention))
        if out is not None:
            for piece in document(scene) if numbers else page(scene):
                out.write(piece.encode(errors="backslashreplace") + b"\n" * numbers)
    if args.json:
        for line in document(scene):
            printing.write(line)
    elif not to_stdout:
        if bare:
            for line in lines(scene):
                printing.say(line)
        written = ", ".join(name for name in (args.output, args.png) if name is not None)
        printing.say(f"{written}: {scene.count}, {scene.n_layers} layers of {scene.n_heads} heads")
    return 0


def _is_document(output: str | None) -> bool:
    """Whether the file is to hold numbers, not the page; by its suffix."""
    if output is None or is_standard_output(output):
        return False
    suffix = Path(output).suffix.lower()
    if suffix == ".png":
        raise OptionError(f"{output} is a picture: pass --png {output}")
    if suffix not in (*_PAGE, *_DOCUMENT):
        raise OptionError(f"{output} ends neither in .html nor in .json: rename it")
    return suffix in _DOCUMENT


def _same(one: str, other: str) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(other)  # where `resolve` may refuse a loop of links
    except ValueError:  # of a null character or a lone surrogate: neither can be written
        return False


def _look(args: argparse.Namespace, text: str) -> Scene:
    import numpy as np

    from sestina._bundle.manifest import TOKENIZER
    from sestina._explain.scene import Scene

    with options.open_encoder(args) as encoder:
        report = encoder.report()
        try:
            found = encoder.explain(
                text, prompt=args.prompt, prompt_text=args.prompt_text, on_truncate=args.on_truncate
            )
        except TruncationError:
            raise TruncationError(
                f"the text has more than {encoder.max_tokens} tokens: shorten it, or pass --on-truncate warn "
                "(or ignore) to look into its beginning"
            ) from None
        spelling = json.loads(encoder._bundle.read(TOKENIZER))  # as it was opened, whatever lies there now
    values = (found.attention, found.contributions, found.vector)
    if not all(np.isfinite(value).all() for value in values):
        raise OutputError("what became of the text is not finite: try sestina verify on the bundle")
    words = readable(found.tokens.tokens, spelling)
    return Scene(text, words, found, report.name, report.space, report.variant, report.precision)
