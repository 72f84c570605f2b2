"""Texts to a vector of each of their tokens, and late interaction: each token of a query meets all of a
document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

from sestina._arguments import plain_str, text_sequence, truth, whole_number
from sestina._asked import Ranked, asked, documents_of, in_order
from sestina._bundle.late_interaction import LateInteraction, Role
from sestina._bundle.manifest import RESULTS
from sestina._familiar import MULTI_VECTOR, MULTI_VECTOR_ATTRIBUTES, no_attribute, with_one_name
from sestina._loaded import Reloading
from sestina._maxsim import as_matrices, maxsim_score, maxsim_scores
from sestina._progress import progress_bar
from sestina._schedule.roles import matrices, read
from sestina._text.distinct import Distinct
from sestina._text.policy import OnEmpty, OnNull, Policy
from sestina._text.truncation import OnTruncate, TruncationWatch, Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypedDict, Unpack

    from sestina._arrays import Column, Vectors

    class _Options(TypedDict, total=False):
        on_truncate: OnTruncate
        on_null: OnNull
        on_empty: OnEmpty | None
        progress: bool


_WINDOW = 256  # texts that are sorted by length and run together
_MIB = 1 << 20


class MultiVectorEncoder(Reloading):
    """Texts to matrices. Made by `load_multi_vector_encoder`; a context manager; safe to use from many
    threads.

    A matrix does not depend on what is encoded beside its text, on its position or on the batch size (within
    1e-6 in fp32). It can be pickled, copied and used after a fork as an `Encoder` can.
    """

    @property
    def dimensions(self) -> int:
        """d, the width of a token's vector."""
        return self._contract.dimensions

    @property
    def max_query_tokens(self) -> int:
        """The length limit of a query in tokens, special ones and its prompt included."""
        return self._late.query.max_tokens

    @property
    def max_document_tokens(self) -> int:
        """The same of a document."""
        return self._late.document.max_tokens

    @property
    def similarity_function(self) -> str:
        """How both are compared: "maxsim", or "meanmaxsim", the same by the number of a query's tokens."""
        return self._late.similarity

    @property
    def prompts(self) -> Mapping[str, str]:
        """What is put before a text, by "query" and "document"; neither need be there."""
        return self._contract.prompts

    @overload
    def encode_query(self, texts: str, **options: Unpack[_Options]) -> Vectors: ...  # type: ignore[overload-overlap]
    @overload
    def encode_query(
        self, texts: Sequence[str | None] | Column, **options: Unpack[_Options]
    ) -> list[Vectors]: ...
    @with_one_name(MULTI_VECTOR)
    def encode_query(
        self,
        texts: str | Sequence[str | None] | Column,
        *,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        progress: bool = False,
    ) -> Vectors | list[Vectors]:
        """A vector of each token of a query, its prompt and what fills it up included.

        Args:
            texts: A text, a sequence of texts, or a column of them.
            on_truncate: What to do where a text is over the limit: "error", "warn" (once per call) or
                "ignore".
            on_null: What to do where a row is null: "error", or "zero", a matrix without rows.
            on_empty: What to do where a text has no token of its own: "zero", a matrix without rows, "warn",
                the same with a warning, or "error"; None: what the model makes of it.
            progress: Show a progress bar (needs tqdm).

        Returns:
            (n, d) float32 for one text, a row for each token in order; for a sequence a list of these.

        Raises:
            TextTypeError, TextValueError: Where a row is null or not a valid Unicode str, or the tokenizer
                fails on it.
            EmptyTextError: Where a text is empty and `on_empty` is "error".
            TruncationError: Where a text is over the limit and `on_truncate` is "error".
            OptionError, ClosedError, ForkError, ProviderError: As their names say.
        """
        return self._encode(texts, "query", Policy(on_truncate, on_null, on_empty), progress)

    @overload
    def encode_document(self, texts: str, **options: Unpack[_Options]) -> Vectors: ...  # type: ignore[overload-overlap]
    @overload
    def encode_document(
        self, texts: Sequence[str | None] | Column, **options: Unpack[_Options]
    ) -> list[Vectors]: ...
    @with_one_name(MULTI_VECTOR)
    def encode_document(
        self,
        texts: str | Sequence[str | None] | Column,
        *,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        progress: bool = False,
    ) -> Vectors | list[Vectors]:
        """As `encode_query`, of a document: those of tokens that the bundle leaves out, punctuation mostly,
        are not among its rows.
        """
        return self._encode(texts, "document", Policy(on_truncate, on_null, on_empty), progress)

    @with_one_name(MULTI_VECTOR)
    def score(
        self,
        query: str | Vectors,
        documents: Sequence[str] | Column,
        *,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> Vectors:
        """Score documents against a query. The matrices of no more than a batch of them are held at once.

        Args:
            query: What is asked: a text, or its matrix, as `encode_query` gives it.
            documents: What may answer it: a sequence of texts, or a column of them.
            on_truncate: What to do where one is over the limit of its kind: "error", "warn" or "ignore".
            progress: Show a progress bar (needs tqdm).

        Returns: (n,) float32 in the order of the documents, the higher the better.

        Raises:
            TextTypeError, TextValueError: Where a text is not a valid Unicode str, the query is empty, or
                there are no documents.
            TruncationError: Where a text is over the limit and `on_truncate` is "error".
            OptionError, ClosedError, ForkError, ProviderError: As their names say.
        """
        self._engine.sessions()  # a closed one refuses whatever it is given
        return self._score(query, documents_of(documents), on_truncate, progress)

    @with_one_name(MULTI_VECTOR)
    def rank(
        self,
        query: str | Vectors,
        documents: Sequence[str] | Column,
        top_k: int | None = None,
        *,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> list[Ranked]:
        """Documents by how well they answer a query, the best first; of equal ones the first given.

        Args:
            query: As `score` takes it.
            documents: As `score` takes them.
            top_k: How many are wanted; None: all.
            on_truncate: As for `score`.
            progress: As for `score`.

        Raises: as `score`.
        """
        if top_k is not None:
            top_k = whole_number("top_k", top_k, 1, 1 << 62, ", or None")
        self._engine.sessions()
        texts = documents_of(documents)
        return in_order(self._score(query, texts, on_truncate, progress), texts, top_k)

    @with_one_name(MULTI_VECTOR)
    def maxsim(
        self,
        queries: Vectors | Sequence[Vectors],
        documents: Vectors | Sequence[Vectors],
        *,
        max_memory_mb: int = 64,
    ) -> Vectors:
        """How well documents answer queries, of matrices that were made before, as `similarity_function`
        says.

        Args:
            queries: A matrix (n, d) of floats, or a sequence of them.
            documents: The same. A document without rows is below all others: -1e9.
            max_memory_mb: Ceiling for what is computed at once, besides the result.

        Returns:
            (n queries, n documents) float32, the higher the better; (n documents,) for one query.

        Raises:
            OptionError: Where something is no such matrix, or a number or a score is beyond float32.
        """
        room = whole_number("max_memory_mb", max_memory_mb, 1, 1 << 24) * _MIB
        lone = isinstance(queries, np.ndarray) and queries.ndim == 2
        left, right = (
            as_matrices(given, name, self.dimensions)
            for given, name in ((queries, "queries"), (documents, "documents"))
        )
        scores = maxsim_scores(left, right, mean=self._mean, room=room)
        return scores[0] if lone else scores

    @property
    def _late(self) -> LateInteraction:
        late = self._contract.late_interaction
        assert late is not None  # noqa: S101  of such a bundle it is there
        return late

    @property
    def _mean(self) -> bool:
        return self._late.similarity == "meanmaxsim"

    def _role(self, name: str) -> tuple[Role, str]:
        """How queries or documents are read, and what stands before them."""
        role = self._late.query if name == "query" else self._late.document
        return role, self._contract.prompts.get(name, "")

    def _encode(
        self, texts: str | Sequence[str | None] | Column, name: str, policy: Policy, progress: bool
    ) -> Vectors | list[Vectors]:
        role, prompt = self._role(name)
        watch = policy.watch(role.max_tokens, prompted=bool(prompt), blank="a matrix without rows")
        show, text = truth("progress", progress), plain_str(texts)
        if text is not None:
            found = self._lone(text, name, watch)
            watch.report()
            return found
        distinct = Distinct(text_sequence(texts), nulls=watch.takes_null)
        self._engine.sessions()  # a closed one refuses an empty sequence too
        made = [np.zeros((0, self.dimensions), np.float32) for _ in distinct.texts]
        with progress_bar(len(distinct.texts) + distinct.repeated, show) as advance:
            for at, matrix in self._each(distinct.texts, name, distinct.watched(watch), advance):
                made[at] = matrix
            advance(distinct.repeated)
        watch.report()
        return distinct.copies(made)

    def _lone(self, text: str, name: str, watch: Watch) -> Vectors:
        """The matrix of one text that was given alone."""
        role, prompt = self._role(name)
        rows = read(self._engine, [text], None, watch, role, prompt)
        for _, matrix in matrices(self._engine, rows, role, self._output):
            return matrix
        return np.zeros((0, self.dimensions), np.float32)

    def _each(
        self, texts: Sequence[str | None], name: str, watch: Watch, advance: Callable[[int], object]
    ) -> Iterator[tuple[int, Vectors]]:
        """Where each text stands, and its matrix; not in their order, and none of one without tokens."""
        role, prompt = self._role(name)
        for begin in range(0, len(texts), _WINDOW):
            some = texts[begin : begin + _WINDOW]
            rows = read(self._engine, some, begin, watch, role, prompt)
            for at, matrix in matrices(self._engine, rows, role, self._output):
                yield begin + at, matrix
            advance(len(some))

    def _score(self, query: object, documents: list[str], on_truncate: OnTruncate, progress: bool) -> Vectors:
        show, (role, prompt) = truth("progress", progress), self._role("document")
        watch = TruncationWatch(on_truncate, role.max_tokens, prompted=bool(prompt), noun="document")
        prompted = bool(self._contract.prompts.get("query"))
        told = TruncationWatch(on_truncate, self.max_query_tokens, prompted=prompted, noun="query")
        if isinstance(query, np.ndarray) and query.ndim == 2:
            (vectors,) = as_matrices(query, "query", self.dimensions)
        else:
            vectors = self._lone(asked(query), "query", told)
        distinct, nothing = Distinct(documents, nulls=None), np.zeros((0, self.dimensions), np.float32)
        least = maxsim_score(vectors, nothing, mean=self._mean)
        scores: Vectors = np.full(len(distinct.texts), least, np.float32)
        with progress_bar(len(documents), show) as advance:
            for at, matrix in self._each(distinct.texts, "document", distinct.watched(watch), advance):
                scores[at] = maxsim_score(vectors, matrix, mean=self._mean)
            advance(distinct.repeated)
        told.report()
        watch.report()
        return distinct.spread(scores)

    @property
    def _output(self) -> str:
        return RESULTS["multi-vector"]

    def _facts(self) -> str:
        return f"{self.dimensions} dimensions a token"

    if not TYPE_CHECKING:  # which knows what there is

        def __getattr__(self, name):
            raise no_attribute(name, self, MULTI_VECTOR_ATTRIBUTES)
