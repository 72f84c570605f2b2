"""Texts to labels: a `Classifier` says of each what it is, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from sestina._arguments import plain_str, text_sequence, truth, whole_number
from sestina._loaded import Reloading
from sestina._logits import activated
from sestina._progress import progress_bar
from sestina._text.distinct import Distinct
from sestina._text.truncation import OnTruncate, TruncationWatch

if TYPE_CHECKING:
    from sestina._arrays import Column, Vectors


class Label(NamedTuple):
    """What a text may be.

    Attributes:
        label: One of `Classifier.labels`.
        score: Its probability; of a bundle whose activation is "identity" the logit as it is.
    """

    label: str
    score: float


class Classifier(Reloading):
    """Texts to labels. Made by `load_classifier`; a context manager; safe to use from many threads.

    Probabilities do not depend on what is classified beside a text, on its position, on the batch size or on
    the number of threads (within 1e-6 in fp32). It can be pickled, copied and used after a fork as an
    `Encoder` can.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """All that a text may be, in the order of `probabilities`."""
        return self._contract.labels

    @property
    def activation(self) -> str:
        """What becomes of logits: "softmax" (one label is right), "sigmoid" (any number are), or
        "identity".
        """
        return self._contract.activation

    @overload
    def classify(  # type: ignore[overload-overlap]
        self,
        texts: str,
        *,
        top_k: int | None = None,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> list[Label]: ...
    @overload
    def classify(
        self,
        texts: Sequence[str] | Column,
        *,
        top_k: int | None = None,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> list[list[Label]]: ...
    def classify(
        self,
        texts: str | Sequence[str] | Column,
        *,
        top_k: int | None = None,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> list[Label] | list[list[Label]]:
        """The labels of a text by their probability, the most probable first; of a sequence those of each
        text.

        Args:
            texts: A text, a sequence of texts, or a column of them.
            top_k: How many labels are wanted; None: all.
            on_truncate: What to do where a text is over the limit: "error", "warn" (once per call) or
                "ignore".
            progress: Show a progress bar (needs tqdm).

        Raises:
            TextTypeError, TextValueError: Where a text is not a valid Unicode str, or has no tokens.
            TruncationError: Where a text is over the limit and `on_truncate` is "error".
            OptionError, ClosedError, ForkError, ProviderError: As their names say.
        """
        most = None if top_k is None else whole_number("top_k", top_k, 1, 1 << 62, ", or None")
        rows = self.probabilities(texts, on_truncate=on_truncate, progress=progress)
        if rows.ndim == 1:
            return self._named(rows, most)
        return [self._named(row, most) for row in rows]

    def probabilities(
        self, texts: str | Sequence[str] | Column, *, on_truncate: OnTruncate = "warn", progress: bool = False
    ) -> Vectors:
        """The probability of every label, in the order of `labels`.

        Returns: (labels,) float32 for one text; (n, labels) in input order for a sequence.

        Raises: as `classify`.
        """
        watch = TruncationWatch(on_truncate, self.max_tokens)
        show, engine = truth("progress", progress), self._engine
        text = plain_str(texts)
        if text is not None:
            logits = engine.vector(text, watch)
            watch.report()
            lone: Vectors = activated(logits, self.activation)[0]
            return lone
        distinct = Distinct(text_sequence(texts), nulls=watch.takes_null)
        engine.sessions()  # a closed one refuses an empty sequence too
        seen, end = distinct.watched(watch), 0
        logits = np.empty((len(distinct.texts), len(self.labels)), dtype=np.float32)
        with progress_bar(len(distinct.texts) + distinct.repeated, show) as advance:
            for rows in engine.vectors(distinct.texts, lambda: seen, advance):
                begin, end = end, end + len(rows)
                logits[begin:end] = rows
            advance(distinct.repeated)
        watch.report()
        return distinct.spread(activated(logits, self.activation))

    def _named(self, row: Vectors, most: int | None) -> list[Label]:
        order = np.argsort(-row, kind="stable")[:most].tolist()
        return [Label(self.labels[at], float(row[at])) for at in order]
