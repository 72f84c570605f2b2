"""The comparison of two processors can fail: on vectors, goldens, tokens, batches and exit codes."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_SPEC = importlib.util.spec_from_file_location("check_arm", Path(__file__).with_name("check_arm.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
check = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(check)

VECTORS = np.random.default_rng(0).normal(size=(len(check.TEXTS), 16)).astype(np.float32)


def made(vectors: np.ndarray = VECTORS, **changes: Any) -> dict[str, Any]:
    good = {
        "machine": "here", "precision": "int8", "fast_int8": True, "goldens": 3, "failed": [], "worst_error": 0.01,
        "tolerance": 0.02, "alone_is_batched": True, "tokens": check.TOKENS, "codes": {"verify --json": 0},
        "vectors": base64.b64encode(vectors.tobytes()).decode(),
    }  # fmt: skip
    return {**good, **changes}


def test_two_that_agree() -> None:
    assert check.compare(made(), made()) == []
    largest, cosine = check.difference(made(), made())
    assert largest == 0
    assert cosine == pytest.approx(1)


@pytest.mark.parametrize(
    "wrong",
    [
        made(failed=["accents"]),
        made(goldens=0),
        made(worst_error=0.03),
        made(worst_error=float("nan")),
        made(tokens="the | transformer"),
        made(alone_is_batched=False),
        made(fast_int8=False),
        made(precision="fp32"),
        made(codes={"verify --json": 1}),
        made(vectors=VECTORS[::-1].copy()),
        made(vectors=VECTORS + np.float32(0.05)),
        made(vectors=VECTORS * np.float32("nan")),
        made(vectors=np.zeros_like(VECTORS)),
    ],
)
def test_each_fault_is_found(wrong: dict[str, Any]) -> None:
    assert check.compare(made(), wrong) != []
    assert check.compare(made(), made()) == []
