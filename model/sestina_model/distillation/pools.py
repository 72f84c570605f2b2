"""Lessons from crops: a pool of texts at a time, which the teachers read whole before the student begins.

All that a step needs lies on the device, and the next pool is drawn while this one is read: made for a GPU,
and the same texts in the same order anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sestina_model.checkpoint import Checkpoint
from sestina_model.distillation.checks import SMALLEST_BATCH
from sestina_model.distillation.config import DistillationConfig
from sestina_model.distillation.corpus import Rows
from sestina_model.distillation.crops import Crops, Pool
from sestina_model.distillation.teacher import Lesson
from sestina_model.distillation.units import Units
from sestina_model.evaluation.batches import by_length

__all__ = ["FromCrops"]

Integers = npt.NDArray[np.int64]

_READER_TOKENS, _READER_TEXTS = 65_536, 8192  # the most that a teacher reads at a time
_LEAST_SHARE = 4  # a batch below this part of the largest of its length is left to chance in another pool


class _Flat(NamedTuple):
    """Token ids of texts on the device, int32, where each begins, int64, and, on the CPU, their lengths."""

    ids: Tensor
    begins: Tensor
    lengths: Integers

    @classmethod
    def of(cls, rows: Rows, device: torch.device) -> _Flat:
        begins = torch.from_numpy(rows.ends - rows.lengths)
        ids = torch.from_numpy(rows.values.astype(np.int32))
        return cls(ids.to(device), begins.to(device), rows.lengths)

    def batch(self, texts: Tensor, length: int) -> Tensor:
        """Texts of one length, (B, S) int64."""
        places = self.begins[texts][:, None] + torch.arange(length, device=texts.device)
        return self.ids[places].long()


class _Reader:
    """A teacher that reads token ids without its special tokens, and puts those around them."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._model, self._device = checkpoint.model, device
        inside = checkpoint.tokenizer.encode("a", add_special_tokens=False).ids
        around = checkpoint.tokenizer.encode("a").ids
        at = next(n for n in range(len(around)) if around[n : n + len(inside)] == inside)
        self._before, self._after = around[:at], around[at + len(inside) :]
        self.longest = checkpoint.model.head.max_tokens - len(self._before) - len(self._after)
        self.width = checkpoint.dimensions

    @torch.no_grad()
    def vectors(self, rows: Rows) -> Tensor:
        """Of length 1, (n, T) float32."""
        flat = _Flat.of(rows, self._device)
        before, after = (torch.tensor(side, device=self._device) for side in (self._before, self._after))
        vectors = torch.empty(len(rows), self.width, device=self._device)
        # Half precision has ten bits of a factor, bfloat16 seven; here is no gradient that could overflow.
        with torch.autocast("cuda", torch.float16, enabled=self._device.type == "cuda"):
            for batch in self._batches(rows.lengths):
                texts = torch.from_numpy(batch).to(self._device)
                inside = flat.batch(texts, int(rows.lengths[batch[0]]))
                ids = torch.cat([before.expand(len(texts), -1), inside, after.expand(len(texts), -1)], 1)
                vectors[texts] = F.normalize(self._model(ids).sentence_embedding.float(), dim=-1)
        return vectors

    @staticmethod
    def _batches(lengths: Integers) -> Iterator[Integers]:
        return by_length(lengths, _READER_TOKENS, _READER_TEXTS)


class _Open(NamedTuple):
    """A pool on the device.

    Attributes:
        student: Its texts.
        vectors: The teachers', (n, T) float32.
        whole: Texts that a bank may hold, in a drawn order, int64.
    """

    student: _Flat
    vectors: Tensor
    whole: Tensor


class FromCrops:
    """Pools of crops, and the teachers' vectors of them.

    Args:
        units: The corpus.
        teachers: One or two. Of two, vectors stand side by side, each as long as makes the cosine of both the
            mean of theirs that the configuration asks for.
        config: The run. Its shard is a pool.
        device: torch's name for where lessons are put, and where the teachers are by then.
    """

    def __init__(
        self, units: Units, teachers: Sequence[Checkpoint], config: DistillationConfig, device: str
    ) -> None:
        self._config, self._device = config, torch.device(device)
        self._readers = [_Reader(teacher, self._device) for teacher in teachers]
        self._shares = [1.0] if len(teachers) == 1 else [1.0 - config.second_share, config.second_share]
        self._crops = Crops(
            units,
            config.crops or {},
            texts=config.shard_texts,
            longest=[config.longest, *(reader.longest for reader in self._readers)],
            run=config.run_texts,
            seed=config.seed,
        )
        self.fingerprint = units.fingerprint
        self.width = sum(reader.width for reader in self._readers)
        self._threads = ThreadPoolExecutor(1, "crops")
        self._next: tuple[int, Future[Pool]] | None = None
        self._visit = -1
        self._open: _Open | None = None

    @property
    def curriculum(self) -> FromCrops:
        """It is its own: what is read follows from what is drawn."""
        return self

    def is_over(self, visit: int, tokens: int) -> bool:  # noqa: ARG002 - there is no last pool
        """Whether the budget is spent."""
        return tokens >= self._config.tokens

    def batches(self, visit: int) -> list[Integers]:
        """Positions in the visited pool, one array for each batch, in the order they are read."""
        config, lengths = self._config, self._opened(visit).student.lengths
        draw = np.random.default_rng((config.seed, 6, visit))
        order = draw.permutation(len(lengths))
        batches = [
            order[batch] for batch in by_length(lengths[order], config.batch_tokens, config.batch_texts)
        ]
        full = [batch for batch in batches if self._is_full(len(batch), int(lengths[batch[0]]))]
        kept = full or batches
        orders = [draw.permutation(len(kept)) for _ in range(config.shard_readings)]
        return [kept[place] for order in orders for place in order]

    def _is_full(self, texts: int, length: int) -> bool:
        most = min(self._config.batch_texts, self._config.batch_tokens // length)
        return texts >= SMALLEST_BATCH and texts * _LEAST_SHARE >= most

    def lesson(self, visit: int, number: int, batch: Integers, *, plain: bool = False) -> Lesson:  # noqa: ARG002
        """Always plain, without states, and with a bank of the pool's texts."""
        config, pool = self._config, self._opened(visit)
        texts = torch.from_numpy(batch).to(self._device)
        n = min(config.bank_texts, len(pool.whole))
        draw = np.random.default_rng((config.seed, 3, visit, number))
        begin = int(draw.integers(len(pool.whole) - n + 1))
        others = pool.whole[begin : begin + n]
        nothing = torch.empty(0, dtype=torch.int64, device=self._device)
        return Lesson(
            pool.student.batch(texts, int(pool.student.lengths[batch[0]])),
            None,
            pool.vectors[texts],
            nothing,
            nothing,
            [],
            pool.vectors[others],
            texts[:, None] == others[None, :],
        )

    def _opened(self, visit: int) -> _Open:
        if self._open is None or visit != self._visit:
            pool = self._drawn(visit)
            self._open = None  # two at once need not fit
            self._open, self._visit = self._read(pool, visit), visit
        return self._open

    def _drawn(self, visit: int) -> Pool:
        if self._next is not None and self._next[0] == visit:
            pool = self._next[1].result()
        else:
            pool = self._crops.pool(visit)
        self._next = visit + 1, self._threads.submit(self._crops.pool, visit + 1)
        return pool

    def _read(self, pool: Pool, visit: int) -> _Open:
        whole = np.random.default_rng((self._config.seed, 7, visit)).permutation(pool.whole)
        vectors = [
            reader.vectors(rows) * share**0.5
            for reader, rows, share in zip(self._readers, pool.teachers, self._shares, strict=True)
        ]
        student, order = _Flat.of(pool.student, self._device), torch.from_numpy(whole).to(self._device)
        return _Open(student, torch.cat(vectors, 1), order)
