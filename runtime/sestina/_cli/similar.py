"""`sestina similar`: the cosine of one text with one or several others."""

from __future__ import annotations

import argparse

from sestina._cli import arguments, options, printing

_EPILOG = """\
Example:
  sestina similar "How do plants eat?" "Photosynthesis" "The stock market"

With one other text only the number is printed; with several, a line each, in the order given.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "similar", "compare a text with others by cosine", _EPILOG)
    arguments.add_arguments(parser, "A B [B ...]", "the text A to compare, and texts B to compare it with")
    options.add_vectors(parser)
    options.add_json(parser)
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encode all texts and print the cosines."""
    args.text, *args.texts = given = arguments.take_bundle(args, 2)
    texts = arguments.argument_texts(given)

    import numpy as np

    from sestina._arrays import Vectors
    from sestina._cli.encoding import encode_each
    from sestina._vectors import cosine

    vectors: list[Vectors] = []
    with options.open_encoder(args) as encoder:
        encode_each(encoder, texts, lambda _, vector: vectors.append(vector), args)
    cosines = cosine(np.stack(vectors[:1]), np.stack(vectors[1:]))[0].tolist()
    if args.json:
        results = [{"text": text, "cosine": value} for text, value in zip(args.texts, cosines, strict=True)]
        printing.say_json({"text": args.text, "results": results})
    elif len(cosines) == 1:
        printing.say(f"{cosines[0]:.4f}")
    else:
        for text, value in zip(args.texts, cosines, strict=True):
            printing.say(f"{value:7.4f}  {text}")
    return 0
