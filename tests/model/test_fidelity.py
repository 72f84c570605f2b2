"""Retrieval fidelity: figures worked out by hand, and a sample that neither order nor training can disturb."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from _tiny import tiny_checkpoint, tiny_wordpiece
from sestina_model import evaluate
from sestina_model._errors import FileError
from sestina_model._lines import find_files
from sestina_model.checkpoint import save
from sestina_model.evaluation.fidelity import fidelity, teacher_vectors
from sestina_model.evaluation.held_out import is_held_out, is_passage, is_query
from sestina_model.evaluation.sample import Passage, Query, Sample, read_sample


def corpus(n: int, seed: int = 0) -> list[str]:
    """Lines of four to nine made-up words, a third of them questions; each is like no other."""
    draw = np.random.default_rng(seed)
    words = ["".join(draw.choice(list("aeioulmnrst"), 5)) for _ in range(200)]
    lines = [" ".join(draw.choice(words, draw.integers(4, 10))) for _ in range(n)]
    return [line + "?" if number % 3 == 0 else line for number, line in enumerate(lines)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two sources, one of them of headlines."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "books.txt.xz").write_bytes(lzma.compress("\n".join(corpus(3000)).encode()))
    (folder / "news-headlines.txt").write_text("\n".join(corpus(3000, 1)))
    return find_files([str(folder / "*")])


def sample_of(n_queries: int, n_passages: int) -> Sample:
    queries = [Query(f"q{at}", "question" if at % 2 else "sentence", 5 * 10**at) for at in range(n_queries)]
    passages = [Passage("w " * (1 + at), "a" if at < n_passages // 2 else "b") for at in range(n_passages)]
    return Sample(queries, passages, "0")


class TestFigures:
    def test_the_teacher_itself_is_whole(self) -> None:
        vectors = np.random.default_rng(0).normal(size=(4 + 40, 8))
        whole = fidelity(vectors * 3.0, vectors, sample_of(4, 40))
        assert (whole.overlap, whole.ndcg) == (100.0, 100.0)
        turn = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 8)))[0].T
        assert fidelity(vectors @ turn, vectors, sample_of(4, 40)).overlap == 100.0  # another width, turned
        other = fidelity(vectors[::-1], vectors, sample_of(4, 40))  # the control
        assert other.overlap < 60
        assert other.ndcg < 90

    def test_by_hand(self) -> None:
        """One query; twenty passages at falling cosines to the teacher. The student swaps two and loses one."""
        likeness = np.linspace(0.95, 0.0, 20)
        passages = np.stack([likeness, np.sqrt(1 - likeness**2)], 1)
        teacher = np.concatenate([[[1.0, 0.0]], passages])
        order = list(range(20))
        order[0], order[1] = 1, 0
        order[9], order[15] = 15, 9  # the tenth is lost, the sixteenth in its place
        student = np.concatenate([[[1.0, 0.0]], passages[np.argsort(order)]])
        result = fidelity(student, teacher, sample_of(1, 20))
        discounts = 1 / np.log2(np.arange(2, 12))
        found = likeness[order[:10]] @ discounts / (likeness[:10] @ discounts)
        assert result.overlap == 90.0
        assert result.ndcg == pytest.approx(100 * found, abs=0.01)
        # The lost one has ten words, so it is in the shortest group, and is from the first source.
        assert [(group.name, group.n, group.overlap) for group in result.by_length] == [("0-15", 10, 90.0)]
        assert [(group.name, group.n) for group in result.by_source] == [("a", 10)]

    def test_negative_similarities_gain_nothing(self) -> None:
        teacher = np.concatenate([[[1.0, 0.0]], np.tile([[-1.0, 0.0]], (20, 1))])
        assert fidelity(teacher, teacher, sample_of(1, 20)).ndcg == 0.0

    def test_groups(self) -> None:
        draw = np.random.default_rng(0)
        teacher, student = draw.normal(size=(2, 6 + 150, 8))
        result = fidelity(student, teacher, sample_of(6, 150))
        assert [(group.name, group.n) for group in result.by_kind] == [("question", 3), ("sentence", 3)]
        assert [group.name for group in result.by_frequency] == [
            "0-9", "10-99", "100-999", "1000-9999", "10000-"
        ]  # fmt: skip
        assert [group.name for group in result.by_length] == ["0-15", "16-31", "32-63", "64-127", "128-"]
        assert sum(group.n for group in result.by_length) == sum(group.n for group in result.by_source) == 60
        for groups in (result.by_kind, result.by_frequency, result.by_length, result.by_source):
            mean = sum(group.overlap * group.n for group in groups) / sum(group.n for group in groups)
            assert mean == pytest.approx(result.overlap, abs=0.02)


class TestSample:
    def test_texts_decide_for_themselves(self) -> None:
        lines = corpus(20_000)
        shares = [np.mean([each(line) for line in lines]) for each in (is_passage, is_query, is_held_out)]
        assert shares[:2] == pytest.approx([1 / 64, 1 / 64], rel=0.2)
        assert shares[2] == pytest.approx(shares[0] + shares[1])

    def test_holds_what_is_held_out_and_nothing_else(self, files: list[Path], tmp_path: Path) -> None:
        sample = read_sample(files, tmp_path)
        lines = {path.name.partition(".")[0]: path for path in files}
        assert {query.kind for query in sample.queries} == {"headline", "question", "sentence"}
        assert all(is_query(query.text) for query in sample.queries)
        assert all((query.kind == "question") == query.text.endswith("?") for query in sample.queries)
        books, headlines = corpus(3000), corpus(3000, 1)
        counts = Counter(word for line in books + headlines for word in line.replace("?", "").split())
        for query in sample.queries[::7]:
            assert query.rarest == min(counts[word] for word in query.text.replace("?", "").split())
        assert {passage.source for passage in sample.passages} == set(lines)
        joined = 0
        for passage in sample.passages:
            own = books if passage.source == "books" else headlines
            first = next(at for at, line in enumerate(own) if passage.text.startswith(line))
            n = next(n for n in (1, 4, 8) if " ".join(own[first : first + n]) == passage.text)
            assert is_passage(own[first])
            joined += n > 1
        assert 0.2 < joined / len(sample.passages) < 0.6
        assert len(sample.passages) == sum(map(is_passage, books + headlines))

    def test_kept_and_drawn_anew_for_other_texts(self, files: list[Path], tmp_path: Path) -> None:
        first = read_sample(files, tmp_path)
        (kept,) = tmp_path.glob("sample-*/sample.json")
        written = kept.stat().st_mtime_ns
        assert read_sample(files, tmp_path) == first
        assert kept.stat().st_mtime_ns == written
        fewer = read_sample(files, tmp_path, n_passages=20, n_queries=5)
        assert (len(fewer.passages), len(fewer.queries)) == (20, 15)
        assert set(fewer.passages) < set(first.passages)
        assert read_sample(files[:1], tmp_path).fingerprint != first.fingerprint

    def test_too_few(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("one line\n")
        with pytest.raises(FileError, match="0 queries and 0 passages are held out .* name files with more"):
            read_sample([tmp_path / "a.txt"], tmp_path / "cache")


class Counting:
    """An encoder of two dimensions that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += 1
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


class TestTeacher:
    def test_reads_a_sample_once(self, files: list[Path], tmp_path: Path) -> None:
        sample, teacher = sample_of(2, 12), Counting()
        folder = tmp_path / "teacher"
        folder.mkdir()
        (folder / "weights").write_text("1")
        first = teacher_vectors(folder, sample, tmp_path / "cache", lambda: teacher)
        again = teacher_vectors(folder, sample, tmp_path / "cache", lambda: teacher)
        assert teacher.asked == 1
        assert np.array_equal(first, again)
        assert first[:, 0].tolist() == [len(text) for text in sample.texts]
        (folder / "weights").write_text("2")  # another teacher
        teacher_vectors(folder, sample, tmp_path / "cache", lambda: teacher)
        assert teacher.asked == 2
        with pytest.raises(FileError, match="none is no folder"):
            teacher_vectors(tmp_path / "none", sample, tmp_path / "cache", lambda: teacher)


class TestCommand:
    def test_measures_a_checkpoint_and_a_bundle(
        self, bundle: Path, files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        save(tiny_checkpoint(tiny_wordpiece()), tmp_path / "same")
        save(tiny_checkpoint(tiny_wordpiece(), seed=5), tmp_path / "other")
        texts = [str(path) for path in files]
        options = ["--teacher", str(bundle), "--cache", str(tmp_path / "cache"), "--texts", *texts]
        overlaps = []
        for name in ("same", "other"):
            assert evaluate.main([str(tmp_path / name), "--json", *options]) == 0
            report = json.loads(capsys.readouterr().out)
            assert report["scores"] == []
            overlaps.append(report["fidelity"]["overlap"])
        assert overlaps[0] > 99  # the bundle is of this very checkpoint
        assert overlaps[1] < 50
        assert evaluate.main([str(tmp_path / "same"), *options]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split()[:2] == ["fidelity", "overlap@10"]
        assert any(line.split()[:3] == ["passage", "of", "books"] for line in lines)

    @pytest.mark.parametrize(
        "options, said",
        [
            ([], "nothing to measure: name --data, or --teacher, --texts and --cache"),
            (["--teacher", "t"], "--teacher, --texts and --cache go together"),
            (["--data", "d", "--cache", "c"], "--teacher, --texts and --cache go together"),
            (["--teacher", "t", "--texts", "x", "--cache", "c", "--tasks", "cisi"], "--data names; add it"),
        ],
    )
    def test_options_that_do_not_go_together(
        self, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stopped:
            evaluate.main(["source", *options])
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
