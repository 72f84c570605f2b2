"""The gate of a quantised variant: how far its vectors may be from PyTorch's, on text held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina._bundle.graph import Graph
from sestina_export._errors import ExportError, QualityError
from sestina_export._proof.parity import figure, open_graph, run_texts
from sestina_model.checkpoint import Checkpoint

__all__ = ["MissedGateError", "QualityGate", "cosines", "golden_tolerance", "held", "measure_quality"]

_LEAST_TOLERANCE = 1e-3


class MissedGateError(QualityError):
    """A cosine is below its bound: what is nearer to PyTorch may pass."""


@dataclass(frozen=True, slots=True)
class QualityGate:
    """Least cosines to PyTorch's float32 vectors that a quantised variant must have.

    Attributes:
        mean: Over all texts held back from calibration.
        first_percentile: Of them.
        worst: Of them.

    Raises:
        ExportError: Where a bound is not a cosine.
    """

    mean: float = 0.99
    first_percentile: float = 0.98
    worst: float = 0.95

    def __post_init__(self) -> None:
        for name, bound in asdict(self).items():
            number = isinstance(bound, int | float) and not isinstance(bound, bool)
            if not number or not -1 <= bound <= 1:
                raise ExportError(f"the gate's {name} is {bound!r}; it must be a cosine from -1 to 1")


def cosines(vectors: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Cosine of each row with the same row of the reference, (n, d) and (n, d) -> (n,), in float64.

    Two zero rows agree: 1. A row that is not finite gives NaN.
    """
    left, right = vectors.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    dots = (left * right).sum(1)
    agree = (norms == 0) & (np.abs(left - right).max(1) == 0)
    result: npt.NDArray[np.float64] = np.where(agree, 1.0, dots / np.where(norms == 0, 1.0, norms))
    return result


def measure_quality(
    graph: bytes | Graph,
    checkpoint: Checkpoint,
    texts: Sequence[str],
    gate: QualityGate,
    where: str,
    buckets: Sequence[int] = (),
) -> dict[str, Any]:
    """Encode the texts with the graph and with PyTorch, and hold the cosines to the gate.

    Texts whose vectors are both zero, such as those without tokens, say nothing and are left out. A graph
    with a mask takes each text padded to its bucket.

    Returns: the figures, as the manifest states them.

    Raises:
        MissedGateError: Naming the figure, its value and its bound.
        QualityError: Where there was nothing to measure.
    """
    ids = checkpoint.tokenize(texts)
    vectors = run_texts(open_graph(graph), ids, checkpoint.dimensions, buckets)
    reference = checkpoint.encode(texts)
    telling = vectors.any(1) | reference.any(1)
    if not telling.any():
        raise QualityError(f"{where}: the texts held back give only zero vectors; calibrate on other texts")
    got = cosines(vectors[telling], reference[telling])
    figures = {
        "mean": float(got.mean()),
        "first_percentile": float(np.quantile(got, 0.01)),
        "worst": float(got.min()),
    }
    for name, bound in asdict(gate).items():
        if not figures[name] >= bound:  # NaN passes no gate
            raise MissedGateError(
                f"{where}: the {name.replace('_', ' ')} cosine to PyTorch over {len(got)} texts is "
                f"{_below(figures[name], bound)}, below the gate of {bound}: calibrate on text of your own "
                "kind, lower the gate, or leave this precision out"
            )
    return {
        "texts": len(got),
        **{name: round(value, 6) for name, value in figures.items()},
        "gate": asdict(gate),
    }


def held(
    figures: Mapping[str, float], bounds: Mapping[str, float], counts: Mapping[str, int], where: str
) -> dict[str, float]:
    """The figures, rounded, once each is found to be within the bounds of a gate.

    Raises:
        MissedGateError: Naming the figure, its value and its bound.
    """
    for name, value in figures.items():
        most = name == "probability_error"
        if not (value <= bounds[name] if most else value >= bounds[name]):  # NaN passes no gate
            raise MissedGateError(
                f"{where}: the {name.replace('_', ' ')} with PyTorch is {value:.4f} over "
                f"{' and '.join(f'{count} {kind}' for kind, count in counts.items())}, and the gate is "
                f"{bounds[name]}: calibrate on text of your own kind, change the gate, or leave this "
                f"precision out"
            )
    return {name: round(value, 6) for name, value in figures.items()}


def _below(value: float, bound: float) -> str:
    """A figure with as many digits as show that it is below its bound."""
    shown = f"{value:.4f}"
    return f"{value:.8f}" if float(shown) >= bound else shown


def golden_tolerance(worst_error: float) -> float:
    """What a quantised variant's goldens may differ from PyTorch's, given what they did here.

    Integer products are the same everywhere, float32 sums between them are not quite; half as much again
    covers that, and the floor does where the goldens happen to differ by almost nothing. It notices a wrong
    graph or sums that saturate, not every confusion of two texts: the goldens at the length limit and just
    below it are nearer to one another than this may be. Their ids tell those apart, and must be equal.
    """
    return figure(max(_LEAST_TOLERANCE, 1.5 * worst_error))
