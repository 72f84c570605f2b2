"""The callable class for `map_batches`: one encoder an actor, with as many threads as the actor has CPUs."""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import ray

import sestina
from sestina.integrations._encoder import EncoderArgument, Kind, Source
from sestina.integrations._ray.bundle import Shipment, arrived
from sestina.integrations._ray.tally import Teller
from sestina.integrations._rows import OF_A_TEXT, check_options, encode_rows, named

_EVERY = 32  # of the texts one is tokenized once more, so that tokens can be told of
_COUNTED = (sestina.TruncationWarning, sestina.EmptyTextWarning)  # by the tally of a whole run


class SestinaEmbedder:
    """Adds vectors to batches of texts: `dataset.map_batches(SestinaEmbedder, batch_format="pyarrow")`.

    The encoder is loaded with the first batch, once a process, with as many threads as Ray gives the actor
    CPUs. Batches may be tables of Arrow, whose vectors are a FixedSizeList of float32; dicts of arrays,
    (n, d) float32; or DataFrames, a column of arrays. Unless `on_empty` and `on_null` say otherwise, an empty
    text has a row of zeros, and a null is an error.

    Args:
        encoder: The path of a bundle on every node, an `Encoder`, or None for the encoder in the box.
        column: The column of texts.
        vector_column: What the column of vectors is called.
        id_column: A column that names a row in errors; None: its place in the batch does.
        kind: Which prompts of the bundle the texts get: those of a "document" or of a "query"; None: neither.
        dimensions: Keep only the first so many; None: all.
        space: The space that the bundle must be of; None: any.
        precision: As for `sestina.load`.
        threads: Threads that compute; None: the CPUs of the actor.
        tally: A directory where encoders say what they have done, for the report of a whole run.
        options: Of `Encoder.encode`: on_truncate, on_null, on_empty, prompt and so on. Vectors are float32.

    Raises:
        OptionError: Where `encoder` is none, or another form of vectors is asked for.
    """

    def __init__(
        self,
        encoder: EncoderArgument | Shipment = None,
        *,
        column: str = "text",
        vector_column: str = "vector",
        id_column: str | None = None,
        kind: Kind | None = "document",
        dimensions: int | None = None,
        space: str | None = None,
        precision: str = "auto",
        threads: int | None = None,
        tally: str | None = None,
        **options: Any,
    ) -> None:
        self._given, self._dimensions, self._space = encoder, dimensions, space
        self._column, self._vector_column, self._id_column = column, vector_column, id_column
        self._kind, self._precision, self._threads = kind, precision, threads
        self._teller = None if tally is None else Teller(tally)
        self._options = options
        self._opened: Source | None = None
        check_options(options)
        if not isinstance(encoder, Shipment):
            Source(encoder)  # what is no encoder is refused now
        if self._teller is not None and ray.get_runtime_context().was_current_actor_reconstructed:
            self._teller.tell(restarted=1)  # its process, or its node, was lost

    def __call__(self, batch: Any) -> Any:
        """The batch with its vectors.

        Raises:
            InputError: Where there is no such column, or one of vectors already.
            TextTypeError, TextValueError, TruncationError: As `Encoder.encode`; the message names the row.
            BundleIntegrityError: Where the bundle is of another space.
            SestinaError: As `sestina.load`.
        """
        begun = time.monotonic()
        names = list(getattr(batch, "column_names", batch))
        if self._column not in names:
            there = ", ".join(map(str, names))
            raise sestina.InputError(f"there is no column {self._column!r}; there are {there}")
        if self._vector_column in names:
            raise sestina.InputError(f"there is a column {self._vector_column!r} already: name another")
        texts = batch[self._column]
        source = self._source()
        encode: Any = partial(encode_rows, source, kind=self._kind, options=self._options)
        with warnings.catch_warnings(record=True) as caught:
            for kind in _COUNTED:
                warnings.simplefilter("always", kind)
            try:
                vectors = encode(texts)
            except OF_A_TEXT as error:
                ids = None if self._id_column is None else (self._id_column, batch[self._id_column])
                raise named(error, texts, encode, self._column, ids) from None
        cut = 0
        for each in caught:
            if isinstance(each.message, sestina.TruncationWarning):
                cut += each.message.count
            if not isinstance(each.message, _COUNTED) or self._teller is None:
                warnings.warn(each.message, each.category, stacklevel=2)
        if self._teller is not None:
            tokens = self._tokens(source, texts)
            null = getattr(texts, "null_count", 0)  # of Arrow's, which is what a whole run reads
            self._teller.tell(
                rows=len(texts),
                tokens=tokens,
                encoder_seconds=time.monotonic() - begun,
                truncated=cut,
                empty=int((~vectors.any(axis=1)).sum()) - null,
                null=null,
            )
        return _with_vectors(batch, self._vector_column, vectors)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _source(self) -> Source:
        if self._opened is None:
            given: Any = self._given
            if isinstance(given, sestina.Encoder):
                self._opened = Source(given, space=self._space, dimensions=self._dimensions)
                return self._opened
            if isinstance(given, Shipment):
                given = arrived(given, ray.get)
            encoder = sestina.load(given, precision=self._precision, threads=self._threads or _cpus())
            self._opened = Source(encoder, space=self._space, dimensions=self._dimensions)
        return self._opened

    def _tokens(self, source: Source, texts: Any) -> float:
        """Of all texts, from a sample of them."""
        arrow = hasattr(texts, "combine_chunks")
        sample = texts.take(list(range(0, len(texts), _EVERY))) if arrow else texts[::_EVERY]
        asked = {name: self._options[name] for name in ("prompt", "prompt_text") if name in self._options}
        tokens = 0
        for text in sample:
            value = text.as_py() if hasattr(text, "as_py") else text
            if isinstance(value, str):
                tokens += len(source.encoder.tokenize(value, **asked).ids)
        return tokens * len(texts) / max(1, len(sample))


def _with_vectors(batch: Any, name: str, vectors: Any) -> Any:
    if hasattr(batch, "append_column"):
        kind = vector_type(vectors.shape[1])
        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, type=kind)
        return batch.append_column(pa.field(name, kind, nullable=False), column)
    if hasattr(batch, "assign"):
        return batch.assign(**{name: list(vectors)})
    return {**batch, name: vectors}


def vector_type(dimensions: int) -> Any:
    """The type of a column of vectors, as `sestina encode` writes it."""
    return pa.list_(pa.field("item", pa.float32(), nullable=False), dimensions)


def _cpus() -> int | None:
    """Of the actor or task that this runs in; None outside of Ray."""
    if not ray.is_initialized():
        return None
    assigned = ray.get_runtime_context().get_assigned_resources().get("CPU", 0)
    return max(1, int(assigned)) if assigned else None
