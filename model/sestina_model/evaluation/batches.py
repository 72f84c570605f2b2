"""Batches of texts of exactly one length: no padding, so every vector is that of its text alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from sestina_model.sentence import SentenceEncoder

__all__ = ["by_length", "encode_rows"]

Integers = npt.NDArray[np.int64]


def by_length(lengths: npt.NDArray[np.integer], batch_tokens: int, batch_texts: int) -> Iterator[Integers]:
    """Indices of texts, each batch of one length, in input order within a length; shortest first.

    Args:
        lengths: Tokens of each text.
        batch_tokens: The most tokens of a batch; a longer text is a batch of its own.
        batch_texts: The most texts of a batch.
    """
    order = np.argsort(lengths, kind="stable")
    values, starts = np.unique(lengths[order], return_index=True)
    for length, group in zip(values.tolist(), np.split(order, starts[1:]), strict=True):
        size = max(1, min(batch_texts, batch_tokens // max(1, length)))
        for begin in range(0, len(group), size):
            yield group[begin : begin + size]


def encode_rows(
    model: SentenceEncoder,
    rows: Sequence[Sequence[int] | npt.NDArray[np.integer]],
    *,
    batch_tokens: int = 4096,
    batch_texts: int = 128,
    advance: Callable[[int], object] = lambda _: None,
) -> npt.NDArray[np.float32]:
    """The vectors of token ids, (n, D) in input order. A row without a token has the zero vector.

    `advance` is called with the number of texts of each batch that is done.
    """
    table = model.encoder.tokens.weight
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    vectors = np.zeros((len(rows), table.shape[1]), dtype=np.float32)
    with torch.inference_mode():
        for batch in by_length(lengths, batch_tokens, batch_texts):
            if lengths[batch[0]]:
                ids = torch.from_numpy(np.array([rows[index] for index in batch], dtype=np.int64))
                vectors[batch] = model(ids.to(table.device)).sentence_embedding.float().cpu().numpy()
            advance(len(batch))
    return vectors
