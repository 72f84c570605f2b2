"""A reranker as its users call it: scores in order, ranks, promises, and one clear error for each bad input."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _made import needs_exporter

pytestmark = needs_exporter

QUERY = "which model relates tokens"
DOCUMENTS = [
    "attention relates the tokens of a sequence to one another",
    "",
    "numbers like 1, 23 and 456 are tokens too",
    "a",
    "the model embeds the text",
    "the model embeds the text",
]
LONG = "the model embeds the text " * 20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from _heads import head_checkpoint
    from sestina_export import export

    return export(head_checkpoint("rerank"), tmp_path_factory.mktemp("rerank") / "tiny.sestina").path


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from _heads import head_checkpoint
    from sestina_export import export

    checkpoint = head_checkpoint("rerank", labels=3, activation="identity")
    target = tmp_path_factory.mktemp("rerank") / "several.sestina"
    return export(checkpoint, target, precisions=["fp32"], targets=["cpu", "portable"]).path


@pytest.fixture
def reranker(bundle: Path) -> Iterator[sestina.Reranker]:
    with sestina.load_reranker(bundle, precision="fp32") as loaded:
        yield loaded


def logits(scores: Any) -> Any:
    return np.log(scores / (1 - scores))


def test_scores_are_pytorchs(reranker: sestina.Reranker) -> None:
    from _heads import head_checkpoint

    checkpoint = head_checkpoint("rerank")
    wanted = 1 / (1 + np.exp(-checkpoint.encode([(QUERY, each) for each in DOCUMENTS])[:, 0]))
    scores = reranker.score(QUERY, DOCUMENTS)
    assert scores.dtype == np.float32
    assert scores.shape == (6,)
    assert np.abs(scores - wanted).max() <= 1e-5
    assert np.abs(scores[::-1] - wanted).max() > 1e-3  # of other documents it is another
    assert scores[4] == scores[5]


def test_a_score_does_not_depend_on_its_neighbours(reranker: sestina.Reranker, bundle: Path) -> None:
    together = reranker.score(QUERY, DOCUMENTS)
    pairs = [(QUERY, each) for each in reversed(DOCUMENTS)]
    assert np.abs(reranker.score_pairs(pairs)[::-1] - together).max() <= 1e-6
    for threads in (1, 3):
        with sestina.load_reranker(bundle, precision="fp32", threads=threads) as other:
            alone = [other.score(QUERY, [each])[0] for each in DOCUMENTS]
            many = other.score(QUERY, DOCUMENTS * 300)
        assert np.abs(np.array(alone) - together).max() <= 1e-6
        assert np.abs(many - np.tile(together, 300)).max() <= 1e-6
    with sestina.load_reranker(bundle, precision="int8") as int8:
        assert int8.score(QUERY, DOCUMENTS).tolist() == [int8.score(QUERY, [each])[0] for each in DOCUMENTS]


def test_rank(reranker: sestina.Reranker) -> None:
    scores = reranker.score(QUERY, DOCUMENTS)
    ranked = reranker.rank(QUERY, DOCUMENTS)
    assert [each.position for each in ranked] == np.argsort(-scores, kind="stable").tolist()
    assert [each.text for each in ranked] == [DOCUMENTS[each.position] for each in ranked]
    assert reranker.rank(QUERY, DOCUMENTS, 2) == ranked[:2]
    assert reranker.rank(QUERY, np.array(DOCUMENTS), top_k=1) == ranked[:1]


def test_a_ceiling_of_memory(bundle: Path) -> None:
    documents = [f"{each} {number}" for number in range(500) for each in DOCUMENTS]
    with sestina.load_reranker(bundle, precision="fp32") as free:
        wanted = free.score(QUERY, documents)
    with sestina.load_reranker(bundle, precision="fp32", max_memory_mb=1) as small:
        assert small.report().batch_tokens < 512
        assert np.abs(small.score(QUERY, documents) - wanted).max() <= 1e-6


def test_pairs_beyond_the_limit_are_told(reranker: sestina.Reranker) -> None:
    said = "pair 1 has more than 40 tokens; only the beginning was encoded"
    with pytest.warns(sestina.TruncationWarning, match=f"^{said}$") as caught:
        reranker.score(QUERY, ["a", LONG])
    assert (caught[0].filename, len(caught)) == (__file__, 1)
    with pytest.raises(sestina.TruncationError, match="^pair 1 has more than 40 tokens: shorten it") as error:
        reranker.score(QUERY, ["a", LONG], on_truncate="error")
    assert error.value.position == 1
    with pytest.warns(sestina.TruncationWarning, match=r"^2 pairs \(the first is pair 0\) have more than 40"):
        reranker.score_pairs([(LONG, "a"), (LONG, LONG)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reranker.score(LONG, [LONG], on_truncate="ignore")


BAD: list[tuple[Any, Any, type[Exception], str]] = [
    ("", DOCUMENTS, ValueError, "the query is empty: ask something"),
    (" \n", DOCUMENTS, sestina.TextValueError, "the query is empty: ask something"),
    (None, DOCUMENTS, TypeError, "the query is NoneType; it must be str"),
    (["a"], DOCUMENTS, sestina.TextTypeError, "the query is list; it must be str"),
    ("a\ud800", DOCUMENTS, sestina.TextValueError, "the query has a lone surrogate"),
    (QUERY, [], ValueError, "documents is empty: give at least one"),
    (QUERY, "a text", TypeError, "documents is a str; it must be a sequence of str or a column of them"),
    (QUERY, 5, sestina.TextTypeError, "documents is int; it must be"),
    (QUERY, {"a", "b"}, sestina.TextTypeError, "documents is set, which has no order"),
    (QUERY, ["a", 5], TypeError, "document 1 is int; it must be str"),
    (QUERY, ["\udfff"], sestina.TextValueError, "document 0 has a lone surrogate U+DFFF"),
]


@pytest.mark.parametrize(("query", "documents", "kind", "said"), BAD, ids=[each[3] for each in BAD])
def test_bad_input(
    query: Any, documents: Any, kind: type[Exception], said: str, reranker: sestina.Reranker
) -> None:
    for call in (reranker.score, reranker.rank):
        with pytest.raises(kind) as error:
            call(query, documents)
        assert isinstance(error.value, sestina.SestinaError)
        assert str(error.value).startswith(said)


def test_bad_pairs_and_options(reranker: sestina.Reranker, several: Path) -> None:
    for pairs, said in (
        ([], "pairs is empty: give at least one"),
        ("ab", "pairs is a str; it must be a sequence of pairs"),
        (["ab"], "pair 0 is str; it must be a query and a document"),
        ([("a", "b"), ("a",)], "pair 1 is tuple; it must be a query and a document"),
        ([memoryview(np.ones((2, 2)))], "pair 0 is memoryview; it must be a query and a document"),
        ([("", "b")], "the query of pair 0 is empty"),
        ([("a", None)], "the document of pair 0 is null; it must be str: leave it out"),
    ):
        with pytest.raises((sestina.TextTypeError, sestina.TextValueError)) as error:
            reranker.score_pairs(pairs)  # type: ignore[arg-type]
        assert str(error.value).startswith(said)
    with pytest.raises(sestina.OptionError, match="top_k is 0; it must be a whole number"):
        reranker.rank(QUERY, DOCUMENTS, 0)
    with pytest.raises(
        sestina.OptionError, match="on_truncate is 'no'; it must be one of error, warn, ignore"
    ):
        reranker.score(QUERY, DOCUMENTS, on_truncate="no")  # type: ignore[arg-type]
    with sestina.load_reranker(several) as labelled:
        assert labelled.score(QUERY, DOCUMENTS).shape == (6, 3)
        assert labelled.labels == ("label 0", "label 1", "label 2")
        with pytest.raises(
            sestina.OptionError, match=r"gives 3 numbers a pair \(label 0, label 1, label 2\)"
        ):
            labelled.rank(QUERY, DOCUMENTS)


def test_a_masked_graph_reads_pairs_too(several: Path) -> None:
    """Padded to a bucket, with types: run on the CPU as it was proved at export."""
    from sestina._bundle.bundle import Bundle
    from sestina._session.buckets import open_on_cpu
    from sestina._text.pairs import PairTokenizer

    bundle = Bundle(several)
    (variant,) = [each for each in bundle.manifest.variants if each.shapes == "static"]
    assert [each.name for each in variant.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    tokenizer = PairTokenizer(bundle.read("tokenizer.json"), 40, 1 << 16, types=True)
    (row,), _ = tokenizer.pair_rows([(QUERY, DOCUMENTS[0])])
    found = open_on_cpu(bundle.graph(variant.entry.file), variant, 1).run("logits", np.array([row]))
    with sestina.load_reranker(several) as reranker:
        assert np.abs(found[0] - reranker.score(QUERY, DOCUMENTS[:1])[0]).max() <= 1e-5


def test_the_wrong_loader_names_the_right_one(bundle: Path, tmp_path: Path) -> None:
    said = r"is a bundle of the task rerank, and sestina\.load loads embedding: use sestina\.load_reranker$"
    with pytest.raises(sestina.OptionError, match=said):
        sestina.load(bundle)
    said = r"is a bundle of the task embedding, and sestina\.load_reranker loads rerank: use sestina\.load$"
    with pytest.raises(sestina.OptionError, match=said):
        sestina.load_reranker()
    with pytest.raises(sestina.UsageError, match="load_reranker has no argument 'device': write provider="):
        sestina.load_reranker(bundle, device="cpu")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"load_reranker\(\) got an unexpected keyword argument 'thread'"):
        sestina.load_reranker(bundle, thread=1)  # type: ignore[call-arg]


def test_what_every_task_has(reranker: sestina.Reranker, bundle: Path) -> None:
    assert reranker.verify().passed
    report = reranker.report()
    assert (report.bundle, report.precision) == (str(bundle), "fp32")
    assert repr(reranker) == "<sestina.Reranker tiny-rerank: 1 label, 40 tokens, fp32 on cpu>"
    scores = reranker.score(QUERY, DOCUMENTS)
    for again in (pickle.loads(pickle.dumps(reranker)), copy.copy(reranker)):
        with again:
            assert isinstance(again, sestina.Reranker)
            assert again.score(QUERY, DOCUMENTS).tolist() == scores.tolist()
    with pytest.raises(sestina.ClosedError):
        again.score(QUERY, DOCUMENTS)


def test_an_encoder_starts_without_what_other_tasks_need() -> None:
    code = (
        "import sys, sestina; sestina.load().encode('a'); "
        "own = [name for name in sys.modules if name.startswith('sestina.')]; "
        "wanted = ('pair', '_rerank', '_classif', '_logits', '_tasks', '_loaders', 'task_reader', "
        "'_asked', '_maxsim', 'roles', 'late_interaction', '_multi'); "
        "print([name for name in own if any(part in name for part in wanted)])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
