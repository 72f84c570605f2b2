"""Arguments as callers give them: what they mean, or one line that says what they must be.

Types decide, not what an object says of itself: a class may lie to `isinstance`, compare as it likes, and
raise wherever it is asked. numpy's scalars count as the numbers, truths and texts that they are.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView, Sequence, Set

from sestina._columns import column
from sestina._errors import OptionError, TextTypeError
from sestina._handlers import let_through
from sestina._quote import quote


def plain_str(value: object) -> str | None:
    """The text that a `str` holds, whatever its subclass makes of it; None for anything else."""
    if type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


def whole_number(name: str, value: object, least: int, most: int, also: str = "") -> int:
    """A whole number within bounds.

    Raises:
        OptionError: Where it is anything else; `also` is what else it might have been, for the message.
    """
    kind, number = type(value), None
    if kind is not bool and (issubclass(kind, int) or kind.__module__ == "numpy"):
        try:
            number = int.__index__(operator.index(value))  # type: ignore[arg-type]
        except TypeError as error:  # an array of several, a float
            let_through(error)
    if number is None or not least <= number <= most:
        raise OptionError(f"{name} is {quote(value)}; it must be a whole number from {least} to {most}{also}")
    return number


def truth(name: str, value: object) -> bool:
    """True or False.

    Raises:
        OptionError: Where it is anything else: the truth of an array or of "no" is not what one may think.
    """
    kind = type(value)
    if kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")):
        return bool(value)
    raise OptionError(f"{name} is {quote(value)}; it must be True or False")


def callback(name: str, value: object) -> Callable[[int], object]:
    """A function of a number; one that does nothing for None.

    Raises:
        OptionError: Where it cannot be called.
    """
    if value is None:
        return lambda _: None
    if not callable(value):
        raise OptionError(f"{name} is {quote(value)}; it must be a function of a number, or None")
    return value


def one_of(name: str, value: object, allowed: Sequence[str], also: str = "") -> str:
    """One of a few names.

    Raises:
        OptionError: Where it is anything else; `also` is what else it might have been, for the message.
    """
    text = plain_str(value)
    if text is None or text not in allowed:
        raise OptionError(f"{name} is {quote(value)}; it must be one of {', '.join(allowed)}{also}")
    return text


def path_text(name: str, value: object, what: str) -> str:
    """A path as a `str`, from whatever the operating system's functions take.

    Raises:
        OptionError: Where it is no path; `what` says of what it must be one.
    """
    try:
        text = plain_str(os.fsdecode(value))  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001  whatever its `__fspath__` raises
        let_through(error)
        text = None
    if text is None:
        raise OptionError(f"{name} is {quote(value)}; it must be the path of {what}, or None")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise OptionError(
            f"{name} is {quote(value)}; no path has a lone surrogate: decode its source with os.fsdecode"
        ) from None
    return text


def members(given: object) -> list[object] | None:
    """What a sequence that is no text holds; None where it is none, or raises where it is read."""
    try:
        if isinstance(given, Sequence) and plain_str(given) is None:
            return list(given)
    except Exception as error:  # noqa: BLE001  its own
        let_through(error)
    return None


def text_sequence(texts: object) -> list[object]:
    """The members of a sequence or column of texts, in a list of our own; they are checked as they are read.

    Raises:
        TextTypeError: Where it is not a sequence, is one of bytes, or cannot be read.
    """
    what = "a str, a sequence of str or a column of them"
    try:
        _refuse_unordered(texts)
        found = None if type(texts) in (list, tuple) else column(texts)
        if found is not None:
            return list(found)
        if isinstance(texts, Sequence) and not isinstance(texts, bytes | bytearray | memoryview):
            return list(texts)
    except TextTypeError:
        raise
    except Exception as error:
        let_through(error)
        raise _unreadable(texts, error, what) from error
    raise TextTypeError(
        f"texts is {type(texts).__name__}; it must be {what} (use stream for any other iterable)"
    )


def text_iterator(texts: object) -> Iterator[object]:
    """An iterator over texts, each a `str` and nothing more; what it raises later is the caller's own.

    Raises:
        TextTypeError: Where it cannot be iterated over, or gives names or bytes where it is.
    """
    what = "an iterable of str"
    try:
        _refuse_unordered(texts)
        found = column(texts)
        if found is not None:
            return map(_plain, found)
        if isinstance(texts, Iterable) and not isinstance(texts, str | bytes | bytearray | memoryview):
            return map(_plain, texts)
    except TextTypeError:
        raise
    except Exception as error:
        let_through(error)
        raise _unreadable(texts, error, what) from error
    raise TextTypeError(f"texts is {type(texts).__name__}; it must be {what}")


def _plain(text: object) -> object:
    plain = plain_str(text)
    return text if plain is None else plain


def _unreadable(texts: object, error: Exception, what: str) -> TextTypeError:
    return TextTypeError(
        f"texts is {type(texts).__name__}, which cannot be read ({quote(error)}); it must be {what}"
    )


def _refuse_unordered(texts: object) -> None:
    """Refuse what gives other things than its texts where it is iterated over, or texts in any order."""
    if type(texts) in (str, list, tuple):
        return
    if _gives_names(texts):
        raise TextTypeError(
            f"texts is {type(texts).__name__}; it must be an iterable of str, and this gives its keys or the "
            "names of its columns: pass the texts themselves, such as one column"
        )
    if isinstance(texts, Set) and not isinstance(texts, MappingView | Sequence):
        raise TextTypeError(
            f"texts is {type(texts).__name__}, which has no order; it must be an iterable of str that has "
            "one: pass sorted(texts)"
        )


def _gives_names(texts: object) -> bool:
    """Whether it is a mapping, or a table: of columns by their names, as data frames are.

    One column of a data frame has keys too, and gives values: it has a `dtype`, which tables have not.
    """
    kind = type(texts)
    if isinstance(texts, Mapping) or hasattr(kind, "columns"):
        return True
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__") and not hasattr(kind, "dtype"):
        return True
    return "columns" in getattr(texts, "__dict__", ())
