"""`sestina search`: the texts or saved vectors of a file that are nearest to a query."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sestina._cli import arguments, options, printing
from sestina._cli.top import Hit, Top, print_hits
from sestina._errors import InputError, OptionError

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._cli.texts import Text, TextFile
    from sestina._encoder import Encoder

_CANDIDATES = 100
_EPILOG = """\
FILE is a text file, encoded on the spot (one text a line, or --field of JSONL, or --column of CSV; - is
standard input), or vectors that `sestina encode` saved: .jsonl, or .npy with the texts in --texts FILE.

Examples:
  sestina search "how do plants eat?" --in passages.txt --top 3
  sestina encode --input passages.txt --output passages.npy
  sestina search "how do plants eat?" --in passages.npy --texts passages.txt
  sestina search "how do plants eat?" --in passages.txt --rerank reranker.sestina --top 5

Prints rank, score, line number and text. Equal scores keep the order of the file. A score is the cosine, or
what the bundle has in its place. The query is encoded as a query and the texts as documents, each with the
prompt that the bundle has for that, if any: encode what you save with --prompt document.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "search", "find the nearest texts to a query", _EPILOG)
    arguments.add_arguments(parser, "QUERY", "the text to search for")
    parser.add_argument("--in", dest="file", metavar="FILE", required=True, help="what to search")
    parser.add_argument("--texts", dest="names", metavar="FILE", help="the texts of a .npy file of vectors")
    options.add_text_file(parser)
    parser.add_argument("--top", type=int, default=10, metavar="K", help="how many to show (default 10)")
    parser.add_argument("--rerank", metavar="BUNDLE", help="order what was found anew, by this reranker")
    parser.add_argument(
        "--candidates", type=int, metavar="N", help="of how many --rerank orders (default 100, or --top)"
    )
    options.add_prompt(parser, "the query, in place of that for queries")
    options.add_prompt(parser, "every text, in place of that for documents", "document-prompt")
    options.add_vectors(parser)
    options.add_json(parser)
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Search and print what was found."""
    (args.query,) = arguments.take_bundle(args, 1, 1)
    shown = options.at_least_one(args.top, "--top")
    top = Top(shown if args.rerank is None else _candidates(args, shown))
    (query,) = arguments.argument_texts([args.query], "query")
    if args.candidates is not None and args.rerank is None:
        raise OptionError("--candidates is about --rerank: pass both")
    saved = _saved_format(args)
    if args.rerank is not None:
        _check_reranker(args.rerank)

    from sestina._cli.encoding import encode_each
    from sestina._cli.texts import TextFile

    source = TextFile(args.file, args.field, args.column) if saved is None else None
    names = TextFile(args.names, args.field, args.column) if args.names is not None else None
    total = source.count() if source is not None else None
    with options.open_encoder(args) as encoder:
        prompt = encoder._prompts.for_query(args.prompt, args.prompt_text).text
        found: list[Vectors] = []
        encode_each(encoder, [query], lambda _, vector: found.append(vector), args, prompt_text=prompt)
        if source is not None:
            _search_texts(encoder, found[0], source, total, top, args)
        elif saved is not None:
            _search_saved(found[0], args.file, saved, top, encoder.similarity_function)
    hits = top.hits() if names is None else _with_texts(top, args.file, names)
    if not top.offered:
        where = args.file if source is None else source.file.name
        printing.warning(f"{where} is empty: there is nothing to search")
    if args.rerank is not None and hits:
        hits = _reranked(args, query.value, hits)
    print_hits(args, hits[:shown])
    return 0


def _check_reranker(path: str) -> None:
    """Refuse what is none before the search, not after it."""
    from sestina._bundle.bundle import Bundle
    from sestina._tasks import other_task

    bundle = Bundle(path)
    task = bundle.manifest.task
    bundle.close()
    if task != "rerank":
        raise other_task(path, task, "rerank")


def _candidates(args: argparse.Namespace, shown: int) -> int:
    """How many are found for the reranker.

    Raises:
        OptionError: Where there would be no texts for it to read.
    """
    if args.file.lower().endswith(".npy") and args.names is None:
        raise OptionError("--rerank reads texts, and a .npy file has none: pass --texts")
    if args.candidates is None:
        return max(shown, _CANDIDATES)
    return max(shown, options.at_least_one(args.candidates, "--candidates"))


def _reranked(args: argparse.Namespace, query: str, hits: list[Hit]) -> list[Hit]:
    """The same hits in the reranker's order, with its scores."""
    from sestina._cli.scoring import open_reranker, score_each
    from sestina._cli.texts import Text

    best = Top(len(hits))
    texts = [Text(hit.text or "", f"line {hit.line}", hit.line) for hit in hits]
    with open_reranker(args, args.rerank) as reranker:
        score_each(
            reranker,
            query,
            texts,
            lambda text, score: best.offer(score, text.line or 0, text.value),
            args,
            total=len(texts),
        )
    return best.hits()


def _saved_format(args: argparse.Namespace) -> str | None:
    """Which kind of vectors the file holds, "npy" or "jsonl"; None where it holds texts."""
    found = _kind_of_vectors(args)
    if found is not None and (args.document_prompt, args.document_prompt_text) != (None, None):
        raise OptionError(
            f"--document-prompt is about texts to encode, and {args.file} holds vectors: leave it out"
        )
    return found


def _kind_of_vectors(args: argparse.Namespace) -> str | None:
    npy = args.file.lower().endswith(".npy")
    if args.names is not None and not npy:
        raise OptionError("--texts names the texts of a .npy file; this file has texts of its own")
    if npy:
        if args.names is None and (args.field is not None or args.column is not None):
            raise OptionError("--field and --column are about texts, and a .npy file has none: pass --texts")
        return "npy"
    by_itself = args.field is None and args.column is None
    return "jsonl" if by_itself and args.file.lower().endswith(".jsonl") else None


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
        top.offer(float(similarity(function, query[None], vector[None])[0, 0]), text.line or 0, text.value)

    bar = printing.show_bar(stdout_used=False)
    encode_each(encoder, source, score, args, prompt_text=prompt, total=total, bar=bar)


def _search_saved(query: Vectors, path: str, saved: str, top: Top, function: str) -> None:
    from sestina._cli.vector_files import read_jsonl, read_npy
    from sestina._similarity import similarity

    read = read_npy if saved == "npy" else read_jsonl
    for piece in read(path, len(query)):
        scores = similarity(function, query[None], piece.vectors)[0].tolist()
        for score, line, text in zip(scores, piece.lines, piece.texts, strict=True):
            top.offer(score, line, text)


def _with_texts(top: Top, vectors: str, names: TextFile) -> list[Hit]:
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
            named[count] = Hit(wanted[count].score, text.line or count, text.value)
    if count != top.offered:
        raise InputError(
            f"{names.file.name} has {count} texts for the {top.offered} vectors of {vectors}: name the file "
            "that they were made from"
        )
    return [named[hit.line] for hit in hits]
