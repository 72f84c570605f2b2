"""What no integration does: give a store the vector of an empty text. One rule for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

import sestina
from sestina._caller import warn_caller

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]


def empty_rows(vectors: Vectors, texts: Sequence[str]) -> list[int]:
    """The rows that no store may have: of texts that say nothing.

    Those are zero by the runtime's own rule, as they were encoded with `on_empty="zero"`; a blank one is
    looked for besides, whatever stood before it.
    """
    rows = np.flatnonzero(~vectors.any(axis=1)).tolist()
    return sorted({*rows, *(at for at, text in enumerate(texts) if not text or text.isspace())})


def refuse_empty(vectors: Vectors, texts: Sequence[str], kind: str) -> None:
    """Refuse what many stores take for the nearest of all where it is zero, or sort as not a number.

    Raises:
        EmptyTextError: Where a text is empty.
    """
    rows = empty_rows(vectors, texts)
    if not rows:
        return
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    raise sestina.EmptyTextError(
        f"{kind} {rows[0]} is empty{more}: its vector says nothing, and may be zero, which is near to "
        "everything or to nothing: leave it out",
        position=rows[0],
    )


def warn_empty(rows: Sequence[int], count: int, what: str = "texts", get: str = "have no vector") -> None:
    """Say how many of so many were empty, where the host goes on without their vectors."""
    if rows:
        first = f"row {rows[0]}" if what == "texts" else f"{rows[0]}"
        message = f"{len(rows)} of {count} {what} are empty and {get}; the first is {first}"
        warn_caller(sestina.EmptyTextWarning(message, count=len(rows), first=rows[0]))
