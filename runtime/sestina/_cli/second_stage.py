"""The second stage of `sestina search --rerank`: a reranker reads what was found together with the query."""

from __future__ import annotations

import argparse

from sestina._cli import options, printing
from sestina._cli.located import Text
from sestina._cli.top import Hit, Top, hit_of
from sestina._errors import InputError, OptionError

_CANDIDATES = 100


def candidates(args: argparse.Namespace, shown: int) -> int:
    """How many are to be found: for the reranker to order, or without one as many as are shown.

    Raises:
        OptionError: Where an option is not as it must be.
    """
    if args.rerank is None:
        if args.candidates is not None:
            raise OptionError("--candidates is about --rerank: pass both")
        return shown
    wanted = _CANDIDATES if args.candidates is None else options.at_least_one(args.candidates, "--candidates")
    return max(shown, wanted)


def check(args: argparse.Namespace, query: str, saved: str | None) -> None:
    """Refuse before the search what could not be reranked after it.

    Args:
        args: Of the command line.
        query: What is asked.
        saved: The kind of vectors that are searched, as `kind_of_vectors` says.

    Raises:
        BundleError: Where there is no such bundle.
        OptionError: Where it is no reranker, or there are no texts for it to read.
        InputError: Where the query says nothing.
    """
    if saved == "npy" and args.names is None:
        raise OptionError("--rerank reads texts, and a .npy file has none: pass --texts")
    if not query.strip():
        raise InputError("the query is empty: ask something")

    from sestina._cli.scoring import loader_of

    loader_of(args.rerank)


def reranked(args: argparse.Namespace, query: str, hits: list[Hit]) -> list[Hit]:
    """The same hits in the reranker's order, with its scores; those that are null are left out, and told.

    Raises:
        InputError: Where no text of them is known.
        TruncationError: As `score_each`.
    """
    from sestina._cli.scoring import open_reranker, score_each

    texts = [Text(hit.text, hit.file, hit.line, hit.unit) for hit in hits if hit.text is not None]
    without = [hit for hit in hits if hit.text is None]
    if without:
        first = without[0].where
        if not texts:
            raise InputError(
                f"--rerank reads texts, and {first} has none, as all that was found: search vectors "
                "that were saved with their texts, or pass --texts where there are only vectors"
            )
        what = (
            f"{first} has"
            if len(without) == 1
            else f"{len(without)} that were found (the first is {first}) have"
        )
        printing.warning(
            f"{what} no text for --rerank to read, and {'is' if len(without) == 1 else 'are'} left out"
        )
    best = Top(len(texts))
    with open_reranker(args, args.rerank) as reranker:
        score_each(
            reranker,
            query,
            texts,
            lambda text, score: best.offer(hit_of(text, score)),
            args,
            total=len(texts),
        )
    return best.hits()
