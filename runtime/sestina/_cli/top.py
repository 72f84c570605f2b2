"""The best of what was found, and how it is printed."""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass

from sestina._cli import printing
from sestina._cli.located import Text


@dataclass(frozen=True, slots=True)
class Hit:
    """One text that was found.

    Attributes:
        score: How near it is, or how well it answers.
        line: Its line, or what `unit` says, counted from 1.
        text: None where it is null, or of a row of vectors whose text is not known.
        file: What it is from.
        unit: As `Text` has it.
    """

    score: float
    line: int
    text: str | None
    file: str
    unit: str = "line"

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.file} {self.unit} {self.line}"


class Top:
    """The best hits of all that were offered; of equal ones, the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, Hit]] = []  # the worst of the best first
        self.offered = 0

    def offer(self, hit: Hit) -> None:
        """Keep this one if it is among the best."""
        entry = (hit.score, -self.offered, hit)
        self.offered += 1
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def hits(self) -> list[Hit]:
        """Best first."""
        return [hit for _, _, hit in sorted(self._heap, reverse=True)]


def hit_of(text: Text, score: float) -> Hit:
    """A text that was read from a file, and what it scored."""
    return Hit(score, text.line or 0, None if text.null else text.value, text.source, text.unit)


def print_hits(args: argparse.Namespace, hits: list[Hit], *, several: bool) -> None:
    """Rank, score, line and text of each, and of several files the file; as people read it, or as JSON."""
    if args.json:
        results = [
            {"rank": rank, "score": hit.score, "line": hit.line, "text": hit.text}
            | ({"file": hit.file} if several else {})
            for rank, hit in enumerate(hits, start=1)
        ]
        printing.say_json({"query": args.query, "results": results})
        return
    places = [f"{hit.file}:{hit.line}" if several else str(hit.line) for hit in hits]
    width = max(map(len, places), default=1)
    for rank, (hit, place) in enumerate(zip(hits, places, strict=True), start=1):
        text = "" if hit.text is None else f"  {hit.text}"
        printing.say(f"{rank:>{len(str(len(hits)))}}  {hit.score:7.4f}  {place:>{width}}{text}")
