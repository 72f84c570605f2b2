"""Texts by kind and the teacher's kept vectors: what is drawn, what is left out, and what is read once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sestina_model import bpe
from sestina_model._errors import FileError
from sestina_model.distillation import DistillationConfig, Phase
from sestina_model.distillation.kept import KeptTexts, KeptVectors, keep_texts
from sestina_model.distillation.material import KINDS, material
from sestina_model.distillation.mixture import Mixture
from sestina_model.evaluation.held_out import is_held_out
from sestina_model.evaluation.sample import words


def corpus(n: int) -> list[str]:
    """Lines of made-up words: 300 whose frequencies fall as those of a language do, one of 150 pairs that
    keep together, and in some a word that only two lines have."""
    draw = np.random.default_rng(0)
    made = ["".join(draw.choice(list("aeioulmnrst"), 6)) for _ in range(600)]
    frequent, pairs = made[:300], [" ".join(made[at : at + 2]) for at in range(300, 600, 2)]
    likely = 1 / np.arange(1, 301)
    return [
        " ".join([
            *draw.choice(frequent, draw.integers(3, 9), p=likely / likely.sum()),
            draw.choice(pairs),
            *(["b" + "".join("cdfghjkpqv"[int(digit)] for digit in str(at // 2))] if at // 2 % 8 == 0 else []),
        ])
        for at in range(n)
    ]  # fmt: skip


LINES = corpus(4000)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "a.txt"
    file.write_text("\n".join(LINES))
    return file


@pytest.fixture(scope="module")
def drawn(path: Path) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for kind, text in material([path], KINDS):
        texts.setdefault(kind, []).append(text)
    return texts


@pytest.fixture
def kept(path: Path, tmp_path: Path) -> KeptTexts:
    return keep_texts([path], KINDS, bpe.english(), tmp_path, longest=48)


class TestMaterial:
    def test_words_are_those_that_are_not_held_out(self, drawn: dict[str, list[str]]) -> None:
        counts = Counter(word for line in LINES if not is_held_out(line) for word in words(line))
        assert drawn["words"] == sorted(word for word, n in counts.items() if n > 1)
        everything = Counter(word for line in LINES for word in words(line))
        assert drawn["words"] != sorted(word for word, n in everything.items() if n > 1)  # the control

    def test_terms_stand_together_and_have_a_rare_word(self, tmp_path: Path) -> None:
        lines = [f"the sodium chloride, solution of water {number}" for number in range(9)]
        lines += [f"the sodium {number}" for number in range(9)]
        lines += ["chloride solution 1", "water solution 1", "water solution 2"]
        # The 250 most frequent words, of which no term may begin or end with one; "the" and "of" among them.
        letters = "abcdefghijklmnop"
        frequent = [f"x{one}{other}" for one in letters for other in letters][:248]
        lines += [f"the of {word} {number}" for word in frequent for number in range(30)]
        (tmp_path / "a.txt").write_text("\n".join(line for line in lines if not is_held_out(line)))
        found = [text for _, text in material([tmp_path / "a.txt"], ["terms"])]
        assert sorted(found) == ["sodium chloride", "solution of water"]

    def test_lines_show_each_rare_word(self, drawn: dict[str, list[str]]) -> None:
        lines = [line for line in LINES if not is_held_out(line)]
        assert set(drawn["lines"]) <= set(lines)
        assert len(drawn["lines"]) < 0.6 * len(lines)
        counts = Counter(word for line in lines for word in words(line))
        shown = Counter(word for line in drawn["lines"] for word in set(words(line)))
        within = Counter(word for line in lines for word in set(words(line)))
        for word, n in counts.items():
            if n > 1:
                assert shown[word] >= min(3, within[word])
        # Neighbours share a word more often than lines that stand anywhere.
        sets = [set(words(line)) for line in drawn["lines"]]
        rare = {word for word, n in counts.items() if n < 20}

        def shared(step: int) -> float:
            return float(np.mean([bool(a & b & rare) for a, b in zip(sets, sets[step:], strict=False)]))

        assert shared(1) > shared(len(sets) // 2) + 0.1

    def test_passages_go_on_in_the_file_and_over_nothing_that_is_held_out(
        self, drawn: dict[str, list[str]]
    ) -> None:
        joined = "\n".join(LINES)
        for passage in drawn["passages"]:
            first = next(at for at, line in enumerate(LINES) if passage.startswith(line + " "))
            n = next(n for n in (2, 3, 4) if " ".join(LINES[first : first + n]) == passage)
            assert not any(is_held_out(line) for line in LINES[first : first + n])
            assert n == 4 or first + n == len(LINES) or is_held_out(LINES[first + n])
        assert len(drawn["passages"]) > 20
        assert len(joined) > 0


class Teacher:
    """Vectors that say what the text is; it remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), text.count("a")] for text in texts], dtype=np.float32)


class TestKept:
    def test_texts_ids_and_kinds(self, kept: KeptTexts, drawn: dict[str, list[str]]) -> None:
        tokenizer = bpe.english()
        of_kind: dict[str, list[str]] = {}
        for number in range(len(kept.student)):
            text = kept.text(number)
            of_kind.setdefault(KINDS[kept.kinds[number]], []).append(text)
            assert kept.student[number].tolist() == tokenizer.encode(text).ids
        assert kept.student.lengths.max() <= 48
        for kind in KINDS:
            assert of_kind[kind] == [text for text in drawn[kind] if len(tokenizer.encode(text).ids) <= 48]

    def test_a_kind_without_texts(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("one two\n")
        with pytest.raises(FileError, match="hold no words, no terms of up to 48 tokens; .* out of the mix"):
            keep_texts([tmp_path / "a.txt"], ["words", "terms"], bpe.english(), tmp_path, longest=48)

    def test_the_teacher_reads_each_text_once(self, kept: KeptTexts) -> None:
        teacher = Teacher()
        vectors = KeptVectors(kept, "someone", 2, teacher)
        numbers = np.array([5, 3, 5, 900])
        first = vectors.of(numbers)
        assert first[:, 0].tolist() == [len(kept.text(number)) for number in numbers]
        assert len(teacher.asked) == 3
        again = KeptVectors(kept, "someone", 2, teacher)  # another run
        assert np.array_equal(again.of(numbers), first)
        assert len(teacher.asked) == 3
        again.of(np.array([4, 5]))
        assert teacher.asked[3:] == [kept.text(4)]
        other = KeptVectors(kept, "someone-else", 2, teacher)
        other.of(np.array([5]))
        assert len(teacher.asked) == 5
        with pytest.raises(FileError, match=r"holds \(\d+, 2\) of float16, not \(\d+, 3\); delete it"):
            KeptVectors(kept, "someone", 3, teacher)

    def test_a_vector_cut_off_is_computed_again(self, kept: KeptTexts) -> None:
        teacher = Teacher()
        honest = teacher.encode

        def killed(texts: list[str]) -> np.ndarray:
            raise KeyboardInterrupt

        vectors = KeptVectors(kept, "someone", 2, teacher)
        teacher.encode = killed  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            vectors.of(np.array([1, 2]))
        teacher.encode = honest  # type: ignore[method-assign]
        assert vectors.of(np.array([1]))[0, 0] == len(kept.text(1))


def settings(**changes: object) -> DistillationConfig:
    values: dict[str, object] = {
        "teacher": "t",
        "texts": ("t",),
        "mix": {"words": 0.3, "terms": 0.2, "lines": 0.5},
        "phases": (Phase(max_tokens=48, share=1.0),),
        "tokens": 30_000,
        "token_weight": 0.0,
        "layer_weight": 0.0,
        "shard_texts": 250,
        "run_texts": 8,
        "batch_tokens": 512,
    }
    return DistillationConfig(**(values | changes))  # type: ignore[arg-type]


class TestMixture:
    def test_shares_are_of_tokens(self, kept: KeptTexts) -> None:
        mixture = Mixture(kept.student.lengths, kept.kinds, settings())
        read = np.zeros(len(KINDS))
        spent = 0
        for visit in range(len(mixture.visits)):
            texts = mixture.shards[visit].texts
            assert len(np.unique(texts)) == len(texts)
            np.add.at(read, kept.kinds[texts], kept.student.lengths[texts])
            for batch in mixture.batches(visit):
                lengths = kept.student.lengths[texts[batch]]
                assert len(set(lengths.tolist())) == 1
                spent += int(lengths.sum())
        assert read / read.sum() == pytest.approx([0.3, 0.2, 0.5, 0.0], abs=0.03)
        assert 30_000 <= spent < 45_000

    def test_every_text_comes_before_any_comes_again(self, kept: KeptTexts) -> None:
        mixture = Mixture(kept.student.lengths, kept.kinds, settings(tokens=100_000))
        lines = np.flatnonzero(kept.kinds == KINDS.index("lines"))
        seen: Counter[int] = Counter()
        for shard in mixture.shards:
            seen.update(shard.texts[np.isin(shard.texts, lines)].tolist())
            times = [seen[int(line)] for line in lines]
            assert max(times) - min(times) <= 1

    def test_from_the_seed_alone(self, kept: KeptTexts) -> None:
        first, same, other = (
            Mixture(kept.student.lengths, kept.kinds, settings(seed=seed)) for seed in (1, 1, 2)
        )
        assert all(np.array_equal(a.texts, b.texts) for a, b in zip(first.shards, same.shards, strict=True))
        assert not np.array_equal(first.shards[0].texts, other.shards[0].texts)
