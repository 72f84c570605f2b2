"""The batches and lengths at which a graph is held to PyTorch."""

from __future__ import annotations

from bisect import bisect_right

from sestina_model.config import EncoderConfig

__all__ = ["parity_shapes"]

_BATCHES = (1, 2, 5)
_LENGTHS = (1, 2, 7, 31)  # and the longest, and one less
_MOST_WORK = 1_150_000_000_000  # multiplications of one run: 5 texts of 512 tokens in 24 layers 1024 wide
_MOST_TOKENS = 1 << 17  # of one run


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
    heads = config.n_heads * config.d_head
    weights = 4 * config.d_model * heads + 3 * config.d_model * config.d_ff  # of a layer, at most

    def work(length: int) -> int:
        return batch * length * config.n_layers * (weights + 2 * length * heads)

    most = min(max_tokens, _MOST_TOKENS // batch)
    return max(1, bisect_right(range(most + 1), _MOST_WORK, key=work) - 1)
