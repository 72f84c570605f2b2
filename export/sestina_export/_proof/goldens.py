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
from sestina._bundle.results import GOLDENS, MOST_ROWS, MULTI_VECTOR, SPARSE
from sestina_export._graph.interface import attends_apart
from sestina_export._proof.golden_texts import golden_texts
from sestina_export._proof.token_results import from_torch, results_of
from sestina_model.checkpoint import Checkpoint
from sestina_model.inputs import Query, Text, read_roles

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
    if head.late_interaction is not None:
        _write_roles(checkpoint, folder)
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
    if head.token_outputs is not None:
        _add_results(checkpoint, listed, folder)
    _write(listed, vectors, folder)


def _add_results(checkpoint: Checkpoint, goldens: Sequence[dict[str, Any]], folder: Path) -> None:
    """Each golden's `indices`, whose weights are in a file of their own, and how many `rows` of the file of
    vectors are its own: those of long texts would be larger than all the rest, and are left out.
    """
    names = results_of(checkpoint).names
    kept: dict[str, list[Any]] = {name: [] for name in names}
    for golden in goldens:
        found = from_torch(checkpoint, [golden["text"]], golden.get("prompt", ""))
        if SPARSE in names:
            indices, weights = found[SPARSE][0]
            golden["indices"] = indices.tolist()
            kept[SPARSE].append(weights)
        if MULTI_VECTOR in names and len(golden["ids"]) <= MOST_ROWS:
            matrix = found[MULTI_VECTOR][0]
            golden["rows"] = len(matrix)
            kept[MULTI_VECTOR].append(matrix)
    for name, parts in kept.items():
        _save(parts, folder / GOLDENS[name])


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


def _write_roles(checkpoint: Checkpoint, folder: Path) -> None:
    """Each golden text as a document and as a query, up to the limit of each; golden.npy has a row an id."""
    head = checkpoint.model.head
    assert head.late_interaction is not None  # noqa: S101  callers look
    told = attends_apart(head)
    goldens: list[dict[str, Any]] = []
    vectors = []
    roles = (("document", head.late_interaction.document, str), ("query", head.late_interaction.query, Query))
    for name, role, kind in roles:
        named = golden_texts(checkpoint.tokenizer, role.max_tokens)
        texts: list[Text] = [kind(text) for _, text in named]
        for (title, text), row in zip(named, read_roles(checkpoint.tokenizer, texts, head), strict=True):
            apart = {"attended": row.attended} if told and row.attended < len(row.ids) else {}
            goldens.append({"name": f"{name}: {title}", "text": text, "role": name, **apart, "ids": row.ids})
        vectors.append(checkpoint.encode(texts))
    _write(goldens, vectors, folder)


def _write(
    goldens: Sequence[Mapping[str, Any]], vectors: Sequence[npt.NDArray[np.float32]], folder: Path
) -> None:
    lines = ",\n".join("    " + json.dumps(golden, ensure_ascii=True) for golden in goldens)
    (folder / GOLDEN).write_text(f'{{\n  "goldens": [\n{lines}\n  ]\n}}\n', encoding="utf-8", newline="\n")
    _save(vectors, folder / GOLDEN_VECTORS)


def _save(parts: Sequence[npt.NDArray[np.float32]], path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.concatenate(parts), allow_pickle=False)
    path.write_bytes(stream.getvalue())
