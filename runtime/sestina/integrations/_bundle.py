"""How every integration comes by what it loads: a bundle as a host names it.

It is named by its path, is what was loaded from it, or is the one that comes with Sestina. What a host keeps
of it is its place and its space; where it is opened again the space must be the same.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

import sestina
from sestina._handlers import let_through
from sestina._quote import quote

ANEW = ", so their vectors are not comparable: use the bundle that made them, or encode everything anew"
EMBEDDED = os.path.join(os.path.dirname(sestina.__file__), "default.sestina")
_opened: weakref.WeakValueDictionary[tuple[object, ...], Any] = weakref.WeakValueDictionary()
_opening = threading.Lock()


def _forget_holder() -> None:
    """In a forked child: a lock that another thread held would be held for ever."""
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_holder)


class BundleSource:
    """A bundle as a host names it. It is loaded when it is first needed, once a process and bundle.

    It can be pickled and copied. What travels is the path and the space, or the recipe of what was given.

    Args:
        given: The path of a bundle, what was loaded from one, or None for the encoder in the box.
        space: The space that it must be of; None: any.

    Attributes:
        argument: What hosts call it.
        allowed: What it may be.
        embedded: Whether None may be given, for the one in the box.
        advice: What to do where it is of another space than the one that was stored.
        given: Whether it was loaded by the caller.
        path: Of the bundle, absolute; None: the one in the box.

    Raises:
        OptionError: Where it is none of these.
    """

    argument: str
    allowed: str
    embedded = False
    advice: str

    def __init__(self, given: object, *, space: str | None = None) -> None:
        self._loaded: Any = None
        if space is not None and not isinstance(space, str):
            raise sestina.OptionError(
                f"space is {quote(space)}; it must be what `space` of an encoder is, or None"
            )
        self._wanted = space
        self.given = isinstance(given, self._face())
        if self.given:
            self.path = _place(given)
            self._loaded = self._checked(given)
        else:
            self.path = self._absolute(given)

    @classmethod
    def _face(cls) -> type:
        """The class of what is loaded."""
        raise NotImplementedError

    @classmethod
    def _load(cls) -> Callable[[str | None], Any]:
        """The function that loads it."""
        raise NotImplementedError

    @property
    def loaded(self) -> Any:
        """What was loaded.

        Raises:
            BundleIntegrityError: Where the bundle is of another space than the one that was stored.
            SestinaError: As `sestina.load`.
        """
        if self._loaded is None:
            self._loaded = self._checked(_open(self.path, self._load()))
        return self._loaded

    @property
    def space(self) -> str:
        """The space that was stored, else the bundle's."""
        return self._wanted or str(self.loaded.space)

    @property
    def name(self) -> str:
        """Of the bundle's directory, for hosts that want the name of a model."""
        return os.path.basename(self.path or EMBEDDED).removesuffix(".sestina")

    def __getstate__(self) -> dict[str, Any]:
        # A path and its space reach another machine's bundle; what was given has its own recipe.
        return {
            **self.__dict__,
            "_wanted": self._wanted or (None if self._loaded is None else self._loaded.space),
            "_loaded": self._loaded if self.given else None,
        }

    def _checked(self, loaded: Any) -> Any:
        if self._wanted is not None:
            _same(self._wanted, loaded.space, self.path or "the encoder in the box", self.advice)
        return loaded

    def _absolute(self, given: Any) -> str | None:
        if given is None and self.embedded:
            return None
        path = None
        try:
            path = os.fspath(given)
        except Exception as error:  # noqa: BLE001  whatever its `__fspath__` raises
            let_through(error)
        if not isinstance(path, str) or not path:
            what = "None" if given is None else type(given).__name__
            raise sestina.OptionError(f"{self.argument} is {what}; it must be {self.allowed}")
        return os.path.abspath(path)


def same_space(stored: str, given: str, what: str) -> None:
    """Hold that vectors of two spaces are not mixed.

    Raises:
        BundleIntegrityError: Where the spaces differ; the message has both.
    """
    _same(stored, given, what, ANEW)


def _same(stored: str, given: str, what: str, advice: str) -> None:
    if stored != given:
        raise sestina.BundleIntegrityError(
            f"{what} is of the space {given}, and what is stored is of {stored}{advice}"
        )


def _place(loaded: Any) -> str | None:
    """Of its bundle; None for the one in the box, which lies elsewhere on another machine."""
    path: str = loaded.report().bundle
    return None if os.path.realpath(path) == os.path.realpath(EMBEDDED) else path


def _open(path: str | None, load: Callable[[str | None], Any]) -> Any:
    """What a bundle becomes, shared by all who name it so: hosts make their parts again and again."""
    with _opening:
        key = (load, path, *_version(path or EMBEDDED))
        found = _opened.get(key)
        if found is not None:
            try:
                found.__reduce__()
            except sestina.ClosedError:
                found = None
        if found is None:
            found = _opened[key] = load(path)
        return found


def _version(path: str) -> tuple[int, ...]:
    """What changes where another bundle is renamed into a place."""
    try:
        at = os.stat(os.path.join(path, "manifest.json"))
    except (OSError, ValueError):  # `load` says what is wrong
        return ()
    return at.st_dev, at.st_ino, at.st_mtime_ns, at.st_size
