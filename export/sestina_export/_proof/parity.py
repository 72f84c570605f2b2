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
from sestina_export._graph.interface import (
    INPUT,
    MASK,
    POOLED_FROM,
    TYPES,
    attends_apart,
    outputs_of,
)
from sestina_export._proof.feeds import Types, any_start, any_types, fed, started, takes, unpadded
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
    session, outputs = open_graph(graph), outputs_of(model.head)
    generator = np.random.default_rng(seed)
    differences = []
    for batch, length in parity_shapes(model.head.max_tokens, model.encoder.config):
        ids = generator.integers(0, model.encoder.config.vocab_size, (batch, length))
        start, types = any_start(model, generator, length), any_types(model, generator, ids)
        got = session.run(list(outputs), unpadded(session, ids, start, types))
        reference = _reference(model, ids, start, types)
        differences += _within(_compare(outputs, got, reference, ids.shape, tolerance), where)
    return differences


def measure_padding(
    graph: bytes | Graph, model: SentenceEncoder, tolerance: float, where: str, seed: int = 0
) -> list[Difference]:
    """Run texts of unlike lengths in one padded batch: each must be what PyTorch makes of it alone, unpadded.

    What stands in the padding is random, and all of `measure_shapes` else holds.

    Raises:
        ParityError: At the first output that differs by more than is allowed, or is not finite.
    """
    session, outputs = open_graph(graph), outputs_of(model.head)
    generator = np.random.default_rng(seed)
    differences = []
    for batch, length in parity_shapes(model.head.max_tokens, model.encoder.config):
        ids = generator.integers(0, model.encoder.config.vocab_size, (batch, length), dtype=np.int32)
        lengths = generator.integers(1, length + 1, batch)
        mask = (np.arange(length) < lengths[:, None]).astype(np.int32)
        start = 0 if attends_apart(model.head) else any_start(model, generator, length)
        types = any_types(model, generator, ids)
        feeds = {INPUT: ids, MASK: mask, **types, **started(session, start, length)}
        given = session.run(list(outputs), feeds)
        for row, own in enumerate(lengths):
            some = {name: each[row : row + 1, :own] for name, each in types.items()}
            reference = _reference(model, ids[row : row + 1, :own], start, some)
            mine = [each[row : row + 1] for each in given]
            got = [each[:, :own] if each.ndim == 3 else each for each in mine]
            padding = f" in a row of {own}, padded,"
            differences += _within(_compare(outputs, got, reference, ids.shape, tolerance), where, padding)
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


def _reference(
    model: SentenceEncoder, ids: npt.NDArray[np.integer[Any]], start: int, types: Types
) -> list[npt.NDArray[np.float32]]:
    told = torch.from_numpy(types[TYPES]) if types else None
    apart = attends_apart(model.head) and 0 < start < ids.shape[1]
    mask = torch.arange(ids.shape[1])[None].expand(ids.shape) < start if apart else None
    with torch.inference_mode():
        given = model.every(torch.from_numpy(ids), mask, torch.tensor([start]), told)
        return [tensor.numpy() for tensor in given]


def measure_batches(graph: bytes | Graph, model: SentenceEncoder, where: str, seed: int = 0) -> list[int]:
    """Run every batch of `parity_shapes` whole and row by row: its rows must be bit-equal.

    Returns: the batch sizes.

    Raises:
        ParityError: At the first row that depends on its neighbours.
    """
    session, outputs = open_graph(graph), outputs_of(model.head)
    generator = np.random.default_rng(seed)
    shapes = [shape for shape in parity_shapes(model.head.max_tokens, model.encoder.config) if shape[0] > 1]
    for batch, length in shapes:
        ids = generator.integers(0, model.encoder.config.vocab_size, (batch, length))
        start = started(session, any_start(model, generator, length), length)
        types = any_types(model, generator, ids)
        together = session.run(list(outputs), {INPUT: ids, **types, **start})
        for row in range(batch):
            some = {name: each[row : row + 1] for name, each in types.items()}
            alone = session.run(list(outputs), {INPUT: ids[row : row + 1], **some, **start})
            for output, here, there in zip(outputs, together, alone, strict=True):
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
    outputs: Sequence[str],
    got: Sequence[npt.NDArray[np.float32]],
    reference: Sequence[npt.NDArray[np.float32]],
    shape: tuple[int, ...],
    tolerance: float,
) -> Iterator[Difference]:
    for output, here, there in zip(outputs, got, reference, strict=True):
        if here.shape != there.shape:
            raise ParityError(f"{output} has shape {here.shape} where PyTorch gives {there.shape}")
        allowed = tolerance * max(1.0, float(np.abs(there).max()))
        yield Difference(output, shape[0], shape[1], float(np.abs(here - there).max()), allowed)


def open_graph(graph: bytes | Graph) -> Any:
    """An `InferenceSession` on the CPU as the runtime opens it, on one thread: the same sums in one order.

    Where the weights stay in a mapped file, the graph must outlive it.
    """
    options, providers = session_options(1), ["CPUExecutionProvider"]
    content = graph.source(options, b"", mapped=graph.maps) if isinstance(graph, Graph) else graph
    return onnxruntime().InferenceSession(content, options, providers=providers, enable_fallback=0)


def run_texts(
    session: Any,
    ids: Sequence[Sequence[Any]],
    width: int,
    buckets: Sequence[int] = (),
    starts: Sequence[int] = (),
    output: str | None = None,
) -> npt.NDArray[np.float32]:
    """The result (n, width), each text alone, padded to its bucket; zeros for a text without tokens.

    The tokens of a text are pooled from its member of `starts` on, by default all; or so many are attended
    to, where a text may have others. Of pairs with types `ids` has [id, type] for each token. Of tasks by
    token the rows of all tokens follow one another. An `output` other than the first is named.
    """
    offered = session.get_outputs()
    result = offered[0] if output is None else next(each for each in offered if each.name == output)
    by_token = len(result.shape) == 3
    found = [np.zeros((0 if by_token else 1, width), dtype=np.float32)] * len(ids)
    for at, (row, start) in enumerate(zip(ids, starts or [0] * len(ids), strict=True)):
        if row:
            feed = padded(row, buckets) if buckets else fed(np.array([row], dtype=np.int64))
            if buckets and start and takes(session, POOLED_FROM) is None:
                feed[MASK][0, start:] = 0
            given = session.run([result.name], {**feed, **started(session, start, len(row))})[0]
            found[at] = given[0, : len(row)] if by_token else given
    return np.concatenate(found) if found else np.zeros((0, width), dtype=np.float32)
