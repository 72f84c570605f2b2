"""Which texts are read when: shards of like lengths, and from each shard batches of exactly one length.

Everything follows from the lengths, the seed and the position, so a resumed run reads on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sestina_model.distillation.checks import SMALLEST_BATCH
from sestina_model.distillation.config import DistillationConfig, Phase
from sestina_model.evaluation.batches import by_length

__all__ = ["Curriculum", "Shard"]

Integers = npt.NDArray[np.int64]


class Shard(NamedTuple):
    """Texts that are visited together: shuffled, and batched by length."""

    texts: Integers
    tokens: int
    limit: int  # the shortest phase limit that all of them meet


class Curriculum:
    """The order of a run.

    Args:
        lengths: Student tokens of each text.
        config: Its seed, phases, budget and batch sizes.
    """

    def __init__(self, lengths: npt.NDArray[np.integer], config: DistillationConfig) -> None:
        self._lengths = lengths.astype(np.int64)
        self._config = config
        limits = sorted({phase.max_tokens for phase in config.phases})
        self.shards = list(self._cut_shards(limits))
        self.visits: Integers = np.array(self._order(config.phases), dtype=np.int64)

    def batches(self, visit: int) -> list[Integers]:
        """Positions within the visited shard, one array for each batch, in the order they are read."""
        texts = self.shards[int(self.visits[visit])].texts
        draw = np.random.default_rng((self._config.seed, 1, visit))
        order = draw.permutation(len(texts))
        batches = [
            order[batch]
            for batch in by_length(
                self._lengths[texts[order]], self._config.batch_tokens, self._config.batch_texts
            )
        ]
        # What is left over waits for a later visit, where chance puts other texts aside. A shard of few texts
        # has only small batches; then they are what there is.
        kept = [batch for batch in batches if len(batch) >= SMALLEST_BATCH] or batches
        return [kept[place] for place in draw.permutation(len(kept))]

    def is_over(self, visit: int, tokens: int) -> bool:  # noqa: ARG002 - the order is as long as the budget
        """Whether all is read before this visit."""
        return visit >= len(self.visits)

    def _cut_shards(self, limits: Sequence[int]) -> Iterator[Shard]:
        draw = np.random.default_rng((self._config.seed, 0))
        shorter = 0
        for limit in limits:
            texts = np.flatnonzero((self._lengths > shorter) & (self._lengths <= limit))
            texts = _shuffled(texts, self._config.run_texts, draw)
            for begin in range(0, len(texts), self._config.shard_texts):
                some = np.sort(texts[begin : begin + self._config.shard_texts])
                yield Shard(some, int(self._lengths[some].sum()), limit)
            shorter = limit

    def _order(self, phases: Sequence[Phase]) -> list[int]:
        """Shard numbers; in each phase the least visited first, and among those a seeded draw."""
        draw = np.random.default_rng((self._config.seed, 2))
        visited = np.zeros(len(self.shards), dtype=np.int64)
        order: list[int] = []
        spent, goal = 0, 0.0
        for phase in phases:
            goal += phase.share * self._config.tokens
            open_to = [number for number, shard in enumerate(self.shards) if shard.limit <= phase.max_tokens]
            while open_to and spent < goal:
                fewest = visited[open_to].min()
                number = int(draw.choice([number for number in open_to if visited[number] == fewest]))
                visited[number] += 1
                spent += self._readable(self.shards[number])
                order.append(number)
        return order

    def _readable(self, shard: Shard) -> int:
        """Tokens that a visit reads; how many texts are left over depends on the lengths alone."""
        sizes = [
            (len(batch), int(self._lengths[shard.texts[batch]].sum()))
            for batch in by_length(
                self._lengths[shard.texts], self._config.batch_tokens, self._config.batch_texts
            )
        ]
        return sum(tokens for n, tokens in sizes if n >= SMALLEST_BATCH) or shard.tokens


def _shuffled(texts: Integers, run: int, draw: np.random.Generator) -> Integers:
    """In a drawn order, but for runs of neighbours, which stay together."""
    runs = np.split(texts, np.arange(run, len(texts), run))
    return np.concatenate([runs[place] for place in draw.permutation(len(runs))])
