"""Where lessons come from: lines that the teacher reads beside the student, or kept texts and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from sestina_model._errors import ConfigError
from sestina_model._lines import find_files
from sestina_model.checkpoint import Checkpoint
from sestina_model.distillation.alterations import with_copies
from sestina_model.distillation.config import DistillationConfig
from sestina_model.distillation.corpus import Corpus, tokenized
from sestina_model.distillation.curriculum import Curriculum
from sestina_model.distillation.kept import KeptTexts, KeptVectors, keep_texts
from sestina_model.distillation.material import KINDS
from sestina_model.distillation.mixture import Mixture
from sestina_model.distillation.pools import FromCrops
from sestina_model.distillation.teacher import Lesson, Teacher
from sestina_model.distillation.units import keep_units
from sestina_model.evaluation.metrics import cosines
from sestina_model.evaluation.progress import progress_bar
from sestina_model.evaluation.scores import TextEncoder
from sestina_model.evaluation.sources import BatchedCheckpoint, open_exact

__all__ = ["BesideStudent", "FromKept", "Source", "open_lessons"]

Integers = npt.NDArray[np.int64]

_COMPARED = 8  # texts on which a bundle is compared with the teacher
_AGREE = 0.9999  # of a cosine between fp32 and fp32
_REMEMBERED = 4  # shards, the visited one among them, whose texts are the bank
_BANK = tuple(KINDS.index(kind) for kind in ("lines", "passages"))


class Order(Protocol):
    """Says which texts are read when."""

    def batches(self, visit: int) -> list[Integers]:
        """Positions within the visited shard, one array for each batch, in the order they are read."""

    def is_over(self, visit: int, tokens: int) -> bool:
        """Whether all is read before this visit, and after so many tokens."""


class Source(Protocol):
    """Gives the lessons of a run."""

    @property
    def curriculum(self) -> Order:
        """The order in which its texts are read."""

    @property
    def fingerprint(self) -> str:
        """Of the texts."""

    @property
    def width(self) -> int:
        """Of the teacher's vectors."""

    def lesson(self, visit: int, number: int, batch: Integers, *, plain: bool = False) -> Lesson:
        """The lesson of a visit's batch of this number, which has these positions in the shard.

        A plain one has the texts as they are, whatever the configuration does to them.
        """


def open_lessons(
    config: DistillationConfig,
    tokenizer: Tokenizer,
    teachers: Sequence[Checkpoint],
    cache: Path,
    device: str,
    *,
    progress: bool,
) -> Source:
    """The source that a configuration asks for, its texts read into the cache where they are not there yet.

    Raises:
        FileError: Where a file cannot be read or the cache not be written.
    """
    files, teacher = find_files(config.texts), teachers[0]
    with progress_bar(0, progress, unit="line", title="read") as advance:
        if config.crops is not None:
            units = keep_units(
                files, tokenizer, [each.tokenizer for each in teachers], cache, advance=advance
            )
            return FromCrops(units, teachers, config, device)
        if config.mix is None:
            corpus = tokenized(
                files,
                tokenizer,
                teacher,
                cache,
                longest=config.longest,
                join_lines=config.join_lines,
                advance=advance,
            )
            return BesideStudent(corpus, teacher, config)
        kept = keep_texts(files, list(config.mix), tokenizer, cache, longest=config.longest, advance=advance)
    encoder: TextEncoder = BatchedCheckpoint(teacher)
    if config.bundle is not None:
        exact, encoder = encoder, open_exact(Path(config.bundle).expanduser())
        some = [kept.text(number) for number in range(min(_COMPARED, len(kept.kinds)))]
        _must_agree(encoder, exact, some, config.bundle)
    width = teacher.model.encoder.config.d_model
    return FromKept(kept, KeptVectors(kept, str(teacher.source_sha256), width, encoder), config, device)


class BesideStudent:
    """Lines in their files' order; the teacher reads each batch beside the student."""

    def __init__(self, corpus: Corpus, teacher: Checkpoint, config: DistillationConfig) -> None:
        self._corpus, self._teacher, self._config = corpus, Teacher(teacher), config
        self.curriculum = Curriculum(corpus.student.lengths, config)
        self.fingerprint = corpus.fingerprint
        self.width = teacher.model.encoder.config.d_model

    def lesson(self, visit: int, number: int, batch: Integers, *, plain: bool = False) -> Lesson:
        """With altered copies, where the configuration has some and it is not plain."""
        shard = self.curriculum.shards[int(self.curriculum.visits[visit])]
        draw = np.random.default_rng((self._config.seed, 2, visit, number))
        readings = [self._corpus.reading(int(text)) for text in shard.texts[batch]]
        share, longest = 0.0 if plain else self._config.altered_share, self._teacher.max_positions
        return self._teacher.lesson(with_copies(readings, share, draw, longest))


class FromKept:
    """Texts by kind, the teacher's vectors of them, and a bank of its vectors of other texts.

    Args:
        texts: What is read.
        vectors: The teacher's, computed where they are not there yet: of a shard when it is first visited.
        config: The run.
        device: torch's name for where lessons are put.
    """

    def __init__(
        self, texts: KeptTexts, vectors: KeptVectors, config: DistillationConfig, device: str
    ) -> None:
        self._texts, self._vectors, self._config, self._device = texts, vectors, config, device
        self.curriculum = Mixture(texts.student.lengths, texts.kinds, config)
        self.fingerprint = texts.fingerprint
        self.width = vectors.width
        self._visit, self._bank = -1, np.empty(0, dtype=np.int64)

    def lesson(self, visit: int, number: int, batch: Integers, *, plain: bool = False) -> Lesson:  # noqa: ARG002
        """Always plain, without states, and with a bank that has none of its texts."""
        if visit != self._visit:
            self._open(visit)
        texts = self.curriculum.shards[visit].texts[batch]
        draw = np.random.default_rng((self._config.seed, 3, visit, number))
        others = np.setdiff1d(self._bank, texts)
        n = min(self._config.bank_texts, len(others))
        bank = self._tensor(self._vectors.of(np.sort(draw.choice(others, n, replace=False)))) if n else None
        ids = np.stack([self._texts.student[int(text)] for text in texts]).astype(np.int64)
        nothing = self._tensor(np.empty(0, dtype=np.int64))
        vectors = self._tensor(self._vectors.of(texts))
        return Lesson(self._tensor(ids), None, vectors, nothing, nothing, [], bank)

    def _open(self, visit: int) -> None:
        """Let the teacher read the shard at once: many texts of one length cost it less than few."""
        recent = [
            self.curriculum.shards[at].texts for at in range(max(0, visit + 1 - _REMEMBERED), visit + 1)
        ]
        self._vectors.of(recent[-1])
        known = np.unique(np.concatenate(recent))
        long = known[np.isin(self._texts.kinds[known], _BANK)]
        # Without lines and passages a text is held to words and terms.
        self._bank = long if len(long) else known
        self._visit = visit

    def _tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self._device)


def _must_agree(encoder: TextEncoder, exact: TextEncoder, texts: Sequence[str], bundle: str) -> None:
    """Refuse a bundle of another encoder than the teacher.

    Raises:
        ConfigError: Where its vectors are not the teacher's.
    """
    mine, theirs = encoder.encode(texts), exact.encode(texts)
    if mine.shape != theirs.shape or float(cosines(mine, theirs).min()) < _AGREE:
        raise ConfigError(f"bundle names {bundle}, whose vectors are not the teacher's; export it again")
