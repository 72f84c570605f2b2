"""What there is of tokens beside a text's vector, of a graph and of PyTorch: sparse rows and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sestina._bundle.results import MULTI_VECTOR, SPARSE, TENSORS, Results
from sestina._session.token_results import heaviest
from sestina_export._proof.parity import run_texts
from sestina_model.checkpoint import Checkpoint
from sestina_model.token_outputs import TokenOutputs

__all__ = ["TokenResults", "from_graph", "from_torch", "results_of", "token_outputs"]

# Of each text, by name: of sparse (indices, weights), of multi-vector (m, d).
TokenResults = dict[str, list[Any]]


def from_torch(checkpoint: Checkpoint, texts: Sequence[str], prompt: str = "") -> TokenResults:
    """The reference: each text computed alone, without padding."""
    outputs = results_of(checkpoint)
    read = [prompt + text for text in texts]
    found: TokenResults = {name: [] for name in outputs.names}
    with torch.inference_mode():
        for ids, given in zip(checkpoint.tokenize(read), checkpoint.operands(read), strict=True):
            made = (
                () if given is None else checkpoint.model.every(given.ids, given.mask, types=given.types)[2:]
            )
            results = [each[0].cpu().numpy() for each in made]
            for at, name in enumerate(outputs.names):
                found[name].append(_finished(name, outputs, ids, results[at] if results else None))
    return found


def from_graph(
    session: Any, ids: Sequence[Sequence[int]], outputs: TokenOutputs, buckets: Sequence[int] = ()
) -> TokenResults:
    """The same of a graph, as `run_texts` runs it on tokens."""
    found: TokenResults = {}
    for name in outputs.names:
        width = 1 if name == SPARSE else outputs.multi_vector or 1
        rows = run_texts(session, ids, width, buckets, output=TENSORS[name])
        parts = np.split(rows, np.cumsum([len(each) for each in ids])[:-1])
        found[name] = [_finished(name, outputs, row, part) for row, part in zip(ids, parts, strict=True)]
    return found


def results_of(checkpoint: Checkpoint) -> TokenOutputs:
    """What its head has of them; callers know that it has some."""
    outputs = checkpoint.model.head.token_outputs
    assert outputs is not None  # noqa: S101  callers look
    return outputs


def token_outputs(results: Results) -> TokenOutputs:
    """What a contract says of them, as a head has it."""
    sparse, vectors = results.sparse, results.multi_vector
    return TokenOutputs(
        sparse=sparse is not None,
        skip=() if sparse is None else tuple(sorted(sparse.skip)),
        multi_vector=None if vectors is None else vectors.dimensions,
        first=0 if vectors is None else vectors.first,
    )


def _finished(
    name: str, outputs: TokenOutputs, ids: Sequence[int], result: npt.NDArray[np.float32] | None
) -> Any:
    if result is None or not len(ids):
        nothing = np.zeros(0, dtype=np.float32)
        return (nothing.astype(np.int32), nothing) if name == SPARSE else _no_rows(outputs)
    if name == MULTI_VECTOR:
        return result[outputs.first :]
    return heaviest(np.array(ids, dtype=np.int64), result[:, 0], outputs.skip)


def _no_rows(outputs: TokenOutputs) -> npt.NDArray[np.float32]:
    return np.zeros((0, outputs.multi_vector or 0), dtype=np.float32)
