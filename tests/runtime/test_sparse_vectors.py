"""Sparse vectors as data: rows, products, pruning, and the forms that stores take."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest

import sestina
from sestina._schedule.sparse_engine import compressed
from sestina._sparse_rows import gathered, similarity
from sestina._sparse_vectors import SparseVectors

WIDTH = 50
TOKENS = {index: f"t{index}" for index in range(WIDTH)}


def drawn(count: int, seed: int = 0, share: float = 0.2) -> tuple[Any, SparseVectors]:
    """Random rows, of which one in seven has nothing, dense and sparse."""
    generator = np.random.default_rng(seed)
    dense = generator.random((count, WIDTH), dtype=np.float32)
    dense[dense > share] = 0
    dense[::7] = 0
    return dense, SparseVectors(gathered(compressed(dense).tolist(), WIDTH), TOKENS)


def test_rows() -> None:
    dense, rows = drawn(20)
    assert (rows.shape, len(rows)) == ((20, WIDTH), 20)
    assert (rows.indices.dtype, rows.weights.dtype, rows.starts.dtype) == (np.int32, np.float32, np.int64)
    assert rows.to_dense().tolist() == dense.tolist()
    assert [each.to_dense().tolist() for each in rows] == dense.tolist()
    assert rows[-1].to_dense().tolist() == dense[-1].tolist()
    assert rows[3:12:2].to_dense().tolist() == dense[3:12:2].tolist()
    assert rows[5:5].shape == (0, WIDTH)
    assert (np.diff(rows[4].indices) > 0).all()
    assert (len(rows[0]), rows[0].to_dict(), rows[0].top()) == (0, {"indices": [], "values": []}, [])
    for at in (20, -21):
        with pytest.raises(IndexError):
            rows[at]
    assert repr(rows[:1]) == "<sestina.SparseVectors: 1 texts, 0 weights of 50>"
    assert repr(rows[0]) == "<sestina.SparseVector: 0 weights of 50>"


def test_what_stores_take() -> None:
    _, rows = drawn(3)
    row = rows[1]
    assert row.to_dict() == {"indices": row.indices.tolist(), "values": row.weights.tolist()}
    assert row.to_pairs() == dict(zip(row.indices.tolist(), row.weights.tolist(), strict=True))
    assert row.to_tokens() == {f"t{index}": weight for index, weight in row.to_pairs().items()}
    assert all(type(each) is float for each in row.to_pairs().values())
    assert rows[:0].to_dense().shape == (0, WIDTH)


def test_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    dense, rows = drawn(20)
    matrix = rows.to_scipy()
    assert isinstance(matrix, sparse.csr_array)
    assert (matrix.shape, matrix.dtype) == ((20, WIDTH), np.float32)
    assert matrix.toarray().tolist() == dense.tolist()
    assert rows[1].to_scipy().toarray().tolist() == dense[1:2].tolist()
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(sestina.MissingExtraError, match="scipy is not installed: pip install scipy"):
        rows.to_scipy()


def test_products(monkeypatch: pytest.MonkeyPatch) -> None:
    left, a = drawn(20)
    right, b = drawn(33, seed=1)
    wanted = (left.astype(np.float64) @ right.T.astype(np.float64)).astype(np.float32)
    found = a.dot(b)
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() <= 1e-6
    assert b.dot(a).tolist() == found.T.tolist()
    assert a.dot(b[4]).tolist() == found[:, 4:5].tolist()
    assert a[3].dot(b[4]) == found[3, 4]
    monkeypatch.setattr("sestina._sparse_rows._WEIGHTS", 7)  # in blocks of a row or two
    assert a.dot(b).tolist() == found.tolist()
    assert a[:0].dot(b).shape == (0, 33)
    assert a.dot(b[:0]).shape == (20, 0)


@pytest.mark.parametrize("name", ["dot", "cosine", "euclidean", "manhattan"])
def test_similarity_is_that_of_dense_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sestina._similarity import similarity as of_dense

    left, a = drawn(20)
    right, b = drawn(9, seed=1)
    assert np.abs(similarity(name, a._rows, b._rows) - of_dense(name, left, right)).max() <= 1e-6
    monkeypatch.setattr("sestina._sparse_rows._NUMBERS", 3 * WIDTH)
    assert np.abs(similarity(name, a._rows, b._rows) - of_dense(name, left, right)).max() <= 1e-6


def test_top_and_pruning() -> None:
    row = SparseVectors(
        gathered([(np.array([2, 5, 7, 9], np.int32), np.array([1, 3, 3, 2], np.float32))], WIDTH), TOKENS
    )[0]
    assert row.top(2) == [sestina.TokenWeight("t5", 3.0), sestina.TokenWeight("t7", 3.0)]
    assert [each.token for each in row.top()] == ["t5", "t7", "t9", "t2"]
    assert row.prune(1).indices.tolist() == [5]
    assert row.prune(3).indices.tolist() == [5, 7, 9]
    assert row.prune(3).weights.tolist() == [3, 3, 2]
    assert row.prune(9).to_pairs() == row.to_pairs()
    dense, rows = drawn(20)
    kept = rows.prune(3)
    assert np.diff(kept.starts).tolist() == np.minimum(3, (dense > 0).sum(1)).tolist()
    assert [each.top(3) for each in rows] == kept.top()
    for call in (row.prune, row.top, rows.prune, rows.top):
        for k in (0, -1, 1.5, "3", True):
            with pytest.raises(sestina.OptionError, match="k is .*; it must be a whole number from 1"):
                call(k)


def test_pickles_have_the_tokens_that_they_need() -> None:
    _, rows = drawn(20)
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        again = pickle.loads(pickle.dumps(rows, protocol))
        assert again.to_dense().tolist() == rows.to_dense().tolist()
        assert again.top(2) == rows.top(2)
        one = pickle.loads(pickle.dumps(rows[1], protocol))
        assert one.top() == rows[1].top()
    assert len(pickle.dumps(rows[0])) < 600


def test_bad_input() -> None:
    _, rows = drawn(5)
    other = gathered([(np.zeros(0, np.int32), np.zeros(0, np.float32))], WIDTH + 1)
    said = "sparse vectors of 50 and 51 dimensions cannot be compared: encode both with one bundle"
    for name in ("dot", "cosine", "euclidean"):
        with pytest.raises(sestina.OptionError, match=said):
            similarity(name, rows._rows, other)
    with pytest.raises(
        sestina.OptionError, match="other is ndarray; it must be a SparseVector or SparseVectors"
    ):
        rows.dot(rows.to_dense())  # type: ignore[arg-type]
    with pytest.raises(sestina.OptionError, match="other is SparseVectors; it must be a SparseVector"):
        rows[0].dot(rows)  # type: ignore[arg-type]
