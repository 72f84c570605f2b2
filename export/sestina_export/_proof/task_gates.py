"""The gates of quantised variants whose result is logits: what is asked of them is an order, or a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sestina._bundle.graph import Graph
from sestina._logits import activated
from sestina._spans import spans
from sestina._text.words import Piece
from sestina_export._errors import ExportError, QualityError
from sestina_export._proof.late_scores import late_scores
from sestina_export._proof.parity import open_graph, run_texts
from sestina_export._proof.quality import QualityGate, held, measure_quality
from sestina_model.checkpoint import Checkpoint
from sestina_model.evaluation.metrics import spearman
from sestina_model.inputs import Text

__all__ = [
    *("DOCUMENTS", "QUERIES", "AnyGate", "LabelGate", "RankGate", "SpanGate"),
    *("gate_of", "measure_task", "rank_figures"),
]

QUERIES, DOCUMENTS, _TOP = 8, 24, 5  # of what is held back: each query with each document


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Bounds of figures from -1 to 1."""

    def __post_init__(self) -> None:
        for name, bound in asdict(self).items():
            number = isinstance(bound, int | float) and not isinstance(bound, bool)
            if not number or not -1 <= bound <= 1:
                raise ExportError(f"the gate's {name} is {bound!r}; it must be a number from -1 to 1")


@dataclass(frozen=True, slots=True)
class RankGate(_Bounds):
    """How alike a quantised reranker, sparse encoder or model of late interaction must order documents.

    Attributes:
        rank_correlation: Least Spearman correlation with PyTorch's scores, on average over the queries.
        top_overlap: Least share of PyTorch's five best documents that are among its own five best.

    Raises:
        ExportError: Where a bound is not a number from -1 to 1.
    """

    rank_correlation: float = 0.95
    top_overlap: float = 0.8


@dataclass(frozen=True, slots=True)
class LabelGate(_Bounds):
    """How alike a quantised classifier must label texts held back.

    Attributes:
        agreement: Least share of labels that are decided as PyTorch decides them: the most probable one, or
            where several may be right each by itself, from one half on.
        probability_error: Largest mean difference of a probability.

    Raises:
        ExportError: Where a bound is not a number from -1 to 1.
    """

    agreement: float = 0.95
    probability_error: float = 0.05


@dataclass(frozen=True, slots=True)
class SpanGate(_Bounds):
    """How alike a quantised tagger must find spans in texts held back.

    Attributes:
        f1: Least F1 of its spans against PyTorch's, of the same label and at the same place.
        probability_error: Largest mean difference of a token's probabilities.

    Raises:
        ExportError: Where a bound is not a number from -1 to 1.
    """

    f1: float = 0.95
    probability_error: float = 0.05


AnyGate = QualityGate | RankGate | LabelGate | SpanGate
_GATES: dict[str, tuple[type[AnyGate], str]] = {
    "embedding": (QualityGate, "cosine"),
    "rerank": (RankGate, "ranks"),
    "multi-vector": (RankGate, "ranks"),
    "classify": (LabelGate, "labels"),
    "tag": (SpanGate, "spans"),
    "sparse": (RankGate, "ranks"),
}


def gate_of(gate: AnyGate | None, usual: QualityGate, task: str) -> AnyGate:
    """The gate of a variant: the one that is asked for, else the usual one of the task.

    Raises:
        ExportError: Where it is that of another task.
    """
    kind, _ = _GATES[task]
    if gate is None:
        return usual if kind is QualityGate else kind()
    if not isinstance(gate, kind):
        raise ExportError(
            f"gate is a {type(gate).__name__}; a bundle of the task {task} is held to a {kind.__name__}"
        )
    return gate


def measure_task(
    graph: bytes | Graph,
    checkpoint: Checkpoint,
    texts: Sequence[Text],
    gate: AnyGate,
    where: str,
    buckets: Sequence[int] = (),
) -> dict[str, Any]:
    """Run what is held back through the graph and PyTorch, and hold the figures of the task to the gate.

    Returns: the figures under their name, as the manifest states them.

    Raises:
        MissedGateError: Naming the figure, its value and its bound.
        QualityError: Where there was nothing to measure.
    """
    if isinstance(gate, QualityGate):
        found = measure_quality(graph, checkpoint, cast("Sequence[str]", texts), gate, where, buckets)
        return {"cosine": found}
    if isinstance(gate, RankGate):
        here, there = _ranked(graph, checkpoint, texts, buckets)
        counts = {"queries": here.shape[0], "documents": here.shape[1]}
        figures = rank_figures(here, there)
    elif isinstance(gate, SpanGate):
        here, there = _both(graph, checkpoint, texts, buckets)
        counts = {"texts": len(texts)}
        figures = _span_figures(here, there, checkpoint, texts)
    else:
        here, there = _both(graph, checkpoint, texts, buckets)
        counts = {"texts": len(texts)}
        figures = _label_figures(here, there, checkpoint.model.head.activation)
    rounded = held(figures, asdict(gate), counts, where)
    return {_GATES[checkpoint.model.head.task][1]: {**counts, **rounded, "gate": asdict(gate)}}


def _both(
    graph: bytes | Graph, checkpoint: Checkpoint, texts: Sequence[Text], buckets: Sequence[int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Logits of the graph and of PyTorch, (n, labels)."""
    if not texts:
        raise QualityError("nothing was held back to measure on; give more calibration texts")
    here = run_texts(open_graph(graph), checkpoint.rows(texts), checkpoint.dimensions, buckets)
    return here, checkpoint.encode(texts)


def _ranked(
    graph: bytes | Graph, checkpoint: Checkpoint, texts: Sequence[Text], buckets: Sequence[int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scores of the graph and of PyTorch, (queries, documents, labels)."""
    head = checkpoint.model.head
    if head.late_interaction is not None:
        here, there = late_scores(graph, checkpoint, texts, (QUERIES, DOCUMENTS), buckets)
        return here[..., None], there[..., None]
    if head.sparse:
        here, there = _both(graph, checkpoint, texts, buckets)
        return _products(here), _products(there)
    queries = list(dict.fromkeys(text[0] for text in texts))[:QUERIES]
    documents = list(dict.fromkeys(text[1] for text in texts))[:DOCUMENTS]
    shape = (len(queries), len(documents), checkpoint.dimensions)
    crossed: list[Text] = [(query, document) for query in queries for document in documents]
    here, there = _both(graph, checkpoint, crossed, buckets)
    return here.reshape(shape), there.reshape(shape)


def _products(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The first texts as queries to the others: of (n, d) the dot products, (queries, documents, 1)."""
    queries = max(1, min(QUERIES, len(weights) // 4))
    documents = weights[queries : queries + DOCUMENTS]
    return (weights[:queries] @ documents.T)[:, :, None]


def rank_figures(here: npt.NDArray[np.float32], there: npt.NDArray[np.float32]) -> dict[str, float]:
    """Of (queries, documents, labels): each label of each query orders the documents."""
    correlations, overlaps = [], []
    for own, wanted in zip(here, there, strict=True):
        for label in range(own.shape[1]):
            a, b = own[:, label], wanted[:, label]
            correlations.append(spearman(a, b))
            top = [set(np.argsort(-each, kind="stable")[:_TOP].tolist()) for each in (a, b)]
            overlaps.append(len(top[0] & top[1]) / max(1, len(top[1])))
    return {"rank_correlation": float(np.mean(correlations)), "top_overlap": float(np.mean(overlaps))}


def _label_figures(
    here: npt.NDArray[np.float32], there: npt.NDArray[np.float32], activation: str
) -> dict[str, float]:
    own, wanted = activated(here, activation), activated(there, activation)
    if activation == "softmax":
        agreement = float((own.argmax(1) == wanted.argmax(1)).mean())
    else:
        agreement = float(((own >= 0.5) == (wanted >= 0.5)).mean())
    return {"agreement": agreement, "probability_error": float(np.abs(own - wanted).mean())}


def _span_figures(
    here: npt.NDArray[np.float32],
    there: npt.NDArray[np.float32],
    checkpoint: Checkpoint,
    texts: Sequence[Text],
) -> dict[str, float]:
    """Of (tokens of all texts, labels): spans of single tokens, by text."""
    head = checkpoint.model.head
    own, wanted = (activated(each, head.activation) for each in (here, there))
    ends = np.cumsum([len(ids) for ids in checkpoint.tokenize(texts)])[:-1]
    same = of_ours = of_theirs = 0
    for mine, theirs in zip(np.split(own, ends), np.split(wanted, ends), strict=True):
        pieces = [Piece(at, at, at + 1, False) for at in range(len(mine))]
        found, sought = (
            {(each.label, each.start, each.end) for each in spans(pieces, rows, head.labels, "simple")}
            for rows in (mine, theirs)
        )
        same, of_ours, of_theirs = same + len(found & sought), of_ours + len(found), of_theirs + len(sought)
    total = of_ours + of_theirs
    f1 = 2 * same / total if total else 1.0  # nothing was found, and nothing sought
    return {"f1": f1, "probability_error": float(np.abs(own - wanted).mean())}
