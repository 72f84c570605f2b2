"""How every integration comes by its encoder, and by the texts that it encodes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import sestina
from sestina._arguments import one_of
from sestina._handlers import let_through
from sestina._quote import quote
from sestina.integrations._bundle import ANEW, BundleSource
from sestina.integrations._empty import refuse_empty

if TYPE_CHECKING:
    from sestina.integrations._empty import Vectors

Kind = Literal["query", "document"]
EncoderArgument = sestina.Encoder | str | os.PathLike[str] | None


class Source(BundleSource):
    """An encoder as a host names it. It is loaded when it is first needed, once a process and bundle.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space that it must be of, such as that of the vectors a store has; None: any.
        dimensions: Keep only the first so many; None: all.

    Attributes:
        dimensions_asked: As given.

    Raises:
        OptionError: Where `encoder` is none of these.
    """

    argument, allowed, embedded = "encoder", "the path of a bundle, an Encoder, or None", True
    advice = ANEW

    def __init__(
        self, encoder: EncoderArgument = None, *, space: str | None = None, dimensions: int | None = None
    ) -> None:
        self.dimensions_asked = dimensions
        super().__init__(encoder, space=space)

    @classmethod
    def _face(cls) -> type:
        return sestina.Encoder

    @classmethod
    def _load(cls) -> Callable[[str | None], Any]:
        return sestina.load

    @property
    def encoder(self) -> sestina.Encoder:
        """What encodes.

        Raises:
            BundleIntegrityError: Where the bundle is of another space than the one that was stored.
            SestinaError: As `sestina.load`.
        """
        encoder: sestina.Encoder = self.loaded
        return encoder

    @property
    def dimensions(self) -> int:
        """d, the width of the vectors."""
        return self.dimensions_asked or self.encoder.dimensions

    def encode(
        self,
        texts: Any,
        kind: Kind | None,
        *,
        empty: Literal["error", "zero", "as it is"] = "error",
        **options: Any,
    ) -> Vectors:
        """Vectors of documents or of queries, with the prompts that the bundle has for them.

        Args:
            texts: A sequence or column of texts.
            kind: Which of the two; None: texts that are neither.
            empty: What to do about an empty text: "error"; "zero", for `empty_rows` to find or where the host
                stores nothing; or the vector "as it is" of the model, where that is what is asked for.
            options: Of `Encoder.encode`.

        Raises:
            EmptyTextError: Where a text is empty; the message says which.
            SestinaError: As `Encoder.encode`.
        """
        if self.dimensions_asked is not None:
            options.setdefault("dimensions", self.dimensions_asked)
        if empty != "as it is":
            options["on_empty"] = "zero"
        vectors: Vectors = way(self.encoder, kind)(texts, **options)
        if empty == "error":
            refuse_empty(vectors, texts, kind or "text")
        return vectors

    def _checked(self, loaded: Any) -> Any:
        encoder, asked = super()._checked(loaded), self.dimensions_asked
        if asked is not None and (type(asked) is not int or not 1 <= asked <= encoder.dimensions):
            raise sestina.OptionError(
                f"dimensions is {quote(asked)}; it must be a whole number from 1 to {encoder.dimensions}, or "
                "None"
            )
        return encoder


def way(encoder: sestina.Encoder, kind: Kind | None) -> Any:
    """The method of an encoder for queries, documents or other texts.

    Raises:
        OptionError: Where `kind` is anything else.
    """
    if kind is None:
        return encoder.encode
    named = one_of("kind", kind, ("document", "query"))
    return encoder.encode_query if named == "query" else encoder.encode_document


def checked_texts(texts: Sequence[Any], what: str = "row") -> list[str]:
    """Texts of a host in a list, none of them null.

    Raises:
        TextTypeError: Where they are one `str`, or what gives names or has no order, or where one of them is
            no `str`, the message says which; or where they cannot be read.
    """
    named = hasattr(texts, "keys") and not hasattr(texts, "dtype")  # a mapping or a table, not a column
    if named or isinstance(texts, str | bytes | set | frozenset):
        raise sestina.TextTypeError(f"texts is {type(texts).__name__}; it must be a list of str")
    try:
        listed = list(texts)
    except Exception as error:
        let_through(error)
        raise sestina.TextTypeError(
            f"texts is {type(texts).__name__}, which cannot be read ({quote(error)}); it must be a list of "
            "str"
        ) from error
    for at, text in enumerate(listed):
        if not isinstance(text, str):
            kind = "null" if text is None else type(text).__name__
            raise sestina.TextTypeError(f"{what} {at} is {kind}; it must be a str")
    return listed
