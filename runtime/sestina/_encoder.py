"""The face of the runtime: an `Encoder` turns texts into vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from sestina._arguments import callback, plain_str, text_iterator, text_sequence, truth, whole_number
from sestina._facts import Facts
from sestina._familiar import ENCODING, with_one_name
from sestina._output import Output, OutputForm
from sestina._process.native import opening
from sestina._progress import progress_bar
from sestina._schedule.stream import begin_stream
from sestina._text.distinct import Distinct
from sestina._text.policy import OnEmpty, OnNull, Policy
from sestina._text.prompt import Prompt, Prompts
from sestina._text.tokenizer import Tokens
from sestina._text.truncation import OnTruncate
from sestina._vectors import as_rows, shorten

if TYPE_CHECKING:
    from typing import Unpack

    from sestina._arrays import Column, Embeddings, Vectors
    from sestina._explain.explanation import Explanation
    from sestina._loaded import Loaded
    from sestina._recipe import Recipe
    from sestina._several import Options, OutputName, Outputs
    from sestina._sparse_vectors import SparseVector, SparseVectors

    Texts = Sequence[str | None] | Column


class Encoder(Facts):
    """Texts to vectors. Made by `load`; a context manager; safe to use from many threads at once.

    Vectors do not depend on what is encoded beside a text, on its position, on the batch size or on the
    number of threads (within 1e-6 in fp32). A text without a single token (such as "" where the tokenizer
    adds no special tokens) has the zero vector; `on_empty` has more to say of such texts.

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
    def outputs(self) -> tuple[str, ...]:
        """What `encode` can be asked for: "dense", and of some bundles "sparse" and "multi-vector"."""
        results = self._contract.results
        return ("dense",) if results is None else results.names

    @overload
    def encode(
        self, texts: str | Texts, *, outputs: None = None, **options: Unpack[Options]
    ) -> Embeddings: ...
    @overload
    def encode(  # type: ignore[overload-overlap]
        self, texts: str, *, outputs: Sequence[OutputName], **options: Unpack[Options]
    ) -> Outputs[SparseVector, Vectors]: ...
    @overload
    def encode(
        self, texts: Texts, *, outputs: Sequence[OutputName], **options: Unpack[Options]
    ) -> Outputs[SparseVectors, list[Vectors]]: ...
    @with_one_name(ENCODING)
    def encode(
        self,
        texts: str | Texts,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        dimensions: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        output: Output = "float32",
        outputs: Sequence[OutputName] | None = None,
        progress: bool = False,
    ) -> Embeddings | Outputs[Any, Any]:
        """Encode one text or a sequence of texts.

        Args:
            texts: A text, a sequence of texts, or a column of them (numpy, pandas, polars, Arrow).
            prompt: The name of one of `prompts`, which is put before every text; None: `default_prompt`.
            prompt_text: The same as it is, such as "query: "; "" for none at all.
            dimensions: Keep only the first so many dimensions, normalised again where the bundle
                normalises. Meaningful for models trained for it (Matryoshka, Kusupati et al. 2022).
            on_truncate: What to do where a text is over the limit: "error", "warn" (once per call) or
                "ignore".
            on_null: What to do where a row is null (None, NaN, NA, NaT): "error", or "zero" for a zero
                vector.
            on_empty: What to do where a text has no token of its own, or is white space alone: "zero" for a
                zero vector, "warn" for that and a warning, "error"; None: the vector that the model itself
                gives it, zero where its tokenizer adds no special tokens.
            output: The form of the vectors: "float32", "float16", "int8" (each scaled by its largest number
                to 127: for cosines) or "binary" (signs, eight a byte). `Corpus` searches all of them.
            outputs: Names of `outputs`, all of which one pass gives; None: dense vectors as they are.
            progress: Show a progress bar (needs tqdm).

        Returns:
            (d,) for one text; (n, d) in input order for a sequence, (0, d) for an empty one. float32, float16
            or int8; "binary" has ceil(d / 8) uint8 in place of d. Where `outputs` is given, `Outputs`.

        Raises:
            TextTypeError, TextValueError: Where a row is null or not a valid Unicode str, or the tokenizer
                fails on it.
            EmptyTextError: Where a text is empty and `on_empty` is "error".
            TruncationError: Where a text is over the limit and `on_truncate` is "error".
            OptionError: Where an option is not allowed or not for this bundle, or there is no such prompt.
            ClosedError, ForkError, ProviderError: As their names say.
        """
        chosen = self._prompts.choose(prompt, prompt_text)
        policy = Policy(on_truncate, on_null, on_empty)
        dense = partial(self._encode, texts, chosen, policy, dimensions, output, progress)
        if outputs is None:
            return dense()
        with opening:
            from sestina._several import Asked, several
        finish = partial(self._finished, self._width(dimensions), self._form(output))
        shaped = dimensions is not None or output != "float32"
        asked = Asked(outputs, chosen, policy, finish, shaped, progress)
        return several(self._engine, self._contract, texts, asked, dense)

    @with_one_name(ENCODING)
    def encode_query(
        self,
        texts: str | Texts,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        dimensions: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        output: Output = "float32",
        progress: bool = False,
    ) -> Embeddings:
        """As `encode`, of what is searched for: unless told otherwise with the prompt "query".

        Where there is none of that name there is none at all, as in sentence-transformers.
        """
        chosen = self._prompts.for_query(prompt, prompt_text)
        policy = Policy(on_truncate, on_null, on_empty)
        return self._encode(texts, chosen, policy, dimensions, output, progress)

    @with_one_name(ENCODING)
    def encode_document(
        self,
        texts: str | Texts,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        dimensions: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        output: Output = "float32",
        progress: bool = False,
    ) -> Embeddings:
        """As `encode`, of what is searched: unless told otherwise with the prompt "document", "passage" or
        "corpus", the first that there is.

        Where there is none of these there is none at all, as in sentence-transformers.
        """
        chosen = self._prompts.for_document(prompt, prompt_text)
        policy = Policy(on_truncate, on_null, on_empty)
        return self._encode(texts, chosen, policy, dimensions, output, progress)

    def _encode(
        self,
        texts: str | Texts,
        prompt: Prompt,
        policy: Policy,
        dimensions: int | None,
        output: Output,
        progress: bool,
    ) -> Embeddings:
        width, form = self._width(dimensions), self._form(output)
        watch = policy.watch(self.max_tokens, prompted=bool(prompt.text))
        show = truth("progress", progress)
        text = plain_str(texts)
        if text is not None:
            vector: Embeddings = self._finished(width, form, self._engine.vector(text, watch, prompt))[0]
            watch.report()
            return vector
        # In a list of our own: whoever changes the sequence meanwhile does not change the work.
        distinct = Distinct(text_sequence(texts), nulls=watch.takes_null)
        self._engine.sessions()  # a closed encoder refuses an empty sequence too
        vectors: Embeddings = np.empty((len(distinct.texts), form.width(width)), dtype=form.dtype)
        seen, end = distinct.watched(watch), 0
        with progress_bar(len(distinct.texts) + distinct.repeated, show) as advance:
            for rows in self._engine.vectors(distinct.texts, lambda: seen, advance, prompt):
                begin, end = end, end + len(rows)
                vectors[begin:end] = self._finished(width, form, rows)
            advance(distinct.repeated)
        watch.report()
        return distinct.spread(vectors)

    @with_one_name(ENCODING)
    def stream(
        self,
        texts: Iterable[str | None] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        dimensions: int | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
        output: Output = "float32",
        on_progress: Callable[[int], object] | None = None,
    ) -> Iterator[Embeddings]:
        """Encode any iterable, endless ones included, in bounded memory.

        Texts are taken in windows, the first of 256, later ones of up to 4,096, and vectors come in bursts.
        What gives names instead of texts (a mapping, a table) or has no order (a set) is refused; a file
        gives its lines, line breaks included. Other arguments and errors are those of `encode`; a warning of
        truncated or empty texts comes once per window. `on_progress` is called with the number of texts of
        each batch that is done. After an error each further `next` is an error too, as the texts are not at
        their end.

        Yields: (d,) for each text, in input order, as `encode` gives it.
        """
        chosen = self._prompts.choose(prompt, prompt_text)
        finish = partial(self._finished, self._width(dimensions), self._form(output))
        policy = Policy(on_truncate, on_null, on_empty)
        watch = partial(policy.watch, self.max_tokens, prompted=bool(chosen.text))
        watch()  # refuses now what is not allowed
        tell = callback("on_progress", on_progress)
        given = text_iterator(texts)
        self._engine.sessions()  # refuses now, not at the first vector

        return begin_stream(self._engine, given, watch, tell, finish, chosen)

    @with_one_name(ENCODING)
    def hidden_states(
        self,
        texts: str | Texts,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        on_truncate: OnTruncate = "warn",
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
    ) -> list[Vectors]:
        """The last layer's vector of every token, those of the prompt included; prompts as `encode` has them.

        Returns: for each text, (n_tokens, d_model) float32 in the order of `tokenize(text).ids`; (0, d_model)
            where `on_null` or `on_empty` says that its vector would be zero.

        Raises: as `encode`; OptionError where the variant in use gives none.
        """
        chosen = self._prompts.choose(prompt, prompt_text)
        policy = Policy(on_truncate, on_null, on_empty)
        watch = policy.watch(self.max_tokens, prompted=bool(chosen.text))
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
        watch = Policy(on_truncate).watch(self.max_tokens, prompted=bool(chosen.text))
        explanation = explain(self._engine, self._bundle.manifest, text, watch, chosen)
        watch.report()
        return explanation

    @with_one_name(ENCODING)
    def similarity(
        self,
        a: str | Sequence[str | None] | Column,
        b: str | Sequence[str | None] | Column,
        *,
        prompt: str | None = None,
        prompt_text: str | None = None,
        on_null: OnNull = "error",
        on_empty: OnEmpty | None = None,
    ) -> Vectors:
        """Every pair compared as `similarity_function` says: the higher, the more alike.

        Args:
            a: A text, a sequence of texts, or vectors of floats as `encode` gives them.
            b: The same, for the columns.
            prompt: Of texts on either side, as for `encode`.
            prompt_text: The same.
            on_null: Of texts on either side, as for `encode`.
            on_empty: The same.

        Returns: (n_a, n_b) float32. "cosine": in [-1, 1]; a zero vector is similar to nothing: 0. "dot": the
            dot product. "euclidean", "manhattan": the distance with its sign turned, so 0 at most.

        Raises: as `encode`; OptionError where vectors differ in width.
        """
        with opening:
            from sestina._similarity import similarity

        chosen = self._prompts.choose(prompt, prompt_text)
        policy = Policy(on_null=on_null, on_empty=on_empty)
        policy.watch(self.max_tokens, prompted=False)  # refuses what is not allowed, of vectors too
        left, right = (self._rows(given, chosen, policy) for given in (a, b))
        return similarity(self.similarity_function, left, right)

    def _finished(self, width: int, form: OutputForm, rows: Vectors) -> Embeddings:
        return form.of(shorten(rows, width, self._contract.normalize))

    def _width(self, dimensions: int | None) -> int:
        if dimensions is None:
            return self.dimensions
        return whole_number("dimensions", dimensions, 1, self.dimensions)

    def _form(self, output: Output) -> OutputForm:
        contract = self._contract
        return OutputForm(output, direction=contract.normalize or contract.similarity == "cosine")

    def _rows(self, given: str | Sequence[str | None] | Column, prompt: Prompt, policy: Policy) -> Vectors:
        if isinstance(given, np.ndarray) and not (given.ndim == 1 and given.dtype.kind in "OTU"):
            return as_rows(given)
        text = plain_str(given)
        texts = given if text is None else [text]
        return self._encode(texts, prompt, policy, None, "float32", progress=False)
