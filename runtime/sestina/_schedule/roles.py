"""Queries and documents as they are read where each of their tokens has a vector, and those vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sestina._bundle.late_interaction import Role
from sestina._errors import BundleFormatError
from sestina._schedule.engine import Engine
from sestina._text.prompt import Prompt
from sestina._text.truncation import Watch

if TYPE_CHECKING:
    from sestina._arrays import Vectors


class Row(NamedTuple):
    """A query or a document as a graph reads it.

    Attributes:
        ids: Of its prompt, its own, and those that fill it up.
        attended: How many of them, from the first, are attended to; 0: all.
    """

    ids: list[int]
    attended: int = 0


class _Collected:
    """A watch that keeps what is over the limit of all texts, to say it with what is over a role's."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.takes_null, self.sees_empty = watch.takes_null, watch.sees_empty
        self.cut: list[int | None] = []

    def see(self, positions: Iterable[int | None]) -> None:
        """Keep them."""
        self.cut += positions

    def see_empty(self, positions: Iterable[int | None]) -> None:
        """Pass them on."""
        self._watch.see_empty(positions)


def read(
    engine: Engine, texts: Sequence[str | None], begin: int | None, watch: Watch, role: Role, prompt: str
) -> list[Row]:
    """Each text with its prompt, cut to the limit of its role, and where it is short filled up.

    Args:
        engine: Of the bundle.
        texts: The texts; null and empty ones as `watch` says.
        begin: The position of the first in the caller's input; None: it was given alone.
        watch: Is told of every text that is over the limit.
        role: Of the texts.
        prompt: What stands before each of them.

    Raises:
        BundleFormatError: Where the limit of the role leaves no room for a text.
    """
    special = sum(engine.tokenizer.added)
    if special >= role.max_tokens:
        raise BundleFormatError(
            f"the manifest has a max_tokens of {role.max_tokens} for these texts, and the tokenizer adds "
            f"{special} special tokens to each: there is no room for the text; export the bundle again"
        )
    seen = _Collected(watch)
    ids = engine.ids(texts, begin, seen, Prompt(prompt))
    over = [None if begin is None else begin + at for at, row in enumerate(ids) if len(row) > role.max_tokens]
    watch.see(sorted({*seen.cut, *over}, key=lambda position: position or 0))
    after, rows = engine.tokenizer.added.after, []
    for row in ids:
        if len(row) > role.max_tokens:
            rows.append(_filled([*row[: role.max_tokens - after], *row[len(row) - after :]], role))
        else:
            rows.append(_filled(row, role))
    return rows


def _filled(ids: list[int], role: Role) -> Row:
    expansion = role.expansion
    if expansion is None or not 0 < len(ids) < expansion.length:
        return Row(ids)
    filled = [*ids, *[expansion.token] * (expansion.length - len(ids))]
    return Row(filled, 0 if expansion.attended else len(ids))


def matrices(engine: Engine, rows: Sequence[Row], role: Role, output: str) -> Iterator[tuple[int, Vectors]]:
    """Where each text stands, and its vectors (n, d) float32 without those of tokens that are left out.

    In no order; those of texts without tokens do not come.
    """
    groups: dict[int, list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(row.attended, []).append(at)
    for attended, places in groups.items():
        for at, found in engine.by_token([rows[place].ids for place in places], output, attended):
            place = places[at]
            yield place, found[kept(rows[place].ids, role)] if role.skip else found[role.first :].copy()


def kept(ids: Sequence[int], role: Role) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(n,) bool: the tokens whose vectors are not left out."""
    return ~np.isin(np.array(ids, dtype=np.int64), role.skip)
