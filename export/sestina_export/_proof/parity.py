"""Agreement with PyTorch, measured on the graph that ships."""

from __future__ import annotations

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
from sestina_export._graph.interface import INPUT, MASK, OUTPUTS, POOLED_FROM
from sestina_export._proof.shapes import parity_shapes
from sestina_model.sentence import SentenceEncoder

__all__ = [
    "Difference",
    "as_parity",
    "figure",
    "measure_batches",
    "measure_padding",
    "measure_shapes",
    "open_graph",
    "run_texts",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """Largest absolute difference of one output at one shape, and what is allowed there."""

    output: str
    batch: int
    length: int
    error: float
    allowed: float


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
        start = _any_start(model, generator, length)
        got = session.run(list(OUTPUTS), _unpadded(session, ids, start))
        reference = _reference(model, ids, start)
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
        start = _any_start(model, generator, length)
        vectors, hidden = session.run(list(OUTPUTS), {INPUT: ids, MASK: mask, **_started(session, start)})
        for row, own in enumerate(lengths):
            reference = _reference(model, ids[row : row + 1, :own], start)
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


def _unpadded(session: Any, ids: npt.NDArray[np.int64], start: int) -> dict[str, npt.NDArray[Any]]:
    """The inputs of a graph, with or without a mask, for rows of one length."""
    if MASK not in (tensor.name for tensor in session.get_inputs()):
        return {INPUT: ids, **_started(session, start)}
    mask = np.ones(ids.shape, dtype=np.int32)
    return {INPUT: ids.astype(np.int32), MASK: mask, **_started(session, start)}


def _started(session: Any, start: int) -> dict[str, npt.NDArray[Any]]:
    """The first token that is pooled, for a graph that takes it."""
    types = {tensor.name: tensor.type for tensor in session.get_inputs()}
    if POOLED_FROM not in types:
        return {}
    return {POOLED_FROM: np.array([start], np.int64 if types[POOLED_FROM] == "tensor(int64)" else np.int32)}


def _any_start(model: SentenceEncoder, generator: np.random.Generator, length: int) -> int:
    """A first token to pool, where the head leaves prompts out: any, or one beyond the last."""
    return 0 if model.head.include_prompt else int(generator.integers(0, length + 2))


def _reference(
    model: SentenceEncoder, ids: npt.NDArray[np.integer[Any]], start: int
) -> list[npt.NDArray[np.float32]]:
    with torch.inference_mode():
        return [tensor.numpy() for tensor in model(torch.from_numpy(ids), None, torch.tensor([start]))]


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
        start = _started(session, _any_start(model, generator, length))
        together = session.run(list(OUTPUTS), {INPUT: ids, **start})
        for row in range(batch):
            alone = session.run(list(OUTPUTS), {INPUT: ids[row : row + 1], **start})
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
    session: Any,
    ids: Sequence[Sequence[int]],
    width: int,
    buckets: Sequence[int] = (),
    starts: Sequence[int] = (),
) -> npt.NDArray[np.float32]:
    """Sentence vectors (n, width), each text alone, padded to its bucket; zeros for a text without tokens.

    The tokens of a text are pooled from its member of `starts` on, by default all.
    """
    vectors = np.zeros((len(ids), width), dtype=np.float32)
    for vector, row, start in zip(vectors, ids, starts or [0] * len(ids), strict=True):
        if row:
            feed = padded(row, buckets) if buckets else {INPUT: np.array([row], dtype=np.int64)}
            vector[:] = session.run([OUTPUTS[0]], {**feed, **_started(session, start)})[0][0]
    return vectors
