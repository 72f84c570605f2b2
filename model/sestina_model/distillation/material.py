"""What a student reads to learn what words mean: words and terms by themselves, lines chosen by rarity.

A corpus read line by line shows its rare words a few times in a million tokens. Here each distinct word is
a text of its own, so are terms of two or three words, and of the lines only so many are taken as show
each rare word a few times. Texts about one rare word are neighbours: what is hard to tell apart is near.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from sestina_model._lines import read_lines
from sestina_model.distillation.checks import KINDS
from sestina_model.evaluation.held_out import as_number, is_held_out
from sestina_model.evaluation.sample import words

__all__ = ["KINDS", "Text", "material"]


_COMMON = 250  # the most frequent words: no term begins or ends with one
_INSIDE = ("and", "of", "the")  # may stand within a term
_LEAST = {"words": 2, "terms": 3}  # times that one must stand in the corpus
_LETTERS = range(2, 25)  # of a word
_RARE = 3000  # times: a word above this needs no lines of its own, and makes no term rare
_SHOWN = 3  # lines at least that show each rare word, where it has so many
_FOLLOWING = 3  # lines that a passage has after its first
_PASSAGE = 4  # of so many chosen lines one begins a passage
_GAP = re.compile(r"[^\w\s'’-]+|\d+")


class Text(NamedTuple):
    """One text and which of `KINDS` it is."""

    kind: str
    text: str


def material(
    paths: Sequence[Path], kinds: Sequence[str], advance: Callable[[int], object] = lambda _: None
) -> Iterator[Text]:
    """All texts of these kinds, those of one kind together; what is held out for measuring is in none.

    `advance` is called with numbers of lines. The lines are held in memory.
    """
    lines: list[str] = []
    for path in paths:
        begin = len(lines)
        # What is held out is blank: no passage reaches over it, nor over the end of a file.
        lines += ("" if is_held_out(line) else line.strip() for line in read_lines(path))
        lines.append("")
        advance(len(lines) - begin)
    counts = Counter(word for line in lines for word in words(line))
    chosen = _chosen(lines, counts) if {"lines", "passages"} & set(kinds) else []
    texts: dict[str, Iterator[str]] = {
        "words": _words(counts),
        "terms": _terms(lines, counts),
        "lines": (lines[place] for place in chosen),
        "passages": _passages(lines, chosen),
    }
    for kind in KINDS:
        if kind in kinds:
            yield from (Text(kind, text) for text in texts[kind])


def _words(counts: Counter[str]) -> Iterator[str]:
    """In the order of the alphabet: those of one stem are neighbours."""
    for word, n in sorted(counts.items()):
        if n >= _LEAST["words"] and len(word) in _LETTERS:
            yield word


def _terms(lines: Sequence[str], counts: Counter[str]) -> Iterator[str]:
    """Two or three words that stand together more than once, one of them rare; by that one."""
    common = {word for word, _ in counts.most_common(_COMMON)}
    found: Counter[str] = Counter()
    for line in lines:
        found.update(_grams(line, common))
    rare = {}
    for term, n in found.items():
        word, times = _rarest(term, counts, common)
        if n >= _LEAST["terms"] and times < _RARE:
            rare[term] = word
    yield from sorted(rare, key=lambda term: (rare[term], term))


def _grams(line: str, common: set[str]) -> Iterator[str]:
    for part in _GAP.split(line.lower()):
        row = part.split()
        for begin, first in enumerate(row):
            if first in common:
                continue
            for inner in (0, 1):
                last = begin + inner + 1
                if last >= len(row) or row[last] in common:
                    continue
                if inner and row[begin + 1] in common and row[begin + 1] not in _INSIDE:
                    continue
                yield " ".join(row[begin : last + 1])


def _rarest(text: str, counts: Counter[str], common: set[str]) -> tuple[str, int]:
    """The rarest word of a text that is none of the common ones, and how often it stands."""
    found = [(counts[word], word) for word in words(text) if word not in common and counts[word] > 1]
    times, word = min(found, default=(_RARE, ""))
    return word, times


def _chosen(lines: Sequence[str], counts: Counter[str]) -> list[int]:
    """Places of lines that show each rare word a few times, ordered by that word."""
    shown: Counter[str] = Counter()
    taken: list[tuple[str, int]] = []
    # By their hash: an order without a pattern that is the same wherever the lines stand.
    for place in sorted(range(len(lines)), key=lambda place: as_number(lines[place])):
        rare = {word for word in words(lines[place]) if 1 < counts[word] < _RARE}
        wanted = [word for word in rare if shown[word] < _SHOWN]
        if wanted:
            shown.update(rare)
            taken.append((min(wanted, key=lambda word: (counts[word], word)), place))
    return [place for _, place in sorted(taken)]


def _passages(lines: Sequence[str], chosen: Sequence[int]) -> Iterator[str]:
    """Some of the chosen lines, each with those that follow it."""
    for place in chosen:
        if as_number(lines[place]) // 64 % _PASSAGE == 0:
            whole = list(takewhile(bool, lines[place : place + 1 + _FOLLOWING]))
            if len(whole) > 1:
                yield " ".join(whole)
