"""The second stage of a search: a `Reranker` reads a query and a document together, and scores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sestina._arguments import members, truth, whole_number
from sestina._asked import Ranked, asked, documents_of, in_order, some_of
from sestina._errors import OptionError, TextTypeError
from sestina._loaded import Reloading
from sestina._logits import activated
from sestina._progress import progress_bar
from sestina._schedule.pair_engine import PairEngine
from sestina._text.checked import check_text
from sestina._text.truncation import OnTruncate, TruncationWatch

if TYPE_CHECKING:
    from sestina._arrays import Column, Vectors
    from sestina._text.pairs import Pair


class Reranker(Reloading):
    """Pairs of texts to scores. Made by `load_reranker`; a context manager; safe to use from many threads.

    A score does not depend on what is scored beside a pair, on its position, on the batch size or on the
    number of threads (within 1e-6 in fp32). It can be pickled, copied and used after a fork as an `Encoder`
    can.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """What each of the numbers of a pair stands for; most rerankers have one."""
        return self._contract.labels

    @property
    def activation(self) -> str:
        """What becomes of logits: "identity", "sigmoid", "softmax" or "tanh"."""
        return self._contract.activation

    def score(
        self,
        query: str,
        documents: Sequence[str] | Column,
        *,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> Vectors:
        """Score documents against a query.

        Args:
            query: What is asked.
            documents: What may answer it: a sequence of texts, or a column of them.
            on_truncate: What to do where a query and a document together are over the limit, so that the end
                of the longer one is cut first: "error", "warn" (once per call) or "ignore".
            progress: Show a progress bar (needs tqdm).

        Returns:
            (n,) float32 in the order of the documents, the higher the better; (n, labels) where the bundle
            has several labels.

        Raises:
            TextTypeError, TextValueError: Where a text is not a valid Unicode str, the query is empty, or
                there are no documents.
            TruncationError: Where a pair is over the limit and `on_truncate` is "error".
            OptionError, ClosedError, ForkError, ProviderError: As their names say.
        """
        return self._score(self._pairs(query, documents), on_truncate, progress)

    def score_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> Vectors:
        """As `score`, of pairs of a query and a document each.

        Raises: as `score`; TextTypeError where a member is not a pair.
        """
        given = some_of(pairs, "pairs", "a sequence of pairs of str, such as [(query, document)]")
        return self._score([_pair(each, at) for at, each in enumerate(given)], on_truncate, progress)

    def rank(
        self,
        query: str,
        documents: Sequence[str] | Column,
        top_k: int | None = None,
        *,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> list[Ranked]:
        """Documents by how well they answer a query, the best first; of equal ones the first given.

        Args:
            query: What is asked.
            documents: As `score` takes them.
            top_k: How many are wanted; None: all.
            on_truncate: As for `score`.
            progress: As for `score`.

        Raises: as `score`; OptionError where the bundle has several labels, which give no order.
        """
        if len(self.labels) != 1:
            raise OptionError(
                f"this bundle gives {len(self.labels)} numbers a pair ({', '.join(self.labels):.200}), which "
                "have no order: use score and choose one"
            )
        if top_k is not None:
            top_k = whole_number("top_k", top_k, 1, 1 << 62, ", or None")
        pairs = self._pairs(query, documents)
        scores = self._score(pairs, on_truncate, progress)
        return in_order(scores, [pair[1] for pair in pairs], top_k)

    def _score(self, pairs: list[Pair], on_truncate: OnTruncate, progress: bool) -> Vectors:
        watch = TruncationWatch(on_truncate, self.max_tokens, noun="pair")
        show, engine = truth("progress", progress), self._engine
        assert isinstance(engine, PairEngine)  # noqa: S101  that of such a bundle is
        if len(pairs) == 1:
            logits = engine.lone_pair(pairs[0], watch)
        else:
            with progress_bar(len(pairs), show) as advance:
                logits = np.concatenate(list(engine.pair_vectors(pairs, lambda: watch, advance)))
        watch.report()
        scores = activated(logits, self.activation)
        return scores[:, 0] if len(self.labels) == 1 else scores

    def _pairs(self, query: object, documents: object) -> list[Pair]:
        self._engine.sessions()  # a closed one refuses whatever it is given
        text = asked(query)
        return [(text, document) for document in documents_of(documents)]

    def _facts(self) -> str:
        labels = len(self.labels)
        return f"{labels} label{'s' * (labels != 1)}"


def _pair(pair: object, at: int) -> Pair:
    found = members(pair) or ()
    if len(found) != 2:
        raise TextTypeError(
            f"pair {at} is {type(pair).__name__}; it must be a query and a document, both str"
        )
    return asked(found[0], at), check_text(found[1], at, "the document of pair")
