"""The goldens of a bundle, encoded here and held against what PyTorch made of them."""

from __future__ import annotations

import numpy as np

from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import Verification, compare, read_goldens
from sestina._schedule.engine import Engine
from sestina._text.prompt import Prompt
from sestina._text.truncation import TruncationWatch


def verify(engine: Engine, bundle: Bundle, tolerance: float) -> Verification:
    """Encode the goldens and compare. Errors are those of `Encoder.verify`."""
    engine.sessions()  # refuses before all files are read
    bundle.check(None)
    goldens = read_goldens(bundle)
    contract = bundle.manifest.contract
    watch = TruncationWatch("ignore", contract.max_tokens)
    ids: list[list[int]] = [[]] * len(goldens)
    vectors = np.zeros((len(goldens), contract.dimensions), dtype=np.float32)
    for text in dict.fromkeys(golden.prompt for golden in goldens):
        prompt = Prompt(text, engine.prompt_tokens(text) if text and not contract.include_prompt else 0)
        places = [at for at, golden in enumerate(goldens) if golden.prompt == text]
        texts = [goldens[at].text for at in places]
        for at, row in zip(places, engine.ids(texts, 0, watch, prompt), strict=True):
            ids[at] = row
        vectors[places] = np.concatenate(list(engine.vectors(texts, lambda: watch, lambda _: None, prompt)))
    return compare(goldens, ids, vectors, tolerance)
