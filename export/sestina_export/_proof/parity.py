"""Agreement with PyTorch, measured on the graph that ships."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sestina._bundle.graph import Graph
from sestina._onnxruntime import onnxruntime, session_options
from sestina_export._errors import ParityError
from sestina_export._graph.buckets import padded
from sestina_export._graph.interface import INPUT, MASK, OUTPUTS
from sestina_model.config import EncoderConfig
from sestina_model.sentence import SentenceEncoder

__all__ = [
    "Difference",
    "as_parity",
    "figure",
    "measure_batches",
    "measure_padding",
    "measure_shapes",
    "open_graph",
    "parity_shapes",
    "run_texts",
]

_BATCHES = (1, 2, 5)
_LENGTHS = (1, 2, 7, 31)  # and the longest, and one less
_MOST_WORK = 1_150_000_000_000  # multiplications of one run: 5 texts of 512 tokens in 24 layers 1024 wide
_MOST_TOKENS = 1 << 17  # of one run


@dataclass(frozen=True, slots=True)
class Difference:
    """Largest absolute difference of one output at one shape, and what is allowed there."""

    output: str
    batch: int
    length: int
    error: float
    allowed: float


def parity_shapes(max_tokens: int, config: EncoderConfig | None = None) -> list[tuple[int, int]]:
    """(batch, length) pairs to measure: none of them is the traced shape.

    Where texts are so long and the encoder is so large that a run would take minutes, the longest of a batch
    is one that does not; goldens are as long as texts can be in any case.

    Args:
        max_tokens: The limit.
        config: What is run; None: something small.
    """
    shapes = []
    for batch in _BATCHES:
        longest = max_tokens if config is None else _affordable(config, batch, max_tokens)
        ends = (max_tokens - 1, max_tokens) if longest == max_tokens else (longest,)
        shapes += [(batch, length) for length in {*_LENGTHS, *ends} if 1 <= length <= longest]
    return sorted(shapes, key=lambda shape: (shape[1], shape[0]))


def _affordable(config: EncoderConfig, batch: int, max_tokens: int) -> int:
    """How long the texts of a batch may be for one run of it, at least 1."""
    weights = 4 * config.d_model**2 + 3 * config.d_model * config.d_ff  # of a layer, at most

    def work(length: int) -> int:
        return batch * length * config.n_layers * (weights + 2 * length * config.d_model)

    most = min(max_tokens, _MOST_TOKENS // batch)
    return max(1, bisect_right(range(most + 1), _MOST_WORK, key=work) - 1)


def measure_shapes(
    graph: bytes | Graph, model: SentenceEncoder, tolerance: float, where: str, seed: int = 0
) -> list[Difference]:
    """Run graph and PyTorch on the same random ids at every shape of `parity_shapes`.

    Args:
        graph: The serialised model, or as it was written; run by onnxruntime on the CPU.
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
    for batch, length in parity_shapes(model.head.max_tokens, model.encoder.config):
        ids = generator.integers(0, model.encoder.config.vocab_size, (batch, length))
        with torch.inference_mode():
            reference = [tensor.numpy() for tensor in model(torch.from_numpy(ids))]
        got = session.run(list(OUTPUTS), _unpadded(session, ids))
        differences += _within(_compare(got, reference, ids.shape, tolerance), where)
    return differences


def measure_padding(
    graph: bytes | Graph, model: SentenceEncoder, tolerance: float, where: str, seed: int = 0
) -> list[Difference]:
    """Run texts of unlike lengths in one padded batch: each must be what PyTorch makes of it alone, unpadded.

    What stands in the padding is random, and all of `measure_shapes` else holds.

    Raises:
        ParityError: At the first output that differs by more than is allowed, or is not finite.
    """
    session = open_graph(graph)
    generator = np.random.default_rng(seed)
    differences = []
    for batch, length in parity_shapes(model.head.max_tokens, model.encoder.config):
        ids = generator.integers(0, model.encoder.config.vocab_size, (batch, length), dtype=np.int32)
        lengths = generator.integers(1, length + 1, batch)
        mask = (np.arange(length) < lengths[:, None]).astype(np.int32)
        vectors, hidden = session.run(list(OUTPUTS), {INPUT: ids, MASK: mask})
        for row, own in enumerate(lengths):
            with torch.inference_mode():
                reference = [tensor.numpy() for tensor in model(torch.from_numpy(ids[row : row + 1, :own]))]
            got = (vectors[row : row + 1], hidden[row : row + 1, :own])
            padding = f" in a row of {own}, padded,"
            differences += _within(_compare(got, reference, ids.shape, tolerance), where, padding)
    return differences


def _within(differences: Iterable[Difference], where: str, how: str = "") -> list[Difference]:
    """The differences, once each is found to be allowed. NaN is never allowed."""
    checked = []
    for each in differences:
        if not each.error <= each.allowed:
            raise ParityError(
                f"{where}: {each.output} differs from PyTorch by {each.error:.3g}{how} at batch "
                f"{each.batch}, length {each.length}; the tolerance is {each.allowed:.3g}"
            )
        checked.append(each)
    return checked


def _unpadded(session: Any, ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    """The inputs of a graph, with or without a mask, for rows of one length."""
    if MASK not in (tensor.name for tensor in session.get_inputs()):
        return {INPUT: ids}
    return {INPUT: ids.astype(np.int32), MASK: np.ones(ids.shape, dtype=np.int32)}


def measure_batches(graph: bytes | Graph, model: SentenceEncoder, where: str, seed: int = 0) -> list[int]:
    """Run every batch of `parity_shapes` whole and row by row: its rows must be bit-equal.

    Returns: the batch sizes.

    Raises:
        ParityError: At the first row that depends on its neighbours.
    """
    session = open_graph(graph)
    generator = np.random.default_rng(seed)
    shapes = [shape for shape in parity_shapes(model.head.max_tokens, model.encoder.config) if shape[0] > 1]
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


def open_graph(graph: bytes | Graph) -> Any:
    """An `InferenceSession` on the CPU as the runtime opens it, on one thread: the same sums in one order.

    Where the weights stay in a mapped file, the graph must outlive it.
    """
    options = session_options(1)
    content = graph.source(options, b"", mapped=graph.maps) if isinstance(graph, Graph) else graph
    return onnxruntime().InferenceSession(
        content, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def run_texts(
    session: Any, ids: Sequence[Sequence[int]], width: int, buckets: Sequence[int] = ()
) -> npt.NDArray[np.float32]:
    """Sentence vectors (n, width), each text alone, padded to its bucket; zeros for a text without tokens."""
    vectors = np.zeros((len(ids), width), dtype=np.float32)
    for vector, row in zip(vectors, ids, strict=True):
        if row:
            feed = padded(row, buckets) if buckets else {INPUT: np.array([row], dtype=np.int64)}
            vector[:] = session.run([OUTPUTS[0]], feed)[0][0]
    return vectors
