"""CUDA on a GPU: several outputs of one pass, in float16 and in float32, near the CPU's float32, whatever the batch.

That the CPU's float32 is PyTorch's, `test_several_outputs` holds. When this skips, fails or rehearses: see `test_cuda`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import sestina
from _cuda import made_outputs, ready, tell
from _tiny import LINES

FLOAT16, FLOAT32, FAR = 2e-2, 2e-5, 0.05
TEXTS = [*LINES, "", "a", "the the model the", "word " * 60]
NAMES = ("dense", "sparse", "multi-vector")
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module", autouse=True)
def cuda() -> Iterator[None]:
    yield from ready(lambda: sestina.load(made_outputs(), provider="cuda"))


def spread(row: sestina.SparseVector) -> Array:
    """A weight for each token id, also where it is nothing: half precision may take the last of a small one."""
    dense = np.zeros(row.dimensions, dtype=np.float32)
    dense[row.indices] = row.weights
    return dense


def among_others(encoder: sestina.Encoder) -> dict[str, list[Array]]:
    """Of each output an array for each text, of one call."""
    found = encoder.encode(TEXTS, outputs=NAMES, on_truncate="ignore")
    return {
        "dense": [*found.dense],
        "sparse": [spread(row) for row in found.sparse],
        "multi-vector": found.multi_vector,
    }


def alone(encoder: sestina.Encoder) -> dict[str, list[Array]]:
    """The same, of a call for each text."""
    every = [encoder.encode(text, outputs=NAMES, on_truncate="ignore") for text in TEXTS]
    return {
        "dense": [each.dense for each in every],
        "sparse": [spread(each.sparse) for each in every],
        "multi-vector": [each.multi_vector for each in every],
    }


def furthest(some: list[Array], others: list[Array]) -> float:
    """Largest difference, by the largest number of the others where that is above 1."""
    assert [each.shape for each in some] == [each.shape for each in others]
    scale = max(1.0, *(float(np.abs(each).max(initial=0.0)) for each in others))
    return max(
        float(np.abs(one - other).max(initial=0.0)) / scale for one, other in zip(some, others, strict=True)
    )


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_near_the_cpu(precision: str) -> None:
    with sestina.load(made_outputs(), provider="cpu", precision="fp32") as encoder:
        wanted = among_others(encoder)
    with warnings.catch_warnings():
        warnings.simplefilter("error", sestina.ProviderWarning)
        with sestina.load(made_outputs(), provider="cuda", precision=precision, strict=True) as encoder:
            report = encoder.report()
            ways = {"among others": among_others(encoder), "alone": alone(encoder)}
            vectors = encoder.encode(TEXTS, on_truncate="ignore")  # by a graph without the other outputs
            verified = encoder.verify().passed
    assert report.provider == "cuda"
    assert report.variant is not None
    assert precision in report.variant
    assert verified
    limit = FLOAT16 if precision == "fp16" else FLOAT32
    assert furthest([*vectors], wanted["dense"]) <= limit
    for name in NAMES:
        differences = {way: furthest(found[name], wanted[name]) for way, found in ways.items()}
        told = ", ".join(f"{way} {difference:.2g}" for way, difference in differences.items())
        tell(f"{name}: {report.variant} on {report.device}: difference {told}, {report.share:.0%} there")
        assert max(differences.values()) <= limit
    # The comparison can fail: other texts' vectors are further away.
    assert furthest([*vectors], [*wanted["dense"][1:], wanted["dense"][0]]) > FAR
