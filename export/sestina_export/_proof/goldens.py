"""Goldens: reference ids and PyTorch's vectors for texts of every kind."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from sestina._bundle.manifest import GOLDEN, GOLDEN_VECTORS
from sestina_export._proof.golden_texts import golden_texts
from sestina_model.checkpoint import Checkpoint

__all__ = ["write_goldens"]


def write_goldens(checkpoint: Checkpoint, folder: Path) -> None:
    """Write golden.json (name, text, ids) and golden.npy ((n, d) float32, in the same order).

    Ids come from the reference tokenizer, vectors from PyTorch in float32, each text alone and unpadded.
    """
    named = golden_texts(checkpoint.tokenizer, checkpoint.model.head.max_tokens)
    texts = [text for _, text in named]
    goldens = [
        {"name": name, "text": text, "ids": ids}
        for (name, text), ids in zip(named, checkpoint.tokenize(texts), strict=True)
    ]
    lines = ",\n".join("    " + json.dumps(golden, ensure_ascii=True) for golden in goldens)
    (folder / GOLDEN).write_text(f'{{\n  "goldens": [\n{lines}\n  ]\n}}\n', encoding="utf-8", newline="\n")
    vectors = io.BytesIO()
    np.save(vectors, checkpoint.encode(texts), allow_pickle=False)
    (folder / GOLDEN_VECTORS).write_bytes(vectors.getvalue())
