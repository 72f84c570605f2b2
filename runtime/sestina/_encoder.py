"""The face of the runtime: an `Encoder` turns texts into vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sestina._arguments import callback, plain_str, text_iterator, text_sequence, truth, whole_number
from sestina._loaded import Reloading
from sestina._process.native import opening
from sestina._progress import progress_bar
from sestina._schedule.stream import begin_stream
from sestina._text.distinct import Distinct
from sestina._text.prompt import Prompt, Prompts
from sestina._text.tokenizer import Tokens
from sestina._text.truncation import OnTruncate, TruncationWatch
from sestina._vectors import as_rows, shorten

if TYPE_CHECKING:
    from sestina._arrays import Column, Vectors
    from sestina._explain.explanation import Explanation
    from sestina._loaded import Loaded
    from sestina._recipe import Recipe


class Encoder(Reloading):
    """Texts to vectors. Made by `load`; a context manager; safe to use from many threads at once.

    Vectors do not depend on what is encoded beside a text, on its position, on the batch size or on the
    number of threads (within 1e-6 in fp32). A text without a single token (such as "" where the tokenizer
    adds no special tokens) has the zero vector.

    It can be pickled and copied: what travels is how it was loaded (an absolute path, the arguments of
    `load`, the space), and the bundle is loaded anew where it arrives. In a forked child the same happens at
    the first use.
    """

    def __init__(self, loaded: Loaded, recipe: Recipe, again: Callable[[Recipe], Encoder]) -> None:
        super().__init__(loaded, recipe, again)
        contract = self._contract
        count = None if contract.include_prompt else lambda prompt: self._engine.prompt_tokens(prompt)
        self._prompts = Prompts(contract.prompts, contract.default_prompt, count)

    @property
    def dimensions(self) -> int:
        """d, the width of a vector."""
        return self._contract.dimensions

    @property
    def prompts(self) -> Mapping[str, str]:
        """What may be put before a text, by name; cannot be changed."""
        return self._contract.prompts

    @property
    def default_prompt(self) -> str | None:
        """The name of the prompt that stands before every text for which none is asked; None: none does."""
        return self._contract.default_prompt

    @property
    def similarity_function(self) -> str:
        """How `similarity` compares: "cosine", "dot", "euclidean" or "manhattan"."""
        return self._contract.similarity

    def encode(
        self,
        texts: str | Sequence[str] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        dimensions: int | None = None,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> Vectors:
        """Encode one text or a sequence of texts.

        Args:
            texts: A text, a sequence of texts, or a column of them (numpy, pandas, polars, Arrow).
            prompt: The name of one of `prompts`, which is put before every text; None: `default_prompt`.
            prompt_text: The same as it is, such as "query: "; "" for none at all.
            dimensions: Keep only the first so many dimensions, normalised again where the bundle
                normalises. Meaningful for models trained for it (Matryoshka, Kusupati et al. 2022).
            on_truncate: What to do where a text is over the limit: "error", "warn" (once per call) or
                "ignore".
            progress: Show a progress bar (needs tqdm).

        Returns:
            (d,) float32 for one text; (n, d) float32 in input order for a sequence, (0, d) for an empty one.

        Raises:
            TextTypeError, TextValueError: Where a text is not a valid Unicode str, or has no tokens.
            TruncationError: Where a text is over the limit and `on_truncate` is "error".
            OptionError: Where `dimensions` or `on_truncate` is not allowed, or there is no such prompt.
            ClosedError, ForkError, ProviderError: As their names say.
        """
        chosen = self._prompts.choose(prompt, prompt_text)
        return self._encode(texts, chosen, dimensions, on_truncate, progress)

    def encode_query(
        self,
        texts: str | Sequence[str] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        dimensions: int | None = None,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> Vectors:
        """As `encode`, of what is searched for: unless told otherwise with the prompt "query".

        Where there is none of that name there is none at all, as in sentence-transformers.
        """
        chosen = self._prompts.for_query(prompt, prompt_text)
        return self._encode(texts, chosen, dimensions, on_truncate, progress)

    def encode_document(
        self,
        texts: str | Sequence[str] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        dimensions: int | None = None,
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> Vectors:
        """As `encode`, of what is searched: unless told otherwise with the prompt "document", "passage" or
        "corpus", the first that there is.

        Where there is none of these there is none at all, as in sentence-transformers.
        """
        chosen = self._prompts.for_document(prompt, prompt_text)
        return self._encode(texts, chosen, dimensions, on_truncate, progress)

    def _encode(
        self,
        texts: str | Sequence[str] | Column,
        prompt: Prompt,
        dimensions: int | None,
        on_truncate: OnTruncate,
        progress: bool,
    ) -> Vectors:
        width = self._width(dimensions)
        watch = self._watch(on_truncate, prompt)
        show = truth("progress", progress)
        text = plain_str(texts)
        if text is not None:
            vector: Vectors = self._shorten(self._engine.vector(text, watch, prompt), width)[0]
            watch.report()
            return vector
        # In a list of our own: whoever changes the sequence meanwhile does not change the work.
        distinct = Distinct(text_sequence(texts))
        self._engine.sessions()  # a closed encoder refuses an empty sequence too
        vectors: Vectors = np.empty((len(distinct.texts), width), dtype=np.float32)
        seen, end = distinct.watched(watch), 0
        with progress_bar(len(distinct.texts) + distinct.repeated, show) as advance:
            for rows in self._engine.vectors(distinct.texts, lambda: seen, advance, prompt):
                begin, end = end, end + len(rows)
                vectors[begin:end] = self._shorten(rows, width)
            advance(distinct.repeated)
        watch.report()
        return distinct.spread(vectors)

    def stream(
        self,
        texts: Iterable[str],
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        dimensions: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_progress: Callable[[int], object] | None = None,
    ) -> Iterator[Vectors]:
        """Encode any iterable, endless ones included, in bounded memory.

        Texts are taken in windows, the first of 256, later ones of up to 4,096, and vectors come in bursts.
        What gives names instead of texts (a mapping, a table) or has no order (a set) is refused; a file
        gives its lines, line breaks included. Other arguments and errors are those of `encode`; a truncation
        warning comes once per window. `on_progress` is called with the number of texts of each batch that is
        done. After an error each further `next` is an error too, as the texts are not at their end.

        Yields: (d,) float32 for each text, in input order.
        """
        chosen = self._prompts.choose(prompt, prompt_text)
        width = self._width(dimensions)
        self._watch(on_truncate, chosen)
        tell = callback("on_progress", on_progress)
        given = text_iterator(texts)
        self._engine.sessions()  # refuses now, not at the first vector
        watch = partial(self._watch, on_truncate, chosen)
        return begin_stream(self._engine, given, watch, tell, lambda rows: self._shorten(rows, width), chosen)

    def hidden_states(
        self,
        texts: str | Sequence[str] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        on_truncate: OnTruncate = "warn",
    ) -> list[Vectors]:
        """The last layer's vector of every token, those of the prompt included; prompts as `encode` has them.

        Returns: for each text, (n_tokens, d_model) float32 in the order of `tokenize(text).ids`.

        Raises: as `encode`; OptionError where the variant in use gives none.
        """
        chosen = self._prompts.choose(prompt, prompt_text)
        watch = self._watch(on_truncate, chosen)
        text = plain_str(texts)
        listed: Sequence[Any] = text_sequence(texts) if text is None else [text]
        ids = self._engine.ids(listed, 0 if text is None else None, watch, chosen)
        states = self._engine.hidden_states(ids, int(self._bundle.manifest.encoder["d_model"]))
        watch.report()
        return states

    def tokenize(self, text: str, *, prompt: str | None = None, prompt_text: str | None = None) -> Tokens:
        """What the encoder reads of a text: ids, tokens, offsets, whether it was truncated, and its prompt.

        Raises:
            TextTypeError, TextValueError: Where the text is not a valid Unicode str.
            OptionError: Where there is no such prompt.
        """
        return self._engine.tokens(text, self._prompts.choose(prompt, prompt_text))

    def explain(
        self,
        text: str,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        on_truncate: OnTruncate = "warn",
    ) -> Explanation:
        """How one text becomes its vector: the attention of every head, and what each token contributes.

        The first call opens the graph once more, and holds its weights until `close`. The attention is a
        result, as vectors are: it does not count against `max_memory_mb`.

        Raises:
            SestinaError: As `encode`.
            TextValueError: Where the attention would take more than a GiB.
            BundleFormatError: Where the bundle was exported before its graphs could be looked into.
        """
        with opening:
            from sestina._explain.explanation import explain

        chosen = self._prompts.choose(prompt, prompt_text)
        watch = self._watch(on_truncate, chosen)
        explanation = explain(self._engine, self._bundle.manifest, text, watch, chosen)
        watch.report()
        return explanation

    def similarity(
        self,
        a: str | Sequence[str] | Column,
        b: str | Sequence[str] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
    ) -> Vectors:
        """Every pair compared as `similarity_function` says: the higher, the more alike.

        Args:
            a: A text, a sequence of texts, or vectors as `encode` gives them.
            b: The same, for the columns.
            prompt: Of texts on either side, as for `encode`.
            prompt_text: The same.

        Returns: (n_a, n_b) float32. "cosine": in [-1, 1]; a zero vector is similar to nothing: 0. "dot": the
            dot product. "euclidean", "manhattan": the distance with its sign turned, so 0 at most.

        Raises: as `encode`; OptionError where vectors differ in width.
        """
        with opening:
            from sestina._similarity import similarity

        chosen = self._prompts.choose(prompt, prompt_text)
        return similarity(self.similarity_function, self._rows(a, chosen), self._rows(b, chosen))

    def _facts(self) -> str:
        return f"{self.dimensions} dimensions"

    def _shorten(self, rows: Vectors, width: int) -> Vectors:
        return shorten(rows, width, self._contract.normalize)

    def _width(self, dimensions: int | None) -> int:
        if dimensions is None:
            return self.dimensions
        return whole_number("dimensions", dimensions, 1, self.dimensions)

    def _watch(self, on_truncate: OnTruncate, prompt: Prompt) -> TruncationWatch:
        return TruncationWatch(on_truncate, self.max_tokens, prompted=bool(prompt.text))

    def _rows(self, given: str | Sequence[str] | Column, prompt: Prompt) -> Vectors:
        if isinstance(given, np.ndarray) and not (given.ndim == 1 and given.dtype.kind in "OTU"):
            return as_rows(given)
        text = plain_str(given)
        return self._encode(given if text is None else [text], prompt, None, "warn", progress=False)
