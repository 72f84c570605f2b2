"""Texts of any source against one query, with a bar, and with truncation named by source and line."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from sestina._bundle.bundle import Bundle
from sestina._cli import options, printing
from sestina._cli.encoding import Notices
from sestina._cli.texts import Text
from sestina._errors import InputError, OptionError, TruncationError, TruncationWarning
from sestina._loaders import load_multi_vector_encoder, load_reranker
from sestina._progress import progress_bar
from sestina._reranker import Reranker
from sestina._tasks import other_task
from sestina._text.truncation import limit_in_words

if TYPE_CHECKING:
    from sestina._arrays import Vectors
    from sestina._multi_vector_encoder import MultiVectorEncoder

_AT_ONCE = 1024  # texts: enough for batches of one length, few enough to hold


def loader_of(path: str) -> Callable[..., Any]:
    """What loads a bundle that puts documents in an order.

    Raises:
        BundleError: Where there is no such bundle.
        OptionError: Where it is of another task.
    """
    bundle = Bundle(path)
    task = bundle.manifest.task
    bundle.close()
    loaders = {"rerank": load_reranker, "multi-vector": load_multi_vector_encoder}
    if task not in loaders:
        raise other_task(path, task, "rerank")
    return loaders[task]


def open_reranker(args: argparse.Namespace, path: str) -> Reranker | MultiVectorEncoder:
    """Load a reranker, or an encoder of late interaction, as the options say.

    Raises:
        OptionError: Where the bundle is of another task, or gives several numbers a pair, without an order.
    """
    reranker: Reranker | MultiVectorEncoder = loader_of(path)(path, **options.runtime_options(args))
    if isinstance(reranker, Reranker) and len(reranker.labels) != 1:
        reranker.close()
        raise OptionError(
            f"{path} gives {len(reranker.labels)} numbers a pair, which have no order: name a reranker of one"
        )
    return reranker


def score_each(
    reranker: Reranker | MultiVectorEncoder,
    query: str,
    texts: Iterable[Text],
    take: Callable[[Text, float], object],
    args: argparse.Namespace,
    *,
    total: int | None = None,
) -> None:
    """Give every text and its score to `take`, in order and in bounded memory.

    Args:
        reranker: Scores.
        query: What every text is held against.
        texts: The texts, none of them null.
        take: Is called with each text and its score.
        args: `on_truncate` of the command line.
        total: How many texts there are, for the bar; None where that is not known.

    Raises:
        TruncationError: Naming the text by its source.
    """
    ask: Callable[[list[str]], Vectors]
    if isinstance(reranker, Reranker):
        whole = reranker
        limit = f"together with the query {limit_in_words(reranker.max_tokens, prompted=False)}"

        def ask(values: list[str]) -> Vectors:
            return whole.score(query, values, on_truncate=args.on_truncate)
    else:
        late = reranker
        prompted = bool(late.prompts.get("document"))
        limit = limit_in_words(late.max_document_tokens, prompted=prompted)
        matrix = _query(late, query, args)

        def ask(values: list[str]) -> Vectors:
            return late.score(matrix, values, on_truncate=args.on_truncate)

    notices = Notices()
    notices.limit = limit
    with progress_bar(total, printing.show_bar(stdout_used=False)) as advance:
        for some in _pieces(texts):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", TruncationWarning)
                try:
                    scores = ask([text.value for text in some])
                except TruncationError as error:
                    raise TruncationError(
                        f"{some[error.position or 0].where} has {limit}: shorten it, or pass --on-truncate "
                        "warn (or ignore) to read its beginning"
                    ) from None
            for each in caught:
                warned = each.message
                if isinstance(warned, TruncationWarning):
                    notices.see(TruncationWarning, warned.count, some[warned.first or 0])
                else:
                    printing.warning(str(warned))
            for text, score in zip(some, scores.tolist(), strict=True):
                take(text, score)
            advance(len(some))
    notices.report()


def _query(encoder: MultiVectorEncoder, query: str, args: argparse.Namespace) -> Vectors:
    """The matrix of a query; that it was cut is said once, and not of a text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TruncationWarning)
        if not query.strip():
            raise InputError("the query is empty: ask something")
        try:
            matrix = encoder.encode_query(query, on_truncate=args.on_truncate)
        except TruncationError:
            limit = limit_in_words(encoder.max_query_tokens, prompted=bool(encoder.prompts.get("query")))
            raise TruncationError(
                f"the query has {limit}: shorten it, or pass --on-truncate warn (or ignore) to read its "
                "beginning"
            ) from None
    for each in caught:
        printing.warning(str(each.message).replace("the text", "the query", 1))
    return matrix


def _pieces(texts: Iterable[Text]) -> Iterator[list[Text]]:
    given = iter(texts)
    while some := list(islice(given, _AT_ONCE)):
        yield some
