"""Arithmetic on vectors holds at the ends of the range, and refuses what is beyond it."""

from __future__ import annotations

import numpy as np
import pytest

import sestina
from sestina._vectors import as_rows, cosine, shorten

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("scale", [1e-300, 1e-50])
def test_too_small_for_float32(scale: float) -> None:
    with pytest.raises(sestina.OptionError, match="vector 1 is too small for float32: scale it up"):
        as_rows(np.array([[1.0, 0.0], [scale, 0.0]]))


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1.0, 1e18, 1e25, 1e37])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_cosine_does_not_depend_on_length(scale: float, kind: type[np.floating]) -> None:
    rows = as_rows(np.array([[3, 4], [-4, 3], [0, 0]], dtype=kind) * kind(scale))
    plain = as_rows(np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(cosine(plain, rows), [[0.6, -0.8, 0.0]], atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_rows_that_are_not_finite(bad: float) -> None:
    message = "vector 1 is not finite in float32: a cosine needs finite numbers"
    with pytest.raises(sestina.OptionError, match=message):
        as_rows(np.array([[1.0, 0.0], [bad, 0.0]]))
    if bad != 1e300:
        rows = np.array([[1.0, 0.0], [bad, 0.0]], dtype=np.float32)
        for left, right in ((rows, rows[:1]), (rows[:1], rows)):
            with pytest.raises(sestina.OptionError, match=message):
                cosine(left, right)


def test_shortening_does_not_hide_what_is_not_finite() -> None:
    short = shorten(np.array([[np.nan, 1, 2]], dtype=np.float32), 2, True)
    assert np.isnan(short).any()


def test_similarity_of_given_vectors(encoder: sestina.Encoder) -> None:
    ones = np.ones(encoder.dimensions)
    assert encoder.similarity(ones * 1e25, ones)[0, 0] == pytest.approx(1, abs=1e-6)
    with pytest.raises(sestina.OptionError, match="vector 0 is not finite"):
        encoder.similarity(ones * np.nan, "a")


@pytest.mark.parametrize("scale", [1.0, 1e-14, 1e-20, 1e-30, 1e14, 1e16, 1e30])
@pytest.mark.parametrize("turned", [False, True])
def test_cosines_of_any_size_on_the_larger_side(scale: float, turned: bool) -> None:
    rng = np.random.default_rng(3)
    few, many = rng.normal(size=(2, 16)), rng.normal(size=(40, 16))
    many[5] = 0
    many[7] *= scale
    exact = few @ many.T / np.linalg.norm(few, axis=1)[:, None]
    exact = np.divide(exact, np.linalg.norm(many, axis=1), out=np.zeros_like(exact), where=many.any(1))
    left, right = few.astype(np.float32), many.astype(np.float32)
    found = cosine(right, left).T if turned else cosine(left, right)
    np.testing.assert_allclose(found, exact, atol=1e-6)
    assert not found[:, 5].any()
