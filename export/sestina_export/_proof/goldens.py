"""Goldens: reference ids and PyTorch's vectors for texts of every kind."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina._bundle.manifest import GOLDEN, GOLDEN_VECTORS
from sestina_export._proof.golden_texts import golden_texts
from sestina_model.checkpoint import Checkpoint
from sestina_model.inputs import Text

__all__ = ["write_goldens"]

# Texts that are encoded with a prompt too: with the first, and with each other.
_OF_EACH = ("sentence",)
# Of pairs: the query that every text is a document to, and the texts that are queries too.
_QUERY, _ASKED = "question", ("one-letter", "emoji", "chinese", "repeated", "far-over-limit")
_OF_THE_FIRST = ("empty", "sentence", "emoji", "far-over-limit")


def write_goldens(checkpoint: Checkpoint, folder: Path) -> None:
    """Write golden.json (name, text, ids, and of a text with a prompt that and its tokens) and golden.npy
    ((n, d) float32, in the same order). Of sparse golden.json has the indices of each text's weights, and
    golden.npy the weights alone, one text after the other: (m,) float32.

    Ids come from the reference tokenizer, vectors from PyTorch in float32, each text alone and unpadded.
    """
    head = checkpoint.model.head
    if head.pairs:
        _write_pairs(checkpoint, folder)
        return
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
    listed = [{**golden, "ids": ids} for golden, ids in zip(goldens, rows, strict=True)]
    if head.sparse:
        found = np.concatenate(vectors)
        places = [np.flatnonzero(row) for row in found]
        listed = [{**golden, "indices": at.tolist()} for golden, at in zip(listed, places, strict=True)]
        vectors = [found[np.nonzero(found)]]
    _write(listed, vectors, folder)


def _write_pairs(checkpoint: Checkpoint, folder: Path) -> None:
    """Each golden text as a document to one query, and some as queries: both cut where both are too long."""
    texts = golden_texts(checkpoint.tokenizer, checkpoint.model.head.max_tokens)
    query = next(text for name, text in texts if name == _QUERY)
    pairs: list[tuple[str, Text]] = [(name, (query, text)) for name, text in texts]
    last = texts[-1][1]
    asked = [(name, text) for name, text in texts if name in _ASKED]
    pairs += [(f"{name}, asked", (text, last if name == _ASKED[-1] else query)) for name, text in asked]
    encodings = checkpoint.encodings([pair for _, pair in pairs])
    told = checkpoint.model.encoder.config.n_token_types is not None
    goldens = [
        {
            "name": name,
            "text": pair[0],
            "pair": pair[1],
            **({"types": encoding.type_ids} if told else {}),
            "ids": encoding.ids,
        }
        for (name, pair), encoding in zip(pairs, encodings, strict=True)
    ]
    _write(goldens, [checkpoint.encode([pair for _, pair in pairs])], folder)


def _write(
    goldens: Sequence[Mapping[str, Any]], vectors: Sequence[npt.NDArray[np.float32]], folder: Path
) -> None:
    lines = ",\n".join("    " + json.dumps(golden, ensure_ascii=True) for golden in goldens)
    (folder / GOLDEN).write_text(f'{{\n  "goldens": [\n{lines}\n  ]\n}}\n', encoding="utf-8", newline="\n")
    stream = io.BytesIO()
    np.save(stream, np.concatenate(vectors), allow_pickle=False)
    (folder / GOLDEN_VECTORS).write_bytes(stream.getvalue())
