"""`sestina search`: the texts or saved vectors of a file that are nearest to a query."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sestina._cli import arguments, options, printing, second_stage
from sestina._cli.top import Hit, Top, hit_of, print_hits
from sestina._errors import InputError, OptionError

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._cli.inputs import TextFiles
    from sestina._cli.texts import Text
    from sestina._cli.vector_files import Saved
    from sestina._encoder import Encoder

_EPILOG = """\
FILE is a text file, encoded on the spot (as encode reads one: lines, --field of JSON, --column of CSV or of a
table, compressed or not, several, a quoted pattern; - is standard input), or vectors that `sestina encode`
saved: .jsonl, a table, or .npy or a folder of shards with the texts in --texts FILE.

Examples:
  sestina search "how do plants eat?" --in passages.txt --top 3
  sestina encode --input passages.txt --output passages.npy
  sestina search "how do plants eat?" --in passages.npy --texts passages.txt
  sestina search "how do plants eat?" --in passages.txt --rerank reranker.sestina --top 5

Prints rank, score, line number and text, and of several files the file. Equal scores keep the order of the
file. A score is the cosine, or what the bundle has in its place. The query is encoded as a query and the
texts as documents, each with the prompt that the bundle has for that, if any: encode what you save with
--prompt document.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "search", "find the nearest texts to a query", _EPILOG)
    arguments.add_arguments(parser, "QUERY", "the text to search for")
    options.add_in(parser, "what to search; texts may be in several files, or those of a pattern")
    parser.add_argument(
        "--texts",
        dest="names",
        metavar="FILE",
        action="append",
        help="the texts of a .npy file or a folder of vectors; may be repeated or a pattern",
    )
    parser.add_argument("--rerank", metavar="BUNDLE", help="order what was found anew, by this reranker")
    parser.add_argument(
        "--candidates", type=int, metavar="N", help="of how many --rerank orders (default 100, or --top)"
    )
    options.add_prompt(parser, "the query, in place of that for queries")
    options.add_prompt(parser, "every text, in place of that for documents", "document-prompt")
    options.add_vectors(parser)
    options.add_on_null(parser)
    options.add_json(parser)
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Search and print what was found."""
    (args.query,) = arguments.take_bundle(args, 1, 1)
    shown = options.at_least_one(args.top, "--top")
    top = Top(second_stage.candidates(args, shown))
    (query,) = arguments.argument_texts([args.query], "query")

    from sestina._cli.encoding import encode_each
    from sestina._cli.inputs import TextFiles, expanded
    from sestina._cli.saved import read_saved

    paths = expanded(args.files, "--in")
    saved = _saved_format(args, paths)
    if args.rerank is not None:
        second_stage.check(args, query.value, saved)
    named = None if args.names is None else expanded(args.names, "--texts")
    where_in = (args.field, args.column, args.delimiter)
    source = TextFiles(paths, *where_in, nulls=args.on_null == "zero") if saved is None else None
    names = None if named is None else TextFiles(named, *where_in, nulls=True)  # each row has its vector
    total = source.count() if source is not None else None
    with options.open_encoder(args) as encoder:
        prompt = encoder._prompts.for_query(args.prompt, args.prompt_text).text
        found: list[Vectors] = []
        encode_each(encoder, [query], lambda _, vector: found.append(vector), args, prompt_text=prompt)
        if source is not None:
            _search_texts(encoder, found[0], source, total, top, args)
        elif saved is not None:
            column = None if names is not None else args.column  # else it is of the file of texts
            pieces = read_saved(paths[0], saved, len(found[0]), encoder.space, column)
            _search_saved(encoder, found[0], pieces, top, paths[0], "line" if saved == "jsonl" else "row")
    hits = top.hits() if names is None else _with_texts(top, paths[0], names)
    if not top.offered:
        where = paths[0] if source is None else source.name
        printing.warning(f"{where} is empty: there is nothing to search")
    if args.rerank is not None and hits:
        hits = second_stage.reranked(args, query.value, hits)
    several = len(paths) if names is None else len(names.files)
    print_hits(args, hits[:shown], several=several > 1)
    return 0


def _saved_format(args: argparse.Namespace, paths: list[str]) -> str | None:
    """Which kind of vectors there are, as `read_saved` takes it; None where the files hold texts."""
    kinds = [_kind_of_vectors(args, path) for path in paths]
    found = next((kind for kind in kinds if kind is not None), None)
    if found is not None and len(paths) > 1:
        path = paths[kinds.index(found)]
        raise OptionError(f"{path} holds vectors, and there are {len(paths)} files: search it by itself")
    if found is not None and (args.document_prompt, args.document_prompt_text) != (None, None):
        raise OptionError(
            f"--document-prompt is about texts to encode, and {paths[0]} holds vectors: leave it out"
        )
    return found


def _kind_of_vectors(args: argparse.Namespace, path: str) -> str | None:
    from sestina._cli.saved import kind_of_vectors

    by_itself = args.field is None and args.column is None
    kind = kind_of_vectors(path, by_itself=by_itself)
    if args.names is not None and kind not in ("npy", "shards"):
        raise OptionError("--texts names the texts of a .npy file; this file has texts of its own")
    if kind == "npy" and args.names is None and not by_itself:
        raise OptionError("--field and --column are about texts, and a .npy file has none: pass --texts")
    if kind in ("table", "shards") and args.names is None and args.field is not None:
        raise OptionError(f"--field is about texts in JSON, and {path} holds vectors: leave it out")
    return kind


def _search_texts(
    encoder: Encoder,
    query: Vectors,
    source: Iterable[Text],
    total: int | None,
    top: Top,
    args: argparse.Namespace,
) -> None:
    from sestina._cli.encoding import encode_each
    from sestina._similarity import similarity

    prompt = encoder._prompts.for_document(args.document_prompt, args.document_prompt_text).text
    function = encoder.similarity_function

    def score(text: Text, vector: Vectors) -> None:
        value = float(similarity(function, query[None], vector[None])[0, 0])
        top.offer(hit_of(text, value))

    bar = printing.show_bar(stdout_used=False)
    encode_each(encoder, source, score, args, prompt_text=prompt, total=total, bar=bar)


def _search_saved(
    encoder: Encoder, query: Vectors, pieces: Iterable[Saved], top: Top, path: str, unit: str
) -> None:
    from sestina._similarity import similarity
    from sestina._vectors import unit_rows

    for piece in pieces:
        rows = unit_rows(piece.vectors) if piece.directions and encoder.normalized else piece.vectors
        scores = similarity(encoder.similarity_function, query[None], rows)[0].tolist()
        for score, line, text in zip(scores, piece.lines, piece.texts, strict=True):
            top.offer(Hit(score, line, text, path, unit))


def _with_texts(top: Top, vectors: str, names: TextFiles) -> list[Hit]:
    """The hits with the text of each row, and the line it has in its own file.

    Raises:
        InputError: Where there are not as many texts as vectors.
    """
    hits = top.hits()
    wanted = {hit.line: hit for hit in hits}
    named: dict[int, Hit] = {}
    count = 0
    for count, text in enumerate(names, start=1):
        if count in wanted:
            named[count] = hit_of(text, wanted[count].score)
    if count != top.offered:
        raise InputError(
            f"{names.name} has {count} texts for the {top.offered} vectors of {vectors}: name the file "
            "that they were made from"
        )
    return [named[hit.line] for hit in hits]
