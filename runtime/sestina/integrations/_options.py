"""Options as callers of an integration give them: what an error shows of one, and one of a few names."""

from __future__ import annotations

from collections.abc import Sequence

import sestina
from sestina._handlers import let_through

_SHOWN = 80  # characters of a value


def shown(value: object) -> str:
    """A value as Python would write it, as far as a message has room; its `repr` may raise, as a huge int's
    does.
    """
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  whatever it raises
        let_through(error)
        return f"an object of type {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def one_of(name: str, value: object, allowed: Sequence[str], also: str = "") -> str:
    """One of a few names.

    Raises:
        OptionError: Where it is anything else, an array too; `also` is what else it might have been.
    """
    text = str.__str__(value) if issubclass(type(value), str) else None
    if text is None or text not in allowed:
        raise sestina.OptionError(f"{name} is {shown(value)}; it must be one of {', '.join(allowed)}{also}")
    return text


def truth(name: str, value: object) -> bool:
    """What counts as true.

    Raises:
        OptionError: Where it has no truth, as an array of several has none.
    """
    try:
        return bool(value)
    except Exception as error:  # noqa: BLE001  whatever it raises
        let_through(error)
        raise sestina.OptionError(f"{name} is {shown(value)}; it must be True or False") from None
