"""Agreement with PyTorch, measured on the graph that ships."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sestina._onnxruntime import onnxruntime, session_options
from sestina_export._errors import ParityError
from sestina_export._graph import INPUT, OUTPUTS
from sestina_model.sentence import SentenceEncoder

__all__ = [
    "Difference",
    "as_parity",
    "figure",
    "measure_batches",
    "measure_shapes",
    "open_graph",
    "parity_shapes",
    "run_texts",
]

_BATCHES = (1, 2, 5)
_LENGTHS = (1, 2, 7, 31)  # and the longest, and one less


@dataclass(frozen=True, slots=True)
class Difference:
    """Largest absolute difference of one output at one shape, and what is allowed there."""

    output: str
    batch: int
    length: int
    error: float
    allowed: float


def parity_shapes(max_tokens: int) -> list[tuple[int, int]]:
    """(batch, length) pairs to measure: none of them is the traced shape."""
    lengths = sorted(
        {length for length in (*_LENGTHS, max_tokens - 1, max_tokens) if 1 <= length <= max_tokens}
    )
    return [(batch, length) for length in lengths for batch in _BATCHES]


def measure_shapes(
    graph: bytes, model: SentenceEncoder, tolerance: float, where: str, seed: int = 0
) -> list[Difference]:
    """Run graph and PyTorch on the same random ids at every shape of `parity_shapes`.

    Args:
        graph: The serialised model, run by onnxruntime on the CPU.
        model: The PyTorch reference.
        tolerance: Largest absolute difference for values up to 1; in proportion for larger ones.
        where: The file name, for errors.
        seed: Of the random ids.

    Raises:
        ParityError: At the first output that differs by more than is allowed, or is not finite.
    """
    session = open_graph(graph)
    generator = np.random.default_rng(seed)
    differences = []
    for batch, length in parity_shapes(model.head.max_tokens):
        ids = generator.integers(0, model.encoder.config.vocab_size, (batch, length))
        with torch.inference_mode():
            reference = [tensor.numpy() for tensor in model(torch.from_numpy(ids))]
        for difference in _compare(session.run(list(OUTPUTS), {INPUT: ids}), reference, ids.shape, tolerance):
            if not difference.error <= difference.allowed:  # NaN is never allowed
                raise ParityError(
                    f"{where}: {difference.output} differs from PyTorch by {difference.error:.3g} at batch "
                    f"{batch}, length {length}; the tolerance is {difference.allowed:.3g}"
                )
            differences.append(difference)
    return differences


def measure_batches(graph: bytes, model: SentenceEncoder, where: str, seed: int = 0) -> list[int]:
    """Run every batch of `parity_shapes` whole and row by row: its rows must be bit-equal.

    Returns: the batch sizes.

    Raises:
        ParityError: At the first row that depends on its neighbours.
    """
    session = open_graph(graph)
    generator = np.random.default_rng(seed)
    shapes = [shape for shape in parity_shapes(model.head.max_tokens) if shape[0] > 1]
    for batch, length in shapes:
        ids = generator.integers(0, model.encoder.config.vocab_size, (batch, length))
        together = session.run(list(OUTPUTS), {INPUT: ids})
        for row in range(batch):
            alone = session.run(list(OUTPUTS), {INPUT: ids[row : row + 1]})
            for output, here, there in zip(OUTPUTS, together, alone, strict=True):
                if here[row].tobytes() != there[0].tobytes():
                    raise ParityError(
                        f"{where}: {output} of one row at batch {batch}, length {length} is not bit-equal to "
                        "the same row alone"
                    )
    return sorted({batch for batch, _ in shapes})


def as_parity(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """The differences as the manifest states them: one row a shape, one member an output."""
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for each in differences:
        row = rows.setdefault((each.batch, each.length), {"batch": each.batch, "length": each.length})
        row[each.output] = figure(each.error)
    return list(rows.values())


def figure(value: float) -> float:
    """A measured value with the three digits that mean something."""
    return float(f"{value:.3g}")


def _compare(
    got: Sequence[npt.NDArray[np.float32]],
    reference: Sequence[npt.NDArray[np.float32]],
    shape: tuple[int, ...],
    tolerance: float,
) -> Iterator[Difference]:
    for output, here, there in zip(OUTPUTS, got, reference, strict=True):
        if here.shape != there.shape:
            raise ParityError(f"{output} has shape {here.shape} where PyTorch gives {there.shape}")
        allowed = tolerance * max(1.0, float(np.abs(there).max()))
        yield Difference(output, shape[0], shape[1], float(np.abs(here - there).max()), allowed)


def open_graph(graph: bytes) -> Any:
    """An `InferenceSession` on the CPU as the runtime opens it, on one thread: the same sums in one order."""
    return onnxruntime().InferenceSession(
        graph, session_options(1), providers=["CPUExecutionProvider"], enable_fallback=0
    )


def run_texts(session: Any, ids: Sequence[Sequence[int]], width: int) -> npt.NDArray[np.float32]:
    """Sentence vectors (n, width), each text alone; zeros for a text without tokens."""
    vectors = np.zeros((len(ids), width), dtype=np.float32)
    for vector, row in zip(vectors, ids, strict=True):
        if row:
            vector[:] = session.run([OUTPUTS[0]], {INPUT: np.array([row], dtype=np.int64)})[0][0]
    return vectors
