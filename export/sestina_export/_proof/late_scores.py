"""How well documents answer queries by vectors of their tokens: of a graph, and of PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sestina._bundle.graph import Graph
from sestina._maxsim import maxsim_scores
from sestina_export._errors import QualityError
from sestina_export._proof.parity import open_graph, run_texts
from sestina_model.checkpoint import Checkpoint
from sestina_model.inputs import Query, Text, read_roles

__all__ = ["late_scores"]

Scores = npt.NDArray[np.float32]


def late_scores(
    graph: bytes | Graph,
    checkpoint: Checkpoint,
    texts: Sequence[Text],
    most: tuple[int, int],
    buckets: Sequence[int],
) -> tuple[Scores, Scores]:
    """Each query with each document, (queries, documents) of the graph and of PyTorch.

    Args:
        graph: The graph.
        checkpoint: The reference.
        texts: Queries, and documents.
        most: How many of either are scored.
        buckets: Of a graph with a mask.

    Raises:
        QualityError: Where there are none of either.
    """
    late = checkpoint.model.head.late_interaction
    assert late is not None  # noqa: S101  callers look
    queries: list[Text] = []
    queries += [text for text in texts if isinstance(text, Query)][: most[0]]
    documents: list[Text] = [*(text for text in texts if not isinstance(text, Query))][: most[1]]
    if not queries or not documents:
        raise QualityError("nothing was held back to measure on; give more calibration pairs")
    rows = read_roles(checkpoint.tokenizer, [*queries, *documents], checkpoint.model.head)
    ids, starts = [row.ids for row in rows], [row.attended for row in rows]
    found = run_texts(open_graph(graph), ids, checkpoint.dimensions, buckets, starts)
    scored = []
    for vectors in (found, checkpoint.encode([*queries, *documents])):
        matrices = np.split(vectors, np.cumsum([len(row) for row in ids])[:-1])
        roles = [late.query] * len(queries) + [late.document] * len(documents)
        kept = [each[~np.isin(row, role.skip)] for each, row, role in zip(matrices, ids, roles, strict=True)]
        mean = late.similarity == "meanmaxsim"
        scored.append(maxsim_scores(kept[: len(queries)], kept[len(queries) :], mean=mean))
    return scored[0], scored[1]
