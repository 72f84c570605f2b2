"""The goldens of a bundle, encoded here and held against what PyTorch made of them."""

from __future__ import annotations

import numpy as np

from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import Verification, compare, read_goldens
from sestina._schedule.engine import Engine
from sestina._text.truncation import TruncationWatch


def verify(engine: Engine, bundle: Bundle, tolerance: float) -> Verification:
    """Encode the goldens and compare. Errors are those of `Encoder.verify`."""
    engine.sessions()  # refuses before all files are read
    bundle.check(None)
    goldens = read_goldens(bundle)
    texts = [golden.text for golden in goldens]
    watch = TruncationWatch("ignore", bundle.manifest.contract.max_tokens)
    ids = engine.ids(texts, 0, watch)
    vectors = np.concatenate(list(engine.vectors(texts, lambda: watch, lambda _: None)))
    return compare(goldens, ids, vectors, tolerance)
