"""Exact search, held to a plain sort of all scores in float64."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from sestina import Corpus, search

N, D = 700, 24


def plain(queries: Any, corpus: Any, metric: str) -> Any:
    """(n, m) float64."""
    a, b = np.asarray(queries, np.float64), np.asarray(corpus, np.float64)
    apart = a[:, None] - b[None]
    if metric == "euclidean":
        return -np.sqrt((apart**2).sum(-1))
    if metric == "manhattan":
        return -np.abs(apart).sum(-1)
    if metric == "cosine":
        a = a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-300)
        b = b / np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-300)
    return a @ b.T


@pytest.fixture(scope="module")
def vectors() -> Any:
    rows = np.random.default_rng(1).normal(size=(N, D)).astype(np.float32)
    rows[13] = 0
    rows[400:410] = rows[20]  # equal ones, in other blocks
    return rows


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", "manhattan"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8"])
@pytest.mark.parametrize("k", [1, 10, N, N + 5])
def test_it_finds_what_a_sort_of_all_finds(metric: Any, dtype: str, k: int, vectors: Any) -> None:
    corpus = (
        np.rint(vectors * 30).clip(-127, 127).astype("int8") if dtype == "int8" else vectors.astype(dtype)
    )
    queries = np.concatenate([vectors[[20, 13]], np.random.default_rng(2).normal(size=(3, D))])
    wanted = plain(queries.astype(np.float32), corpus.astype(np.float32), metric)
    found = search(queries, corpus, k, metric=metric)
    width = min(k, N)
    assert found.indices.shape == found.scores.shape == (5, width)
    assert (found.indices.dtype, found.scores.dtype) == (np.int64, np.float32)
    reached = np.take_along_axis(wanted, found.indices, 1)
    np.testing.assert_allclose(found.scores, reached, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(found.scores, -np.sort(-wanted, axis=1)[:, :width], rtol=2e-5, atol=2e-5)
    assert all(len(set(row)) == width for row in found.indices.tolist())


def test_of_equal_scores_the_first_whatever_the_blocks(vectors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(vectors[20], vectors, 8)
    assert whole.indices[0].tolist() == [20, *range(400, 407)]
    for size in (1, 2, 3, 50, 399, 401):
        corpus = Corpus(vectors)
        blocks = [(at, vectors[at : at + size]) for at in range(0, N, size)]
        monkeypatch.setattr(corpus, "_blocks", lambda *_, blocks=blocks: iter(blocks))
        found = corpus.search(vectors[20], 8)
        assert np.array_equal(found.indices, whole.indices)


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", "manhattan"])
def test_memory_stays_under_the_ceiling(metric: Any) -> None:
    corpus = np.zeros((10_000, 256), np.float16)
    corpus[:, 0] = np.arange(10_000) % 1000 + 1
    queries = np.ones((20, 256), np.float32)
    looked = Corpus(corpus, metric=metric)
    tracemalloc.start()
    looked.search(queries, 5, max_memory_mb=2)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 << 20


def test_bits(vectors: Any) -> None:
    packed = np.packbits(vectors > 0, axis=1)
    signs = np.where(vectors > 0, 1.0, -1.0)
    wanted = signs @ signs.T / D
    for queries in (vectors, packed):
        found = search(queries, packed, 5)
        np.testing.assert_allclose(found.scores, -np.sort(-wanted, axis=1)[:, :5], atol=1e-6)
    assert Corpus(packed).dimensions == D
    with pytest.raises(sestina.OptionError, match="packed bits are compared by 'cosine' alone"):
        Corpus(packed, metric="dot")


def test_a_mapped_file_is_searched_where_it_is(vectors: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert np.array_equal(search(vectors[3], mapped, 4).indices, search(vectors[3], vectors, 4).indices)


def test_a_corpus_that_is_empty(vectors: Any) -> None:
    found = search(vectors[:2], vectors[:0], 3)
    assert found.indices.shape == (2, 0)
    assert search(vectors[:0], vectors, 3).indices.shape == (0, 3)


class Unreadable:
    """Fails wherever it is asked what it is."""

    def __array__(self, *_: object, **__: object) -> None:
        raise RuntimeError("it is\nnot there")

    @property
    def dtype(self) -> None:
        raise RuntimeError("nor is this")


@pytest.mark.parametrize(
    "queries, corpus, options, said",
    [
        (np.ones(3), np.ones((2, 4)), {}, "queries have 3 dimensions, and the corpus 4"),
        (np.ones(4), np.ones(4), {}, r"corpus is float64 of shape \(4,\); it must be"),
        (np.ones(4), [[1.0] * 4], {}, "corpus is list of shape None"),
        (np.ones(4), np.ones((2, 4), int), {}, "corpus is int64"),
        (np.ones(4), np.array([[1.0] * 4, [np.nan] * 4]), {}, "vector 1 is not finite|row 1 of the corpus"),
        (
            np.ones(4),
            np.array([[1.0] * 4, [np.inf] * 4], np.float32),
            {},
            "row 1 of the corpus is not finite",
        ),
        (np.full(4, np.nan), np.ones((2, 4)), {}, "vector 0 is not finite"),
        (np.ones(4), np.ones((2, 4)), {"k": 0}, "k is 0"),
        (np.ones(4), np.ones((2, 4)), {"metric": "l2"}, "metric is 'l2'; it must be one of cosine, dot"),
        (np.ones(4), np.ones((2, 4)), {"max_memory_mb": 0}, "max_memory_mb is 0"),
        ("a", np.ones((2, 4)), {}, "vectors are"),
        (np.ma.array([1.0] * 4, mask=[0, 1, 0, 0]), np.ones((2, 4)), {}, "vectors have masked values"),
        (np.ones(4), np.ma.array([[1.0] * 4], mask=[[0, 1, 0, 0]]), {}, "corpus has masked values"),
        ([np.ma.masked_equal([1.0, 2.0], 2.0)], np.ones((2, 4)), {}, "vectors have masked values"),
        (
            np.ma.array([1], np.uint8, mask=[True]),
            np.ones((2, 1), np.uint8),
            {},
            "queries have masked values",
        ),
        ([[1.0] * 4, [1.0]], np.ones((2, 4)), {}, "^vectors are list, which cannot be read as an array"),
        (Unreadable(), np.ones((2, 4)), {}, "^vectors are Unreadable, which cannot be read as an array"),
        (np.ones(4), Unreadable(), {}, "^corpus is Unreadable of shape None; it must"),
        (np.ones(0), np.ones((2, 0)), {}, r"^corpus is float64 of shape \(2, 0\); it must be"),
        (np.ones(4), np.array([[1.0] * 4, [1e300] * 4]), {}, "row 1 of the corpus is not finite"),
        (np.ones(4), np.array([[1.0] * 4, [1e-300] * 4]), {}, "row 1 of the corpus is too small"),
        (np.ones(4), np.array([[1.0] * 4, [1e-300] * 4], ">f8"), {"metric": "dot"}, "row 1 .* too small"),
        (
            np.ones(4),
            np.array([[1.0] * 4, [3e38] * 4], np.float32),
            {},
            "row 1 of the corpus has the norm 6e.38",
        ),
        (
            np.full(4, 1e30),
            np.full((2, 4), 1e29),
            {"metric": "dot"},
            "too large to be compared in float32 .dot.",
        ),
        (
            np.full(4, 3e38),
            np.full((2, 4), -3e38),
            {"metric": "euclidean"},
            "too large to be compared in float32 .euclidean.",
        ),
    ],
)
def test_what_is_refused(queries: Any, corpus: Any, options: Any, said: str) -> None:
    with pytest.raises(sestina.OptionError, match=said):
        search(queries, corpus, **options)


def test_a_row_that_does_not_fit_is_named_wherever_it_is() -> None:
    corpus = np.ones((70_000, 64))  # several blocks
    corpus[69_999, 3] = 1e39
    with pytest.raises(sestina.OptionError, match="^row 69999 of the corpus is not finite"):
        sestina.Corpus(corpus)


@pytest.mark.parametrize(
    ("matches", "said"),
    [
        (None, "^matches are object of shape"),
        (([[0]], [[1.0]]), "^matches are object of shape"),
        (sestina.Matches([[0], [0, 1]], [[1.0]]), "^matches are list, which cannot be read"),  # type: ignore[arg-type]
        (sestina.Matches(np.ma.masked_equal([[0, 1]], 1), np.ones((1, 2), np.float32)), "^matches have masked"),
    ],
)  # fmt: skip
def test_matches_that_are_none(matches: Any, said: str) -> None:
    with pytest.raises(sestina.OptionError, match=said):
        sestina.Corpus(np.ones((2, 4))).rescore(np.ones((1, 4)), matches)


def test_arrays_of_other_kinds_are_taken_for_what_they_hold() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((9, 4)).astype(np.float32)
    right = search(vectors, vectors, 9)
    bits = np.packbits(vectors > 0, axis=1)
    other = [vectors.astype(">f4"), np.asfortranarray(vectors), np.ma.array(vectors), vectors.tolist()]
    for queries in other:
        for corpus in other[:3]:
            found = search(queries, corpus, 9)
            np.testing.assert_array_equal(found.indices, right.indices)
            np.testing.assert_allclose(found.scores, right.scores, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # numpy's, of its matrix
        found = search(np.asmatrix(bits), bits, 9)
    np.testing.assert_array_equal(found.indices, search(bits, bits, 9).indices)
