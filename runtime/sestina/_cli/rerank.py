"""`sestina rerank`: the texts of a file by how well they answer a query, read together with it."""

from __future__ import annotations

import argparse

from sestina._cli import arguments, options, printing
from sestina._cli.top import Top, hit_of, print_hits
from sestina._errors import OptionError

_EPILOG = """\
A reranker reads the query and each text together, which is slower than a search and more exact: search
first, then rerank what was found (sestina search --rerank does both). None comes with sestina: export a
cross-encoder.

Examples:
  sestina export cross-encoder/ms-marco-MiniLM-L6-v2 reranker.sestina
  sestina rerank reranker.sestina "how do plants eat?" --in passages.txt --top 5
  sestina rerank reranker.sestina "how do plants eat?" --in "docs/*.jsonl.gz" --field page.body --json
  sestina rerank reranker.sestina "how do plants eat?" --in passages.parquet --column text

FILE is a text file as encode reads one: lines, --field of JSON, --column of CSV or of a table, compressed or
not, several, a quoted pattern; - is standard input. A null is refused, as there is nothing to read. Prints
rank, score, line number and text, and of several files the file. Equal scores keep the order of the file.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "rerank", "order texts by how well they answer a query", _EPILOG)
    arguments.add_arguments(parser, "QUERY", "what is asked")
    options.add_in(parser, "the texts; may be in several files, or those of a pattern")
    options.add_on_truncate(parser)
    options.add_json(parser)
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score every text and print the best."""
    (args.query,) = arguments.take_bundle(args, 1, 1)
    top = Top(options.at_least_one(args.top, "--top"))
    (query,) = arguments.argument_texts([args.query], "query")
    if args.bundle is None:
        raise OptionError(
            "rerank needs the bundle of a reranker, and none comes with sestina: sestina rerank BUNDLE QUERY "
            "--in FILE"
        )

    from sestina._cli.inputs import TextFiles, expanded
    from sestina._cli.scoring import open_reranker, score_each

    source = TextFiles(expanded(args.files, "--in"), args.field, args.column, args.delimiter)
    total = source.count()
    with open_reranker(args, str(options.bundle_path(args))) as reranker:
        score_each(
            reranker,
            query.value,
            source,
            lambda text, score: top.offer(hit_of(text, score)),
            args,
            total=total,
        )
    if not top.offered:
        printing.warning(f"{source.name} is empty: there is nothing to rank")
    print_hits(args, top.hits(), several=len(source.files) > 1)
    return 0
