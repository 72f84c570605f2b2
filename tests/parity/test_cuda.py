"""CUDA on a GPU: encoders of every family in float16 and in float32, near PyTorch's float32, whatever the batch.

Skips where no CUDA starts; `make test-cuda` fails there. What runs may be made elsewhere: see `_cuda`. With
SESTINA_TESTS_CUDA=rehearsal the CPU plays the part of CUDA, which proves these tests and the graphs, and no CUDA.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sestina
from _cuda import CASES, FLOATS, PORTABLE, Made, has_portable, made, ready, tell
from sestina._providers.table import PROVIDERS
from sestina._session.placement import SHAPING

# Largest difference, and least cosine: the tolerances of the variants, and the gate of float16 at export.
FLOAT16, FLOAT32, LEAST_COSINE = 5e-3, 1e-5, 0.999
# In another batch other kernels may be taken, which round otherwise.
BATCH16, BATCH32 = 2e-3, 2e-6
# Those in whose graph for the CPU attention is an operator that CUDA has in float16 alone.
GROUPED = {"qwen3", "causal"}
# Another encoder's vectors are further away than any tolerance.
FAR = 0.05


@pytest.fixture(scope="module", autouse=True)
def cuda() -> Iterator[None]:
    yield from ready(lambda: on_cuda("bert, distilbert").close())


def on_cuda(
    case: str, targets: tuple[str, ...] = FLOATS, precision: str = "auto", *, strict: bool = True
) -> sestina.Encoder:
    """On CUDA, or an error; strictly: with all that computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", sestina.ProviderWarning)
        return sestina.load(made(case, targets).bundle, provider="cuda", precision=precision, strict=strict)


def encode(encoder: sestina.Encoder, texts: str | list[str]) -> np.ndarray:  # type: ignore[type-arg]
    return encoder.encode(texts, on_truncate="ignore")


def check(case: str, which: tuple[str, ...], precision: str, tolerance: float, between: float) -> None:
    """That it runs there, near PyTorch, and alike alone and among others."""
    of = made(case, which)
    partly = precision == "fp32" and which == FLOATS and GROUPED.intersection(case.split(", "))
    with on_cuda(case, which, precision, strict=not partly) as encoder:
        report = encoder.report()
        vectors = encode(encoder, of.texts)
        alone = np.stack([encode(encoder, text) for text in of.texts])
        backwards = encode(encoder, of.texts[::-1])[::-1]
        repeated = encode(encoder, of.texts[3:4] * 70)
        verified = encoder.verify()
    facts = _facts(of, vectors)
    spread = max(float(np.abs(other - vectors).max()) for other in (alone, backwards))
    tell(
        f"{case}: {report.variant} on {report.device}: difference {facts[0]:.2g}, cosine {facts[1]:.7f}, "
        f"between batches {spread:.2g}, {report.share:.0%} there, on the CPU {dict(report.fell_back)}, goldens "
        f"{verified.worst_error:.2g}, at load {report.probe_error:.2g}"
    )
    assert report.provider == "cuda"
    assert set(report.placement) <= {PROVIDERS["cuda"].ep, "CPUExecutionProvider"}
    assert report.placement[PROVIDERS["cuda"].ep]
    assert set(report.fell_back) <= SHAPING | ({"GroupQueryAttention"} if partly else set())
    assert facts[0] <= tolerance * max(1.0, float(np.abs(of.reference).max()))
    assert facts[1] >= (LEAST_COSINE if precision == "auto" else 0.99999)
    assert spread <= between
    assert np.abs(repeated - vectors[3]).max() <= between
    assert verified.passed


def _facts(of: Made, vectors: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
    """The largest difference from PyTorch's vectors, and the least cosine."""
    assert vectors.dtype == np.float32
    assert vectors.shape == of.reference.shape
    assert np.isfinite(vectors).all()
    wide, reference = vectors.astype(np.float64), of.reference.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (wide * reference).sum(1)[lengths > 0] / lengths[lengths > 0]
    return float(np.abs(wide - reference).max()), float(cosines.min())


@pytest.mark.parametrize("case", CASES)
def test_float16(case: str) -> None:
    check(case, FLOATS, "auto", FLOAT16, BATCH16)


@pytest.mark.parametrize("case", CASES)
def test_the_cpus_graph_in_float32(case: str) -> None:
    check(case, FLOATS, "fp32", FLOAT32, BATCH32)


@pytest.mark.parametrize("case", [case for case in CASES if has_portable(case) and case == CASES[case][0]])
def test_the_portable_graph_in_float32(case: str) -> None:
    check(case, PORTABLE, "fp32", FLOAT32, BATCH32)


def test_the_comparison_can_fail() -> None:
    """Of other weights, of another pooling, and of another text."""
    right = made("bert, distilbert", FLOATS)
    with on_cuda("bert, distilbert") as encoder:
        vectors = encode(encoder, right.texts)
    assert _facts(right, vectors)[0] <= FLOAT16
    assert _facts(right, np.roll(vectors, 1, axis=0))[0] > FAR
    for wrong in ("bert, cls", "bert, max", "bert, another seed"):
        with on_cuda(wrong) as encoder:
            difference, cosine = _facts(right, encode(encoder, right.texts))
        assert difference > FAR, wrong
        assert cosine < LEAST_COSINE, wrong


def test_truncation_and_empty_text() -> None:
    with on_cuda("bert, distilbert") as encoder:
        long = "model " * 200
        vectors = encode(encoder, [long, long + "attention " * 50, "", " "])
        assert np.abs(vectors[0] - vectors[1]).max() <= BATCH16
        assert np.abs(vectors[2] - vectors[3]).max() <= BATCH16
        assert np.abs(vectors[0] - vectors[2]).max() > FAR
        assert encode(encoder, []).shape == (0, vectors.shape[1])


def test_many_batches_in_flight_and_many_threads() -> None:
    """Outputs are bound to the device's memory; runs side by side must not share any of it."""
    from concurrent.futures import ThreadPoolExecutor

    of = made("bert, heads of 64", FLOATS)
    texts = of.texts * 300
    with on_cuda("bert, heads of 64") as encoder:
        vectors = encode(encoder, texts)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: encode(encoder, of.texts), range(24)))
    assert np.abs(vectors.reshape(300, *of.reference.shape) - of.reference).max() <= FLOAT16
    for each in found:
        assert np.abs(each - of.reference).max() <= FLOAT16


def test_hidden_states() -> None:
    of = made("bert, distilbert", FLOATS)
    cpu = sestina.load(of.bundle, provider="cpu", precision="fp32")
    with cpu, on_cuda("bert, distilbert", FLOATS, "fp32") as encoder:
        for here, there in zip(
            *(each.hidden_states(of.texts, on_truncate="ignore") for each in (encoder, cpu)), strict=True
        ):
            assert here.shape == there.shape
            assert np.abs(here - there).max() <= 2e-5


def minilm() -> Path:
    """MiniLM's bundle for CUDA, with texts and vectors beside it; made by hand, as SESTINA_CUDA_MINILM says."""
    folder = os.environ.get("SESTINA_CUDA_MINILM")
    if not folder:
        pytest.skip("SESTINA_CUDA_MINILM names no folder")
    return Path(folder)


def test_minilm() -> None:
    import json

    folder = minilm()
    of = Made(
        folder / "bundle.sestina",
        json.loads((folder / "texts.json").read_text("utf-8")),
        np.load(folder / "reference.npy"),
    )
    with sestina.load(of.bundle, provider="cuda", strict=True) as encoder:
        vectors, verified, report = encode(encoder, of.texts), encoder.verify(), encoder.report()
        alone = np.stack([encode(encoder, text) for text in of.texts])
    difference, cosine = _facts(of, vectors)
    tell(
        f"MiniLM: {report.variant} on {report.device}: difference {difference:.2g}, cosine {cosine:.7f}, between "
        f"batches {np.abs(vectors - alone).max():.2g}, {report.share:.0%} there, on the CPU {dict(report.fell_back)}"
    )
    assert difference <= FLOAT16
    assert cosine >= LEAST_COSINE
    assert np.abs(vectors - alone).max() <= BATCH16
    assert verified.passed
