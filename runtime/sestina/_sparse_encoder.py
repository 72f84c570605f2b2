"""Texts to sparse vectors: a `SparseEncoder` says which tokens of its vocabulary a text is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np

from sestina._arguments import callback, plain_str, text_iterator, text_sequence, truth, whole_number
from sestina._facts import Facts
from sestina._familiar import SPARSE, SPARSE_ATTRIBUTES, with_one_name
from sestina._progress import progress_bar
from sestina._schedule.stream import begin_stream
from sestina._sparse_rows import each_its_own, gathered, pruned, similarity
from sestina._sparse_vectors import SparseVector, SparseVectors
from sestina._text.distinct import Distinct
from sestina._text.policy import OnEmpty, OnNull, Policy
from sestina._text.prompt import Prompt, Prompts
from sestina._text.tokenizer import Tokens
from sestina._text.truncation import OnTruncate
from sestina._text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from typing import TypedDict, Unpack

    from sestina._arrays import Column, Vectors
    from sestina._loaded import Loaded
    from sestina._recipe import Recipe
    from sestina._schedule.several_engine import WeightsEngine
    from sestina._schedule.sparse_engine import SparseEngine

    class _Options(TypedDict, total=False):
        prompt: str | None
        prompt_text: str | None
        max_active: int | None
        on_truncate: OnTruncate
        on_null: OnNull
        on_empty: OnEmpty | None
        progress: bool


class SparseEncoder(Facts):
    """Texts to sparse vectors. Made by `load_sparse_encoder`; a context manager; safe to use from threads.

    A vector does not depend on what is encoded beside a text, on its position, on the batch size or on the
    number of threads (within 1e-6 in fp32). It can be pickled, copied and used after a fork as an `Encoder`
    can.
    """

    _familiar = SPARSE_ATTRIBUTES

    def __init__(self, loaded: Loaded, recipe: Recipe, again: Callable[[Recipe], SparseEncoder]) -> None:
        super().__init__(loaded, recipe, again)
        self._prompts = Prompts(self._contract.prompts, self._contract.default_prompt)

    @property
    def max_active(self) -> int | None:
        """How many weights of a text are kept where nothing else is asked for, the largest; None: all."""
        return self._contract.max_active

    @overload
    def encode(self, texts: str, **options: Unpack[_Options]) -> SparseVector: ...  # type: ignore[overload-overlap]
    @overload
    def encode(self, texts: Sequence[str | None] | Column, **options: Unpack[_Options]) -> SparseVectors: ...
    @with_one_name(SPARSE)
    def encode(
        self,
        texts: str | Sequence[str | None] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        max_active: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        progress: bool = False,
    ) -> SparseVector | SparseVectors:
        """Encode one text or a sequence of texts.

        Args:
            texts: A text, a sequence of texts, or a column of them (numpy, pandas, polars, Arrow).
            prompt: The name of one of `prompts`, which is put before every text; None: `default_prompt`.
            prompt_text: The same as it is, such as "query: "; "" for none at all.
            max_active: Keep so many weights of each text at most, the largest; None: `max_active`.
            on_truncate: What to do where a text is over the limit: "error", "warn" (once per call) or
                "ignore".
            on_null: What to do where a row is null: "error", or "zero" for a vector without weights.
            on_empty: What to do where a text has no token of its own, or is white space alone: "zero" for a
                vector without weights, "warn" for that and a warning, "error"; None: what the model gives it.
            progress: Show a progress bar (needs tqdm).

        Returns: a `SparseVector` for one text, `SparseVectors` in input order for a sequence.

        Raises:
            TextTypeError, TextValueError: Where a row is null or not a valid Unicode str, or the tokenizer
                fails on it.
            EmptyTextError: Where a text is empty and `on_empty` is "error".
            TruncationError: Where a text is over the limit and `on_truncate` is "error".
            OptionError: Where an option is not allowed, or there is no such prompt.
            ClosedError, ForkError, ProviderError: As their names say.
        """
        chosen = self._prompts.choose(prompt, prompt_text)
        return self._encode(texts, chosen, Policy(on_truncate, on_null, on_empty), max_active, progress)

    @overload
    def encode_query(self, texts: str, **options: Unpack[_Options]) -> SparseVector: ...  # type: ignore[overload-overlap]
    @overload
    def encode_query(
        self, texts: Sequence[str | None] | Column, **options: Unpack[_Options]
    ) -> SparseVectors: ...
    @with_one_name(SPARSE)
    def encode_query(
        self,
        texts: str | Sequence[str | None] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        max_active: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        progress: bool = False,
    ) -> SparseVector | SparseVectors:
        """As `encode`, of what is searched for: unless told otherwise with the prompt "query".

        Where there is none of that name there is none at all, as in sentence-transformers.
        """
        chosen = self._prompts.for_query(prompt, prompt_text)
        return self._encode(texts, chosen, Policy(on_truncate, on_null, on_empty), max_active, progress)

    @overload
    def encode_document(self, texts: str, **options: Unpack[_Options]) -> SparseVector: ...  # type: ignore[overload-overlap]
    @overload
    def encode_document(
        self, texts: Sequence[str | None] | Column, **options: Unpack[_Options]
    ) -> SparseVectors: ...
    @with_one_name(SPARSE)
    def encode_document(
        self,
        texts: str | Sequence[str | None] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        max_active: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        progress: bool = False,
    ) -> SparseVector | SparseVectors:
        """As `encode`, of what is searched: unless told otherwise with the prompt "document", "passage" or
        "corpus", the first that there is; where there is none of these with none at all.
        """
        chosen = self._prompts.for_document(prompt, prompt_text)
        return self._encode(texts, chosen, Policy(on_truncate, on_null, on_empty), max_active, progress)

    def _encode(
        self, texts: Any, prompt: Prompt, policy: Policy, max_active: int | None, progress: bool
    ) -> SparseVector | SparseVectors:
        most, watch = self._most(max_active), policy.watch(self.max_tokens, prompted=bool(prompt.text))
        show, engine = truth("progress", progress), cast("SparseEngine | WeightsEngine", self._engine)
        tokens = Vocabulary(engine.tokenizer)
        text = plain_str(texts)
        if text is not None:
            row = engine.row(text, watch, prompt)
            watch.report()
            return SparseVector(*pruned(row, most), self.dimensions, tokens)
        distinct = Distinct(text_sequence(texts), nulls=watch.takes_null)
        engine.sessions()  # a closed encoder refuses an empty sequence too
        kept, seen, end = np.empty(len(distinct.texts), dtype=object), distinct.watched(watch), 0
        with progress_bar(len(distinct.texts) + distinct.repeated, show) as advance:
            for rows in engine.vectors(distinct.texts, lambda: seen, advance, prompt):
                for row in rows:
                    kept[end] = pruned(row, most)
                    end += 1
            advance(distinct.repeated)
        watch.report()
        return SparseVectors(gathered(distinct.spread(kept).tolist(), self.dimensions), tokens)

    @with_one_name(SPARSE)
    def stream(
        self,
        texts: Iterable[str | None] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        max_active: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> Iterator[SparseVector]:
        """Encode any iterable, endless ones included, in bounded memory; otherwise as `Encoder.stream`.

        Yields: a `SparseVector` for each text, in input order.

        Raises: as `encode`.
        """
        chosen, most = self._prompts.choose(prompt, prompt_text), self._most(max_active)
        policy = Policy(on_truncate, on_null, on_empty)
        watch = partial(policy.watch, self.max_tokens, prompted=bool(chosen.text))
        watch()  # refuses now what is not allowed
        tell = callback("on_progress", on_progress)
        given = text_iterator(texts)
        self._engine.sessions()  # refuses now, not at the first vector
        tokens = Vocabulary(self._engine.tokenizer)

        def finish(rows: Any) -> Any:
            return [SparseVector(*pruned(row, most), self.dimensions, tokens) for row in each_its_own(rows)]

        stream: Any = begin_stream(self._engine, given, watch, tell, finish, chosen)
        vectors: Iterator[SparseVector] = stream
        return vectors

    def tokenize(self, text: str, *, prompt: str | None = None, prompt_text: str | None = None) -> Tokens:
        """What the encoder reads of a text, as `Encoder.tokenize`."""
        return self._engine.tokens(text, self._prompts.choose(prompt, prompt_text))

    @with_one_name(SPARSE)
    def similarity(
        self,
        a: str | Sequence[str | None] | Column | SparseVector | SparseVectors,
        b: str | Sequence[str | None] | Column | SparseVector | SparseVectors,
    ) -> Vectors:
        """Every pair compared as `similarity_function` says, mostly the dot product: higher is more alike.

        Args:
            a: A text, a sequence of texts, or what `encode` gave.
            b: The same, for the columns.

        Returns: (n_a, n_b) float32.

        Raises: as `encode`; OptionError where vectors are of a vocabulary of another size.
        """
        left, right = (self._vectors(each)._rows for each in (a, b))
        return similarity(self.similarity_function, left, right)

    def _vectors(self, given: Any) -> SparseVectors:
        if not isinstance(given, SparseVector | SparseVectors):
            given = self.encode(given)
        return given.rows() if isinstance(given, SparseVector) else given

    def _most(self, max_active: int | None) -> int | None:
        if max_active is None:
            return self.max_active
        return whole_number("max_active", max_active, 1, self.dimensions, ", or None")
