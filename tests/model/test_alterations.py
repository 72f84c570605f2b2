"""Altered copies: what is done to the student's tokens is done to the teacher's, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sestina_model.distillation.alterations import reordered, shortened, spliced, substituted, with_copies
from sestina_model.distillation.corpus import Reading

Way = Callable[[Reading, Reading, np.random.Generator], Reading]
WAYS = (substituted, shortened, reordered, spliced)


def reading(number: int, *, length: int = 9) -> Reading:
    """A text of `length` tokens, of which the teacher cuts every third in two and has marks at both ends.

    A token n of text t is 100 t + n to the student and 1000 more to the teacher, so each tells its own.
    """
    student, teacher, mine, theirs = [], [7], [], []
    for place in range(length):
        word = 100 * number + place
        student.append(word)
        if place % 3 == 2:
            teacher += [9, 9]
        else:
            mine.append(place)
            theirs.append(len(teacher))
            teacher.append(1000 + word)
    teacher.append(8)
    return Reading(*(np.array(row, dtype=np.uint16) for row in (student, teacher, mine, theirs)))


def shared(text: Reading) -> tuple[list[int], list[int]]:
    """The tokens at the shared places: to the student, and to the teacher."""
    return text.student[text.student_places].tolist(), text.teacher[text.teacher_places].tolist()


@pytest.mark.parametrize("way", WAYS)
class TestEachWay:
    def test_both_still_read_the_same_text(self, way: Way) -> None:
        changed = 0
        for seed in range(60):
            text, donor = reading(1), reading(2)
            copy = way(text, donor, np.random.default_rng(seed))
            mine, theirs = shared(copy)
            assert theirs == [1000 + token for token in mine]
            assert len(set(copy.student_places.tolist())) == len(mine) > 0
            assert copy.teacher[0] == 7
            assert copy.teacher[-1] == 8
            # What they do not share is as long as it was: two pieces for each such token of the student.
            assert (copy.teacher == 9).sum() == 2 * (len(copy.student) - len(mine))
            assert all(row.dtype == np.uint16 for row in copy)
            changed += copy.student.tolist() != text.student.tolist()
            for row, before in zip((*text, *donor), (*reading(1), *reading(2)), strict=True):
                assert np.array_equal(row, before)  # the corpus itself is not written to
        assert changed == 60

    def test_texts_with_nothing_shared_stay(self, way: Way) -> None:
        ids = np.arange(4, dtype=np.uint16)
        bare = Reading(ids, ids, ids[:0], ids[:0])
        for donor in (bare, reading(2)):
            assert way(bare, donor, np.random.default_rng(0)) == bare

    def test_a_single_token(self, way: Way) -> None:
        for seed in range(10):
            copy = way(reading(1, length=1), reading(2), np.random.default_rng(seed))
            assert len(copy.student) == len(copy.student_places) == 1

    def test_the_draw_decides(self, way: Way) -> None:
        copies = [way(reading(1), reading(2), np.random.default_rng(seed)).student for seed in (3, 3, 4, 5)]
        assert np.array_equal(copies[0], copies[1])
        assert any(not np.array_equal(copies[0], other) for other in copies[2:])


class TestWhatChanges:
    def test_substituted_takes_from_the_donor(self) -> None:
        copy = substituted(reading(1), reading(2), np.random.default_rng(0))
        assert set((copy.student // 100).tolist()) == {1, 2}
        assert (copy.student // 100 == 2).sum() <= 3  # half of six shared tokens

    def test_shortened_is_a_part_in_order(self) -> None:
        copy = shortened(reading(1), reading(2), np.random.default_rng(0))
        assert len(copy.student) < 9
        assert copy.student.tolist() == sorted(copy.student.tolist())

    def test_reordered_has_the_same_tokens(self) -> None:
        copy = reordered(reading(1), reading(2), np.random.default_rng(0))
        assert sorted(copy.student.tolist()) == reading(1).student.tolist()

    def test_spliced_begins_as_one_and_ends_as_the_other(self) -> None:
        for seed in range(20):
            copy = spliced(reading(1), reading(2, length=12), np.random.default_rng(seed))
            origins = (copy.student // 100).tolist()
            assert origins == sorted(origins)
            assert set(origins) == {1, 2}
            assert len(origins) == 12


class TestWithCopies:
    def test_the_last_ones_give_way_to_copies_of_the_first(self) -> None:
        texts = [reading(number) for number in range(1, 9)]
        batch = with_copies(texts, 0.25, np.random.default_rng(0), longest=512)
        assert len(batch) == 8
        assert all(now is before for now, before in zip(batch[:6], texts, strict=False))
        for number, copy in enumerate(batch[6:], start=1):
            assert number in (copy.student // 100).tolist()
            assert copy.student.tolist() != texts[number - 1].student.tolist()
            assert not {7, 8} & set((copy.student // 100).tolist())  # those that gave way give nothing

    def test_none_asked(self) -> None:
        texts = [reading(number) for number in range(1, 5)]
        assert with_copies(texts, 0.0, np.random.default_rng(0), longest=512) == texts

    def test_no_copy_is_longer_than_the_teacher_takes(self) -> None:
        """One text's tokens come late to the teacher, the other's early: the halves make 24."""
        ids, late, early = (np.arange(n, n + 8, dtype=np.uint16) for n in (0, 8, 0))
        padded = np.zeros(16, dtype=np.uint16)
        texts = [Reading(ids, padded, ids, late), Reading(ids, padded, ids, early)] * 2
        for longest, longer in ((16, False), (32, True)):
            lengths = {
                len(text.teacher)
                for seed in range(40)
                for text in with_copies(texts, 0.5, np.random.default_rng(seed), longest=longest)
            }
            assert (max(lengths) > 16) is longer
