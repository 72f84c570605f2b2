"""What a run collects: for every entry its state, and its samples round by round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from sestina._bench.contender import Entry

State = Literal["measured", "not installed", "wrong vectors", "failed"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near an entry's vectors are to PyTorch's.

    Attributes:
        mean_cosine, worst_cosine: Over the texts compared.
        worst_difference: The largest absolute difference of a component.
        texts: How many were compared.
    """

    mean_cosine: float
    worst_cosine: float
    worst_difference: float
    texts: int


@dataclass(slots=True)
class Result:
    """Everything known about one entry.

    Attributes:
        entry: Which.
        state: Only what is "measured" has samples.
        note: Why it was not measured.
        description: Its configuration.
        agreement: With the reference; None where there is none.
        samples: For each measure ("latency/16", "corpus", "uniform/16", "import", "load", "first", "start",
            "memory") the values of each round, in seconds or bytes.
    """

    entry: Entry
    state: State = "measured"
    note: str = ""
    description: str = ""
    agreement: Agreement | None = None
    samples: dict[str, list[list[float]]] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether it still takes part."""
        return self.state == "measured"

    def add(self, measure: str, values: list[float]) -> None:
        """The values of one more round."""
        self.samples.setdefault(measure, []).append(values)

    def drop(self, state: State, note: str) -> None:
        """Take it out; half of a result would be compared with whole ones."""
        self.state, self.note = state, note
        self.samples.clear()


def running(results: list[Result]) -> Iterator[Result]:
    """Those that still take part."""
    return (result for result in results if result.runs)
