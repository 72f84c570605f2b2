"""The best of what was found, and how it is printed."""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass

from sestina._cli import printing


@dataclass(frozen=True, slots=True)
class Hit:
    """One text that was found. Without --texts, the text of a row of .npy is not known."""

    score: float
    line: int
    text: str | None


class Top:
    """The best hits of all that were offered; of equal ones, the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, Hit]] = []  # the worst of the best first
        self.offered = 0

    def offer(self, score: float, line: int, text: str | None) -> None:
        """Keep this one if it is among the best."""
        entry = (score, -self.offered, Hit(score, line, text))
        self.offered += 1
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def hits(self) -> list[Hit]:
        """Best first."""
        return [hit for _, _, hit in sorted(self._heap, reverse=True)]


def print_hits(args: argparse.Namespace, hits: list[Hit]) -> None:
    """Rank, score, line and text of each, for people or as one JSON document."""
    if args.json:
        results = [
            {"rank": rank, "score": hit.score, "line": hit.line, "text": hit.text}
            for rank, hit in enumerate(hits, start=1)
        ]
        printing.say_json({"query": args.query, "results": results})
        return
    width = max((len(str(hit.line)) for hit in hits), default=1)
    for rank, hit in enumerate(hits, start=1):
        text = "" if hit.text is None else f"  {hit.text}"
        printing.say(f"{rank:>{len(str(len(hits)))}}  {hit.score:7.4f}  {hit.line:>{width}}{text}")
