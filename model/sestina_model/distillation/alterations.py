"""Altered copies of a batch's texts: pairs that are nearly alike, of which a corpus has few.

The texts of a batch mostly have little to do with each other: their cosines teach how far apart far things
are. A copy with some words changed, gone or moved teaches what words do to the teacher's vector, which is
what tasks of paraphrase ask. Only tokens that both tokenizers cut alike are touched, in both at once, so
that student and teacher still read the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sestina_model.distillation.corpus import Reading

__all__ = ["reordered", "shortened", "spliced", "substituted", "with_copies"]

_MOST = 0.5  # of the shared tokens of a text are touched


def with_copies(
    texts: Sequence[Reading], share: float, draw: np.random.Generator, longest: int
) -> list[Reading]:
    """The texts, but for the last ones: in their place stand altered copies of the first ones.

    Args:
        texts: Of a batch.
        share: How much of the batch is copies, at most half.
        draw: Chooses what is altered, and how.
        longest: The longest sequence that the teacher takes. Halves of two texts may together be longer.

    Returns: As many texts as there were. None is longer to the student than the longest was.
    """
    n = int(share * len(texts))
    kept = list(texts[: len(texts) - n])
    # The donor is another text of the batch, wherever it has two.
    donors = [kept[(at + int(draw.integers(1, max(2, len(kept))))) % len(kept)] for at in range(n)]
    return kept + [_altered(text, donor, draw, longest) for text, donor in zip(kept, donors, strict=False)]


def substituted(text: Reading, donor: Reading, draw: np.random.Generator) -> Reading:
    """Some tokens replaced by tokens of the donor; the length stays."""
    if not len(text.student_places) or not len(donor.student_places):
        return text
    where = _some(text, draw)
    taken = draw.integers(len(donor.student_places), size=len(where))
    student, teacher = text.student.copy(), text.teacher.copy()
    student[text.student_places[where]] = donor.student[donor.student_places[taken]]
    teacher[text.teacher_places[where]] = donor.teacher[donor.teacher_places[taken]]
    return text._replace(student=student, teacher=teacher)


def shortened(text: Reading, _: Reading, draw: np.random.Generator) -> Reading:
    """Some tokens left out; at least one remains."""
    if len(text.student_places) < 2:
        return text
    where = _some(text, draw)
    student, student_places = _without(text.student, text.student_places, where)
    teacher, teacher_places = _without(text.teacher, text.teacher_places, where)
    return Reading(student, teacher, student_places, teacher_places)


def reordered(text: Reading, _: Reading, draw: np.random.Generator) -> Reading:
    """Some tokens exchanged among themselves; the length stays."""
    if len(text.student_places) < 2:
        return text
    where = _some(text, draw, least=2)
    moved = np.roll(where, 1)
    student, teacher = text.student.copy(), text.teacher.copy()
    student[text.student_places[where]] = text.student[text.student_places[moved]]
    teacher[text.teacher_places[where]] = text.teacher[text.teacher_places[moved]]
    return text._replace(student=student, teacher=teacher)


def spliced(text: Reading, donor: Reading, draw: np.random.Generator) -> Reading:
    """The beginning of the text, then the rest of the donor, cut where both have a shared token.

    The length becomes the donor's. Without such a place it is `substituted` instead.
    """
    common = np.intersect1d(text.student_places[1:], donor.student_places[1:])
    if not len(common):
        return substituted(text, donor, draw)
    cut = draw.choice(common)
    mine = int(np.searchsorted(text.student_places, cut))
    theirs = int(np.searchsorted(donor.student_places, cut))
    here, there = int(text.teacher_places[mine]), int(donor.teacher_places[theirs])
    moved = donor.teacher_places[theirs:].astype(np.int64) - there + here
    return Reading(
        np.concatenate([text.student[:cut], donor.student[cut:]]),
        np.concatenate([text.teacher[:here], donor.teacher[there:]]),
        np.concatenate([text.student_places[:mine], donor.student_places[theirs:]]),
        np.concatenate([text.teacher_places[:mine], moved.astype(donor.teacher_places.dtype)]),
    )


_WAYS: tuple[Callable[[Reading, Reading, np.random.Generator], Reading], ...] = (
    substituted,
    shortened,
    reordered,
    spliced,
)


def _altered(text: Reading, donor: Reading, draw: np.random.Generator, longest: int) -> Reading:
    copy = _WAYS[draw.integers(len(_WAYS))](text, donor, draw)
    return copy if len(copy.teacher) <= longest else substituted(text, donor, draw)


def _some(text: Reading, draw: np.random.Generator, least: int = 1) -> npt.NDArray[np.int64]:
    """Which of the shared tokens, in the order drawn: at least so many, at most about half of them."""
    n = len(text.student_places)
    most = max(least, int(_MOST * n))
    return draw.choice(n, int(draw.integers(least, most + 1)), replace=False)


def _without(
    ids: npt.NDArray[np.uint16], places: npt.NDArray[np.uint16], where: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """The ids without those at some of the places, and the other places as they then are."""
    gone = np.zeros(len(ids), dtype=np.bool_)
    gone[places[where]] = True
    rest = np.delete(places, where)
    return ids[~gone], (rest - np.cumsum(gone)[rest]).astype(places.dtype)
