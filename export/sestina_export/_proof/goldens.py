"""Goldens: reference ids and PyTorch's vectors for texts of every kind."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from sestina._bundle.manifest import GOLDEN, GOLDEN_VECTORS
from sestina_export._proof.golden_texts import golden_texts
from sestina_model.checkpoint import Checkpoint

__all__ = ["write_goldens"]

# Texts that are encoded with a prompt too: with the first, and with each other.
_OF_EACH = ("sentence",)
_OF_THE_FIRST = ("empty", "sentence", "emoji", "far-over-limit")


def write_goldens(checkpoint: Checkpoint, folder: Path) -> None:
    """Write golden.json (name, text, ids, and of a text with a prompt that and its tokens) and golden.npy
    ((n, d) float32, in the same order).

    Ids come from the reference tokenizer, vectors from PyTorch in float32, each text alone and unpadded.
    """
    head = checkpoint.model.head
    texts = golden_texts(checkpoint.tokenizer, head.max_tokens)
    goldens: list[dict[str, Any]] = [{"name": name, "text": text} for name, text in texts]
    vectors = [checkpoint.encode([text for _, text in texts])]
    for number, (prompt_name, prompt) in enumerate(
        (key, value) for key, value in head.prompts.items() if value
    ):
        chosen = [pair for pair in texts if pair[0] in (_OF_THE_FIRST if number == 0 else _OF_EACH)]
        goldens += [
            {
                "name": f"{prompt_name}: {name}",
                "text": text,
                "prompt": prompt,
                "pooled_from": checkpoint.pooled_from(prompt),
            }
            for name, text in chosen
        ]
        vectors.append(checkpoint.encode([text for _, text in chosen], prompt))
    rows = checkpoint.tokenize([golden.get("prompt", "") + golden["text"] for golden in goldens])
    lines = ",\n".join(
        "    " + json.dumps({**golden, "ids": ids}, ensure_ascii=True)
        for golden, ids in zip(goldens, rows, strict=True)
    )
    (folder / GOLDEN).write_text(f'{{\n  "goldens": [\n{lines}\n  ]\n}}\n', encoding="utf-8", newline="\n")
    stream = io.BytesIO()
    np.save(stream, np.concatenate(vectors), allow_pickle=False)
    (folder / GOLDEN_VECTORS).write_bytes(stream.getvalue())
