"""What peers that take token ids leave to their users: tokenize, sort by length, pad, pool, normalise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sestina._bench.contender import Setting

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class Batch(NamedTuple):
    """Texts that go through together: their places in the input, (B, S) ids and mask."""

    places: list[int]
    ids: Ids
    mask: Ids


class Texts:
    """The checkpoint's tokenizer under the bundle's length limit."""

    def __init__(self, setting: Setting) -> None:
        from tokenizers import Tokenizer

        of_source = Path(setting.source or "") / "tokenizer.json"
        path = of_source if of_source.is_file() else Path(setting.bundle) / "tokenizer.json"
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(setting.max_tokens)
        pads = (self._tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>"))
        self._pad = next((pad for pad in pads if pad is not None), 0)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def batches(self, texts: Sequence[str], size: int, ways: int = 1) -> Iterator[Batch]:
        """Batches of at most `size` texts of like lengths, padded to the longest; long texts first.

        Args:
            texts: Any number.
            size: Texts in a batch.
            ways: Batches that will run side by side; few texts are cut smaller, so that none stands idle.
        """
        rows = self.ids(texts)
        size = min(size, math.ceil(len(rows) / ways)) or 1
        order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
        for begin in range(0, len(order), size):
            places = order[begin : begin + size]
            ids = np.full((len(places), len(rows[places[0]])), self._pad, dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, place in enumerate(places):
                ids[row, : len(rows[place])] = rows[place]
                mask[row, : len(rows[place])] = 1
            yield Batch(places, ids, mask)


def pool(hidden: Floats, mask: Ids, setting: Setting) -> Floats:
    """(B, S, D) hidden states and (B, S) mask -> (B, D) vectors under the text contract."""
    real = mask[:, :, None].astype(np.float32)
    if setting.pooling == "cls":
        vectors = hidden[:, 0]
    elif setting.pooling == "max":
        vectors = np.where(real > 0, hidden, -np.inf).max(axis=1)
    else:
        vectors = (hidden * real).sum(axis=1) / np.maximum(real.sum(axis=1), 1)
    if setting.normalize:
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors.astype(np.float32, copy=False)
