"""The goldens of a bundle, encoded here and held against what PyTorch made of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import Golden, Verification, compare, distance, read_goldens
from sestina._bundle.manifest import Manifest
from sestina._bundle.results import Results
from sestina._process.native import opening
from sestina._schedule.engine import Engine
from sestina._schedule.pair_engine import PairEngine
from sestina._text.prompt import Prompt
from sestina._text.truncation import TruncationWatch


def verify(engine: Engine, bundle: Bundle, tolerance: float) -> Verification:
    """Encode the goldens and compare. Errors are those of `Encoder.verify`."""
    engine.sessions()  # refuses before all files are read
    bundle.check(None)
    goldens = read_goldens(bundle)
    if bundle.manifest.task == "rerank":
        return _of_pairs(engine, goldens, tolerance)
    contract = bundle.manifest.contract
    if contract.results is not None:
        return _of_results(engine, bundle, contract.results, goldens, tolerance)
    if contract.late_interaction is not None:
        return _of_roles(engine, bundle.manifest, goldens, tolerance)
    watch = TruncationWatch("ignore", contract.max_tokens)
    if bundle.manifest.by_token:
        tokens = engine.ids([golden.text for golden in goldens], 0, watch)
        found = engine.hidden_states(tokens, contract.dimensions, bundle.manifest.result)
        return compare(goldens, tokens, found, tolerance)
    ids: list[list[int]] = [[]] * len(goldens)
    vectors = np.zeros((len(goldens), contract.dimensions), dtype=np.float32)
    for places, texts, prompt in _by_prompt(engine, goldens, include_prompt=contract.include_prompt):
        for at, own in zip(places, engine.ids(texts, 0, watch, prompt), strict=True):
            ids[at] = own
        rows: Any = np.concatenate(list(engine.vectors(texts, lambda: watch, lambda _: None, prompt)))
        if bundle.manifest.task != "sparse":
            vectors[places] = rows
            continue
        for at, (indices, weights) in zip(places, rows, strict=True):
            vectors[at, indices] = weights
    return compare(goldens, ids, vectors, tolerance)


def _by_prompt(
    engine: Engine, goldens: list[Golden], *, include_prompt: bool
) -> Iterator[tuple[list[int], list[str], Prompt]]:
    """Where the goldens of each prompt stand, their texts, and the prompt."""
    for text in dict.fromkeys(golden.prompt for golden in goldens):
        prompt = Prompt(text, engine.prompt_tokens(text) if text and not include_prompt else 0)
        places = [at for at, golden in enumerate(goldens) if golden.prompt == text]
        yield places, [goldens[at].text for at in places], prompt


def _of_results(
    engine: Engine, bundle: Bundle, results: Results, goldens: list[Golden], tolerance: float
) -> Verification:
    """Vectors as they are made alone, and all that there is as it is made in one pass."""
    with opening:
        from sestina._bundle.result_goldens import read_result_goldens, result_distance
        from sestina._schedule.several_engine import SeveralEngine

    assert isinstance(engine, SeveralEngine)  # noqa: S101  that of such a bundle is
    wanted, contract = read_result_goldens(bundle, results), bundle.manifest.contract
    watch = TruncationWatch("ignore", contract.max_tokens)
    ids: list[list[int]] = [[]] * len(goldens)
    vectors: list[Any] = [None] * len(goldens)
    errors = [0.0] * len(goldens)
    for places, texts, prompt in _by_prompt(engine, goldens, include_prompt=contract.include_prompt):
        # Whatever it was loaded for: an engine for sparse vectors has others of that name.
        alone = np.concatenate(list(Engine.vectors(engine, texts, lambda: watch, lambda _: None, prompt)))
        asked = engine.several(results.names, texts, lambda: watch, lambda _: None, prompt)
        every, own = np.concatenate(list(asked)), engine.ids(texts, 0, watch, prompt)
        for at, read, vector, found in zip(places, own, alone, every, strict=True):
            ids[at], vectors[at] = read, vector
            named = dict(zip(results.names, found, strict=True))
            errors[at] = float(np.max([distance(found[0], goldens[at]), result_distance(named, wanted[at])]))
    return compare(goldens, ids, vectors, tolerance, errors)


def _of_roles(engine: Engine, manifest: Manifest, goldens: list[Golden], tolerance: float) -> Verification:
    with opening:
        from sestina._schedule.roles import Row, matrices, read

    contract = manifest.contract
    late = contract.late_interaction
    assert late is not None  # noqa: S101  callers look
    rows: list[Row] = [Row([])] * len(goldens)
    found = [np.zeros((0, contract.dimensions), dtype=np.float32) for _ in goldens]
    for name, role in (("query", late.query), ("document", late.document)):
        places = [at for at, golden in enumerate(goldens) if golden.role == name]
        watch = TruncationWatch("ignore", role.max_tokens)
        texts = [goldens[at].text for at in places]
        own = read(engine, texts, 0, watch, role, contract.prompts.get(name, ""))
        for at, row in zip(places, own, strict=True):
            rows[at] = row
    for at, vectors in matrices(engine, rows, late.query._replace(skip=()), manifest.result):
        found[at] = vectors
    told = [row.attended == golden.attended for row, golden in zip(rows, goldens, strict=True)]
    ids = [row.ids if same else [] for row, same in zip(rows, told, strict=True)]
    return compare(goldens, ids, found, tolerance)


def _of_pairs(engine: Engine, goldens: list[Golden], tolerance: float) -> Verification:
    assert isinstance(engine, PairEngine)  # noqa: S101  that of such a bundle is
    watch = TruncationWatch("ignore", 1)
    pairs = [(golden.text, golden.pair or "") for golden in goldens]
    rows = engine.pair_rows(pairs, 0, watch)
    vectors = np.concatenate(list(engine.pair_vectors(pairs, lambda: watch, lambda _: None)))
    return compare(goldens, rows, vectors, tolerance)
