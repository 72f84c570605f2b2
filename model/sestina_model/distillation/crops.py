"""Texts that are cut out of a corpus anew for every visit: words, terms, windows, lines, passages, queries.

Read line by line, a corpus is a few million texts. Cut anywhere, it is as many as a run has use for, of any
length, and as rich in rare words as one likes. Of lines and passages some are there twice: with words left
out or replaced, and as the few words that one would look for them with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sestina_model.distillation.checks import CROPS, WHOLE
from sestina_model.distillation.corpus import Rows, stretches
from sestina_model.distillation.units import Units

__all__ = ["CROPS", "Crops", "Pool"]

_COMMONNESS = 0.4  # a word is drawn as often as the 0.4th power of how often it stands
_TERM, _WINDOW, _QUERY = (2, 6), (6, 31), (2, 8)  # units, from and below
# Tokens of passages: few lengths, so that those of one fill a batch.
_LENGTHS = (24, 32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256)
_LEFT_OUT, _REPLACED = 0.3, 0.05  # of an altered text's units, at most and on average
_QUERIED = 60  # units of the text that a query is drawn from
_PROBED = 400  # texts of each kind by which its mean length is known

Integers = npt.NDArray[np.int64]

_NONE = np.empty(0, dtype=np.int64)


class Pool(NamedTuple):
    """Texts that are visited together, n of them.

    Attributes:
        kinds: (n,) uint8, of each text its place in `CROPS`.
        student: Their token ids.
        teachers: The same for each teacher, without special tokens.
        whole: Which of them a search would look through.
    """

    kinds: npt.NDArray[np.uint8]
    student: Rows
    teachers: tuple[Rows, ...]
    whole: Integers


class _Texts(NamedTuple):
    units: npt.NDArray[np.int32]
    lengths: Integers


class Crops:
    """Draws pools of texts; the same ones for the same number, whatever was drawn before.

    Args:
        units: The corpus.
        shares: Of each kind, its share of the tokens; they add up to 1.
        texts: Of a pool, about.
        longest: Tokens of a text, for the student and for each teacher.
        run: Neighbouring lines that are drawn together: what is about the same thing.
        seed: Of the draws.
    """

    def __init__(
        self,
        units: Units,
        shares: Mapping[str, float],
        *,
        texts: int,
        longest: Sequence[int],
        run: int,
        seed: int,
    ) -> None:
        self._units, self._run, self._seed = units, run, seed
        self._longest = longest
        self._flat = np.asarray(units.units)
        self._line_ends = np.asarray(units.lines)
        self._rows = (units.student, *units.teachers)
        self._lengths = tuple(rows.lengths.astype(np.int32) for rows in self._rows)
        self._read = tuple(
            np.concatenate([[0], np.cumsum(lengths[self._flat], dtype=np.int64)]) for lengths in self._lengths
        )
        self._counts = np.bincount(self._flat, minlength=len(units.words))
        self._where = np.argsort(self._flat, kind="stable").astype(np.int32)
        self._first = np.cumsum(self._counts) - self._counts
        self._drawable = np.flatnonzero(units.words)
        if not len(self._drawable):
            self._drawable = np.unique(self._flat)
        weight = self._counts[self._drawable].astype(np.float64) ** _COMMONNESS
        self._odds = np.cumsum(weight) / weight.sum()
        self._numbers = self._in_proportion(shares, texts)

    def pool(self, visit: int) -> Pool:
        """That of this number."""
        return self._tokenized(self._drawn(self._numbers, (self._seed, 4, visit)))

    def _in_proportion(self, shares: Mapping[str, float], texts: int) -> dict[str, int]:
        """How many texts of each kind make up its share of the tokens."""
        probe = self._drawn(dict.fromkeys(shares, _PROBED), (self._seed, 5))
        odds = {}
        for kind, drawn in probe.items():
            tokens = float(self._lengths[0][drawn.units].sum())
            odds[kind] = shares[kind] / max(1.0, tokens / max(1, len(drawn.lengths)))
        return {kind: max(1, round(texts * each / sum(odds.values()))) for kind, each in odds.items()}

    def _drawn(self, numbers: Mapping[str, int], seed: tuple[int, ...]) -> dict[str, _Texts]:
        draw = np.random.default_rng(seed)
        spans = {
            kind: self._limited(*getattr(self, f"_{kind}")(numbers[kind], draw))
            for kind in ("words", "terms", *WHOLE)
            if kind in numbers
        }
        texts = {kind: _Texts(*self._cut(*span)) for kind, span in spans.items()}
        there = [spans[kind] for kind in WHOLE if kind in spans]
        begins, ends = (
            (np.concatenate(side) for side in zip(*there, strict=True)) if there else (_NONE, _NONE)
        )
        for kind in ("altered", "queries"):
            if kind in numbers and len(begins):
                some = draw.integers(0, len(begins), numbers[kind])
                texts[kind] = getattr(self, f"_{kind}")(begins[some], ends[some], draw)
        return texts

    # Where texts of a kind begin and end in the corpus's units.

    def _words(self, n: int, draw: np.random.Generator) -> tuple[Integers, Integers]:
        begins = self._occurrences(n, draw)
        return begins, begins + 1

    def _terms(self, n: int, draw: np.random.Generator) -> tuple[Integers, Integers]:
        return self._around(n, _TERM, draw)

    def _windows(self, n: int, draw: np.random.Generator) -> tuple[Integers, Integers]:
        return self._around(n, _WINDOW, draw)

    def _lines(self, n: int, draw: np.random.Generator) -> tuple[Integers, Integers]:
        run = min(self._run, n)
        starts = draw.integers(0, len(self._line_ends), -(-n // run))
        lines = np.unique((starts[:, None] + np.arange(run)).ravel() % len(self._line_ends))
        return self._begins(lines), self._line_ends[lines]

    def _passages(self, n: int, draw: np.random.Generator) -> tuple[Integers, Integers]:
        """From a line's begin or from anywhere in it, over the lines that follow; of one of few lengths."""
        lines = draw.integers(0, len(self._line_ends), n)
        begins, ends = self._begins(lines), self._line_ends[lines]
        inside = begins + (draw.random(n) * (ends - begins)).astype(np.int64)
        begins = np.where(draw.random(n) < 0.5, begins, inside)
        blocks = np.asarray(self._units.blocks)
        last = np.searchsorted(blocks, blocks[lines], side="right") - 1
        allowed = [length for length in _LENGTHS if length <= self._longest[0]] or [self._longest[0]]
        goal = draw.choice(np.array(allowed), n)
        return begins, np.minimum(self._reach(0, begins, goal), self._line_ends[last])

    # Texts that are no stretch of the corpus.

    def _altered(self, begins: Integers, ends: Integers, draw: np.random.Generator) -> _Texts:
        units, lengths = self._cut(begins, ends)
        left_out = np.repeat(draw.random(len(lengths)) * _LEFT_OUT, lengths)
        units = np.where(draw.random(len(units)) < _REPLACED, self._drawn_words(len(units), draw), units)
        kept = draw.random(len(units)) >= left_out
        of = np.repeat(np.arange(len(lengths)), lengths)
        return _Texts(units[kept].astype(np.int32), np.bincount(of[kept], minlength=len(lengths)))

    def _queries(self, begins: Integers, ends: Integers, draw: np.random.Generator) -> _Texts:
        """A few of a text's words, the rarer the likelier, in their order or in none."""
        units, lengths = self._cut(begins, np.minimum(ends, begins + _QUERIED))
        of = np.repeat(np.arange(len(lengths)), lengths)
        # The least of exponential waiting times: an urn without replacement.
        wait = draw.exponential(size=len(units)) * self._counts[units] ** (1.0 - _COMMONNESS)
        wait[~self._units.words[units]] = np.inf
        rank = np.empty_like(of)
        rank[np.lexsort((wait, of))] = np.arange(len(of)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        kept = (rank < draw.integers(*_QUERY, len(lengths))[of]) & np.isfinite(wait)
        units, of, rank = units[kept], of[kept], rank[kept]
        in_order = (draw.random(len(lengths)) < 0.5)[of]
        order = np.lexsort((np.where(in_order, np.arange(len(of)), rank), of))
        return _Texts(units[order], np.bincount(of, minlength=len(lengths)))

    # What these are made of.

    def _drawn_words(self, n: int, draw: np.random.Generator) -> Integers:
        at = np.searchsorted(self._odds, draw.random(n)).clip(max=len(self._odds) - 1)
        found: Integers = self._drawable[at]
        return found

    def _occurrences(self, n: int, draw: np.random.Generator) -> Integers:
        """Places in the corpus of words, the rare ones more often than they stand there."""
        words = self._drawn_words(n, draw)
        at = self._first[words] + (draw.random(n) * self._counts[words]).astype(np.int64)
        places: Integers = self._where[at].astype(np.int64)
        return places

    def _around(self, n: int, units: tuple[int, int], draw: np.random.Generator) -> tuple[Integers, Integers]:
        """So many units about a drawn word, within its line."""
        places = self._occurrences(n, draw)
        lines = np.searchsorted(self._line_ends, places, side="right")
        length = draw.integers(*units, n)
        begins = np.maximum(places - (draw.random(n) * length).astype(np.int64), self._begins(lines))
        return begins, np.minimum(begins + length, self._line_ends[lines])

    def _begins(self, lines: Integers) -> Integers:
        begins: Integers = np.where(lines > 0, self._line_ends[lines - 1], 0)
        return begins

    def _reach(self, side: int, begins: Integers, tokens: Integers | int) -> Integers:
        """Where texts end that have at most so many tokens."""
        read = self._read[side]
        reach: Integers = np.searchsorted(read, read[begins] + tokens, side="right") - 1
        return reach

    def _limited(self, begins: Integers, ends: Integers) -> tuple[Integers, Integers]:
        for side, most in enumerate(self._longest):
            ends = np.minimum(ends, self._reach(side, begins, most))
        return begins, np.maximum(begins, ends)

    def _cut(self, begins: Integers, ends: Integers) -> tuple[npt.NDArray[np.int32], Integers]:
        return self._flat[stretches(begins, ends - begins)], ends - begins

    def _tokenized(self, texts: Mapping[str, _Texts]) -> Pool:
        units = np.concatenate([each.units for each in texts.values()])
        lengths = np.concatenate([each.lengths for each in texts.values()])
        numbers = np.array([CROPS.index(kind) for kind in texts], dtype=np.uint8)
        kinds = np.repeat(numbers, [len(each.lengths) for each in texts.values()])
        tokens = [_sums(side[units], lengths) for side in self._lengths]
        fits = np.ones(len(lengths), dtype=np.bool_)
        for side, most in zip(tokens, self._longest, strict=True):
            fits &= (side > 0) & (side <= most)
        units, kinds = units[np.repeat(fits, lengths)], kinds[fits]
        student, *teachers = (
            Rows(rows.flat(units), np.cumsum(side[fits]))
            for rows, side in zip(self._rows, tokens, strict=True)
        )
        whole = np.flatnonzero(np.isin(kinds, [CROPS.index(kind) for kind in WHOLE]))
        return Pool(kinds, student, tuple(teachers), whole if len(whole) else np.arange(len(kinds)))


def _sums(values: npt.NDArray[np.int32], lengths: Integers) -> Integers:
    """Of each text, the sum of its units' values."""
    so_far = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    ends = np.cumsum(lengths)
    sums: Integers = so_far[ends] - so_far[ends - lengths]
    return sums
