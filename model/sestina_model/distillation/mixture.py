"""The order of a run that mixes kinds of texts: each shard has of every kind what the mix says.

Everything follows from the lengths, the seed and the position, as in `Curriculum`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sestina_model.distillation.config import DistillationConfig, Phase
from sestina_model.distillation.curriculum import Curriculum, Shard
from sestina_model.distillation.material import KINDS

__all__ = ["Mixture"]

Integers = npt.NDArray[np.int64]


class Mixture(Curriculum):
    """A `Curriculum` whose shards are composed, one for each visit.

    Args:
        lengths: Student tokens of each text.
        kinds: Of each text, its place in `KINDS`.
        config: Its mix says which share of the tokens is of which kind. Of each kind, runs of neighbours are
            drawn until all were taken, and then anew.
    """

    def __init__(
        self, lengths: npt.NDArray[np.integer], kinds: npt.NDArray[np.uint8], config: DistillationConfig
    ) -> None:
        self._kinds = kinds
        super().__init__(lengths, config)

    def _cut_shards(self, limits: Sequence[int]) -> Iterator[Shard]:
        config, longest = self._config, max(limits)
        mix = config.mix or {}
        members = {
            kind: np.flatnonzero((self._kinds == KINDS.index(kind)) & (self._lengths <= longest))
            for kind in mix
        }
        # Texts of each kind in a shard: its share of tokens over its mean length, in due proportion.
        weights = {
            kind: share / float(self._lengths[members[kind]].mean())
            for kind, share in mix.items()
            if share and len(members[kind])
        }
        whole = sum(weights.values())
        rows = {
            kind: _Rounds(members[kind], config.run_texts, (config.seed, 0, number))
            for number, kind in enumerate(weights)
        }
        spent = 0
        while spent < config.tokens:
            texts = np.concatenate(
                [
                    row.take(max(1, round(config.shard_texts * weights[kind] / whole)))
                    for kind, row in rows.items()
                ]
            )
            shard = Shard(texts, int(self._lengths[texts].sum()), longest)
            spent += self._readable(shard)
            yield shard

    def _order(self, phases: Sequence[Phase]) -> list[int]:  # noqa: ARG002 - each shard is visited once
        return list(range(len(self.shards)))


class _Rounds:
    """Texts of one kind, without end: each round has every one of them once, in runs of neighbours."""

    def __init__(self, texts: Integers, run: int, seed: tuple[int, ...]) -> None:
        self._texts, self._run = texts, run
        self._draw = np.random.default_rng(seed)
        self._left = texts[:0]

    def take(self, n: int) -> Integers:
        parts, taken = [], 0
        while taken < n:
            if not len(self._left):
                runs = np.split(self._texts, np.arange(self._run, len(self._texts), self._run))
                self._left = np.concatenate([runs[place] for place in self._draw.permutation(len(runs))])
            part, self._left = self._left[: n - taken], self._left[n - taken :]
            parts.append(part)
            taken += len(part)
        # A round may end within: no text stands twice in one shard.
        return np.unique(np.concatenate(parts))
