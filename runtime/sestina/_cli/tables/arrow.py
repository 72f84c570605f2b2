"""pyarrow where it is asked for, and what of its types and errors reading and writing share."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from sestina._errors import InputError, MissingExtraError

_MAJOR = 16  # the first for numpy 2


def pyarrow(module: str = "") -> Any:
    """pyarrow, or a module of it.

    Raises:
        MissingExtraError: Where it is not installed, or cannot be loaded.
    """
    try:
        import pyarrow as pa

        found = importlib.import_module(f"pyarrow.{module}") if module else pa
    except ImportError:
        raise MissingExtraError(
            'tables need pyarrow, which is not installed: pip install "sestina[table]"', name="pyarrow"
        ) from None
    version = str(pa.__version__)
    if int(version.partition(".")[0]) < _MAJOR:
        raise MissingExtraError(
            f'pyarrow is {version}; tables need {_MAJOR} or later: pip install --upgrade "sestina[table]"',
            name="pyarrow",
        )
    return found


@contextlib.contextmanager
def readable(name: str) -> Iterator[None]:
    """Inside the block what pyarrow cannot read is one line that names the file.

    Raises:
        InputError: In place of its errors.
    """
    faults = (pyarrow().ArrowException, OSError, EOFError, KeyError, TypeError, ValueError, MemoryError)
    try:
        yield
    except InputError:
        raise
    except faults as error:
        told = str(error).partition("\n")[0].strip() or type(error).__name__
        raise InputError(f"{name} cannot be read as a table: {told}") from None


def holds_text(kind: Any) -> bool:
    """Whether a type's values are texts: strings of any layout, or a dictionary of them."""
    types = pyarrow("types")
    if types.is_dictionary(kind):
        kind = kind.value_type
    views = getattr(types, "is_string_view", None)
    return bool(types.is_string(kind) or types.is_large_string(kind) or (views is not None and views(kind)))


def the_column(schema: Any, column: str, name: str) -> int:
    """Which field of a schema is called so.

    Raises:
        InputError: Where none is, or several are.
    """
    names = list(schema.names)
    if names.count(column) != 1:
        problem = "more than one column" if column in names else "no column"
        raise InputError(f"{name} has {problem} {column!r}; its columns are: {', '.join(names) or 'none'}")
    return names.index(column)
