"""Pairs of texts to what a graph reads of them: both texts in one row, cut where they are too long.

What stands around the texts of a pair does not depend on them: it is learnt once, from the tokenizers library
itself. A query that is held against a thousand documents is then tokenized once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sestina._errors import BundleFormatError
from sestina._handlers import let_through
from sestina._process.native import opening
from sestina._text.panics import panics
from sestina._text.tokenizer import Tokenizer, _said

if TYPE_CHECKING:
    from sestina._arrays import Ids

    Pair = tuple[str, str]
    Row = Sequence[int] | Ids  # (S,) ids, or (S, 2) with the type of each

_TRIED = ("a", "the", "1", "x")  # for a text that has tokens
_PIECES = 64  # of the vocabulary, where none of these has


class Around(NamedTuple):
    """What stands before, between and behind the texts of a pair: ids, and the types of all."""

    before: list[int]
    between: list[int]
    behind: list[int]
    types: tuple[list[int], int, list[int], int, list[int]]


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of either text of a pair are kept, as the tokenizers library cuts "longest_first".

    One is cut where the other leaves it more than half, else both to a half; of an odd number the longer text
    has one more.
    """
    if first + second <= room:
        return first, second
    less, more = (first, second) if first <= second else (second, first)
    more = max(less, room - less)
    if less + more > room:
        less, more = room // 2, room - room // 2
    return (less, more) if first <= second else (more, less)


class PairTokenizer(Tokenizer):
    """The bundle's tokenizer for pairs.

    Args:
        tokenizer_json: The file's content.
        max_tokens: The limit of a pair, special tokens included.
        characters: Of several texts, those that are tokenized at once.
        types: Whether a graph is told which text each token is of.

    Raises:
        BundleFormatError: As `Tokenizer`, and where it does not hold both texts of a pair once, in order.
    """

    _special = False

    def __init__(self, tokenizer_json: bytes, max_tokens: int, characters: int, *, types: bool) -> None:
        super().__init__(tokenizer_json, max_tokens, characters)
        self._around = self._learnt()
        before, between, behind, _ = self._around
        self._room = max_tokens - len(before) - len(between) - len(behind)
        self._types = types
        self._whole: Any = None
        if self._room < 2:
            raise BundleFormatError(
                f"the manifest has a max_tokens of {max_tokens}, and the tokenizer adds "
                f"{max_tokens - self._room} special tokens to a pair of texts: there is no room for these; "
                "export the bundle again"
            )

    def pair_rows(self, pairs: Sequence[Pair]) -> tuple[list[Row], list[int]]:
        """What a graph reads of each pair, and the positions of the pairs that were cut.

        Raises:
            TextValueError, BundleFormatError: As `Tokenizer.ids`.
        """
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        ids = dict(zip(texts, self._bare(texts), strict=True))
        rows: list[Row] = []
        cut: list[int] = []
        for at, (first, second) in enumerate(pairs):
            one, other = ids[first], ids[second]
            lengths = (len(one), len(other))
            if sum(lengths) > self._room:
                cut.append(at)
                if min(lengths) > self.max_tokens:  # of both it is known only that they go on beyond that
                    lengths = (self._length(first), self._length(second))
                kept = longest_first(*lengths, self._room)
                one, other = one[: kept[0]], other[: kept[1]]
            rows.append(self._row(one, other))
        return rows, cut

    def _row(self, one: list[int], other: list[int]) -> Row:
        before, between, behind, types = self._around
        ids = [*before, *one, *between, *other, *behind]
        if not self._types:
            return ids
        told = [*types[0], *[types[1]] * len(one), *types[2], *[types[3]] * len(other), *types[4]]
        return np.array([ids, told], dtype=np.int64).T

    def _bare(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text without special tokens, of a text beyond the limit one more than that."""
        rows: list[list[int]] = []
        for begun in self._pieces(texts) if texts else ():
            for beginning, encoding in zip(begun, self._encode_all(begun), strict=True):
                text, row = texts[len(rows)], encoding.ids
                if len(row) <= self.max_tokens and len(beginning) < len(text):
                    row = self._further(text, self._encode_one).ids
                rows.append(row)
        return rows

    def _length(self, text: str) -> int:
        """Of a text that goes on beyond the limit, all of its tokens."""
        if self._whole is None:
            with opening:
                import tokenizers
            whole = tokenizers.Tokenizer.from_str(self._tokenizer.to_str())
            whole.no_truncation()
            self._whole = whole
        try:
            with panics:
                return len(self._whole.encode(text, add_special_tokens=False).ids)
        except BaseException as error:  # noqa: BLE001  see `_said`
            self._refuse(error, text)

    def _learnt(self) -> Around:
        try:
            with panics:
                texts = self._two_texts()
                one, other = (self._tokenizer.encode(text, add_special_tokens=False).ids for text in texts)
                whole = self._tokenizer.encode(*texts)
                counted = self._tokenizer.num_special_tokens_to_add(True)
        except BaseException as error:  # noqa: BLE001  see `_said`
            raise BundleFormatError(f"tokenizer.json cannot put a pair together: {_said(error)}") from None
        ids, types, of = whole.ids, whole.type_ids, whole.sequence_ids
        told = [at for at, each in enumerate(of) if each is not None]
        in_order = [of[at] for at in told] == [0] * len(one) + [1] * len(other)
        special = len(ids) - len(told)  # a text that is there twice is not told of once
        if not in_order or [ids[at] for at in told] != one + other or special != counted:
            raise BundleFormatError(
                "tokenizer.json has a post-processor that does not hold both texts of a pair once, in their "
                "order: export the bundle again"
            )
        first, second = of.index(0), of.index(1)
        return Around(
            ids[:first],
            ids[first + len(one) : second],
            ids[second + len(other) :],
            (
                types[:first],
                types[first],
                types[first + len(one) : second],
                types[second],
                types[second + len(other) :],
            ),
        )

    def _two_texts(self) -> tuple[str, str]:
        """Two texts of different tokens, so that their order shows; where there are none, one twice."""
        found: dict[tuple[int, ...], str] = {}
        for text in (*_TRIED, *sorted(self._tokenizer.get_vocab(), key=len)[:_PIECES]):
            try:
                ids = tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)
            except Exception as error:  # noqa: BLE001  it has no token for this one
                let_through(error)
                continue
            if ids:
                found.setdefault(ids, text)
            if len(found) == 2:
                break
        if not found:
            raise BundleFormatError(
                "tokenizer.json has no tokens for any short text: export the bundle again"
            )
        texts = list(found.values())
        return texts[0], texts[-1]
