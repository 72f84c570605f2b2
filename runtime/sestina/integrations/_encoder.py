"""How every integration comes by its encoder.

An encoder is named by the path of its bundle, is an `Encoder`, or is the one that comes with Sestina. What a
host keeps of it is its place and its space; where it is opened again the space must be the same.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import sestina
from sestina.integrations._empty import refuse_empty

if TYPE_CHECKING:
    from sestina.integrations._empty import Vectors

Kind = Literal["query", "document"]
EncoderArgument = sestina.Encoder | str | os.PathLike[str] | None
_EMBEDDED = os.path.join(os.path.dirname(sestina.__file__), "default.sestina")
_opened: weakref.WeakValueDictionary[tuple[object, ...], sestina.Encoder] = weakref.WeakValueDictionary()
_opening = threading.Lock()


def _forget_holder() -> None:
    """In a forked child: a lock that another thread held would be held for ever."""
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_holder)


class Source:
    """An encoder as a host names it. It is loaded when it is first needed, once a process and bundle.

    It can be pickled and copied. What travels is the path and the space, or the recipe of an `Encoder` given.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space that it must be of, such as that of the vectors a store has; None: any.
        dimensions: Keep only the first so many; None: all.

    Attributes:
        given: Whether it is an `Encoder` of the caller's.
        path: Of the bundle, absolute; None: the one in the box.
        dimensions_asked: As given.

    Raises:
        OptionError: Where `encoder` is none of these.
    """

    def __init__(
        self, encoder: EncoderArgument = None, *, space: str | None = None, dimensions: int | None = None
    ) -> None:
        self._encoder: sestina.Encoder | None = None
        self.given = isinstance(encoder, sestina.Encoder)
        self.dimensions_asked, self._wanted = dimensions, space
        if isinstance(encoder, sestina.Encoder):
            self.path = _place(encoder)
            self._encoder = self._of_the_space(encoder)
        else:
            self.path = _absolute(encoder)

    @property
    def encoder(self) -> sestina.Encoder:
        """What encodes.

        Raises:
            BundleIntegrityError: Where the bundle is of another space than the one that was stored.
            SestinaError: As `sestina.load`.
        """
        if self._encoder is None:
            self._encoder = self._of_the_space(_open(self.path))
        return self._encoder

    @property
    def space(self) -> str:
        """The space that was stored, else the encoder's."""
        return self._wanted or self.encoder.space

    @property
    def name(self) -> str:
        """Of the bundle's directory, for hosts that want the name of a model."""
        return os.path.basename(self.path or _EMBEDDED).removesuffix(".sestina")

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

    def __getstate__(self) -> dict[str, Any]:
        # A path and its space reach another machine's bundle; an encoder that was given has its own recipe.
        return {
            "path": self.path,
            "wanted": self._wanted or (self._encoder.space if self._encoder else None),
            "dimensions": self.dimensions_asked,
            "encoder": self._encoder if self.given else None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self._wanted = state["path"], state["wanted"]
        self.dimensions_asked, self._encoder = state["dimensions"], state["encoder"]
        self.given = self._encoder is not None

    def _of_the_space(self, encoder: sestina.Encoder) -> sestina.Encoder:
        if self._wanted is not None:
            same_space(self._wanted, encoder.space, self.path or "the encoder in the box")
        asked = self.dimensions_asked
        if asked is not None and (type(asked) is not int or not 1 <= asked <= encoder.dimensions):
            raise sestina.OptionError(
                f"dimensions is {asked!r}; it must be a whole number from 1 to {encoder.dimensions}, or None"
            )
        return encoder


def way(encoder: sestina.Encoder, kind: Kind | None) -> Any:
    """The method of an encoder for queries, documents or other texts.

    Raises:
        OptionError: Where `kind` is anything else.
    """
    if kind not in ("query", "document", None):
        raise sestina.OptionError(f"kind is {kind!r}; it must be one of document, query")
    return {"query": encoder.encode_query, "document": encoder.encode_document, None: encoder.encode}[kind]


def same_space(stored: str, given: str, what: str) -> None:
    """Hold that vectors of two spaces are not mixed.

    Raises:
        BundleIntegrityError: Where the spaces differ; the message has both.
    """
    if stored != given:
        raise sestina.BundleIntegrityError(
            f"{what} is of the space {given}, and what is stored is of {stored}, so their vectors are not "
            "comparable: use the bundle that made them, or encode everything anew"
        )


def checked_texts(texts: Sequence[Any], what: str = "row") -> list[str]:
    """Texts of a host in a list, none of them null.

    Raises:
        TextTypeError: Where they are one `str`, or what gives names or has no order, or where one of them is
            no `str`; the message says which.
    """
    named = hasattr(texts, "keys") and not hasattr(texts, "dtype")  # a mapping or a table, not a column
    if named or isinstance(texts, str | bytes | set | frozenset):
        raise sestina.TextTypeError(f"texts is {type(texts).__name__}; it must be a list of str")
    listed = list(texts)
    for at, text in enumerate(listed):
        if not isinstance(text, str):
            kind = "null" if text is None else type(text).__name__
            raise sestina.TextTypeError(f"{what} {at} is {kind}; it must be a str")
    return listed


def _absolute(given: Any) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str | os.PathLike) or not str(given):
        raise sestina.OptionError(
            f"encoder is {type(given).__name__}; it must be the path of a bundle, an Encoder, or None"
        )
    return os.path.abspath(os.fspath(given))


def _place(encoder: sestina.Encoder) -> str | None:
    """Of its bundle; None for the one in the box, which lies elsewhere on another machine."""
    path = encoder.report().bundle
    return None if os.path.realpath(path) == os.path.realpath(_EMBEDDED) else path


def _open(path: str | None) -> sestina.Encoder:
    """The encoder of a bundle, shared by all who name it so: hosts make their parts again and again."""
    with _opening:
        key = (path, *_version(path or _EMBEDDED))
        found = _opened.get(key)
        if found is not None:
            try:
                found.encode([])
            except sestina.ClosedError:
                found = None
        if found is None:
            found = _opened[key] = sestina.load(path)
        return found


def _version(path: str) -> tuple[int, ...]:
    """What changes where another bundle is renamed into a place."""
    try:
        at = os.stat(os.path.join(path, "manifest.json"))
    except OSError:  # `load` says what is wrong
        return ()
    return at.st_dev, at.st_ino, at.st_mtime_ns, at.st_size
