"""The gates of what a quantised graph gives of tokens beside vectors: the order that it puts documents in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina._bundle.graph import Graph
from sestina._bundle.results import SPARSE
from sestina._maxsim import maxsim_scores
from sestina._sparse_rows import gathered, products
from sestina_export._errors import QualityError
from sestina_export._proof.parity import open_graph
from sestina_export._proof.quality import held
from sestina_export._proof.task_gates import DOCUMENTS, QUERIES, RankGate, rank_figures
from sestina_export._proof.token_results import from_graph, from_torch, results_of
from sestina_model.checkpoint import Checkpoint

__all__ = ["measure_results"]


def measure_results(
    graph: bytes | Graph,
    checkpoint: Checkpoint,
    texts: Sequence[str],
    where: str,
    buckets: Sequence[int] = (),
) -> dict[str, Any]:
    """Run what is held back through the graph and PyTorch: the first texts are queries to the others.

    Returns: figures of each, by name, as the manifest states them.

    Raises:
        MissedGateError: Naming the figure, its value and its bound.
        QualityError: Where there was nothing to measure.
    """
    if len(texts) < 2:
        raise QualityError(f"{where}: too little was held back to measure on; give more calibration texts")
    outputs, gate = results_of(checkpoint), RankGate()
    width = checkpoint.model.encoder.config.vocab_size
    queries = max(1, min(QUERIES, len(texts) // 4))
    texts = [*texts[: queries + DOCUMENTS]]
    here = from_graph(open_graph(graph), checkpoint.tokenize(texts), outputs, buckets)
    there = from_torch(checkpoint, texts)
    found = {}
    for name in outputs.names:
        mine, theirs = (_scores(name, each[name], queries, width)[:, :, None] for each in (here, there))
        counts = {"queries": mine.shape[0], "documents": mine.shape[1]}
        figures = held(rank_figures(mine, theirs), asdict(gate), counts, f"{where}, {name}")
        found[name] = {**counts, **figures, "gate": asdict(gate)}
    return found


def _scores(name: str, found: Sequence[Any], queries: int, width: int) -> npt.NDArray[np.float32]:
    if name == SPARSE:
        return products(gathered(found[:queries], width), gathered(found[queries:], width))
    return maxsim_scores(found[:queries], found[queries:], mean=True)
