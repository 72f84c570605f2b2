"""`sestina similar`: one text compared with one or several others."""

from __future__ import annotations

import argparse

from sestina._cli import arguments, options, printing

_EPILOG = """\
Example:
  sestina similar "How do plants eat?" "Photosynthesis" "The stock market"

With one other text only the number is printed; with several, a line each, in the order given. It is the
cosine, or what the bundle has in its place: dot, or euclidean or manhattan, distances with their sign turned.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "similar", "compare a text with others", _EPILOG)
    arguments.add_arguments(parser, "A B [B ...]", "the text A to compare, and texts B to compare it with")
    options.add_prompt(parser)
    options.add_vectors(parser)
    options.add_json(parser)
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encode all texts and print how alike they are."""
    args.text, *args.texts = given = arguments.take_bundle(args, 2)
    texts = arguments.argument_texts(given)

    import numpy as np

    from sestina._arrays import Vectors
    from sestina._cli.encoding import encode_each
    from sestina._similarity import similarity

    vectors: list[Vectors] = []
    with options.open_encoder(args) as encoder:
        encode_each(encoder, texts, lambda _, vector: vectors.append(vector), args)
        function = encoder.similarity_function
    scores = similarity(function, np.stack(vectors[:1]), np.stack(vectors[1:]))[0].tolist()
    if args.json:
        results = [{"text": text, function: value} for text, value in zip(args.texts, scores, strict=True)]
        printing.say_json({"text": args.text, "results": results})
    elif len(scores) == 1:
        printing.say(f"{scores[0]:.4f}")
    else:
        for text, value in zip(args.texts, scores, strict=True):
            printing.say(f"{value:7.4f}  {text}")
    return 0
