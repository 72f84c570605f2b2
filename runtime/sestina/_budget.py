"""How much runs at once: workers, and tokens in a batch, under a ceiling of working memory."""

from __future__ import annotations

from typing import NamedTuple

from sestina._errors import OptionError
from sestina._manifest import Manifest

# Beyond this a batch outgrows the caches and is no faster; short texts need about this many tokens
# together before reading the weights stops being what takes the time.
BEST_BATCH_TOKENS = 512
_BEST_WINDOW_CHARACTERS = 1 << 20
_BYTES_PER_CHARACTER = 64  # while a text is tokenized: offsets, masks and overflow of each of its tokens
_SLACK = 1.5  # the allocator rounds up, and keeps buffers of one shape while it makes those of the next


class Budget(NamedTuple):
    """What runs at once.

    Attributes:
        workers: Batches that run side by side.
        batch_tokens: Tokens of a batch, but for a longer text alone.
        window_characters: Characters that are tokenized together.
    """

    workers: int
    batch_tokens: int
    window_characters: int


def plan(
    manifest: Manifest,
    threads: int,
    max_memory_mb: int | None,
    best_batch_tokens: int = BEST_BATCH_TOKENS,
) -> Budget:
    """Fit the work into the memory.

    Args:
        manifest: Of the bundle, for the widths of its layers.
        threads: Batches that are to run side by side.
        max_memory_mb: The ceiling in MiB; None: what is best for speed.
        best_batch_tokens: Tokens of a batch where memory does not bind.

    Raises:
        OptionError: Where not even one text of the longest length fits.
    """
    if max_memory_mb is None:
        return Budget(threads, best_batch_tokens, _BEST_WINDOW_CHARACTERS)
    d_model, d_ff = int(manifest.encoder["d_model"]), int(manifest.encoder["d_ff"])
    # Alive at once: both sides of the feed-forward activation, or query, key, value and their result,
    # besides the layer's input and the residual.
    floats = max(2 * d_ff, 4 * d_model) + 2 * d_model
    affordable = (max_memory_mb << 20) / (4 * floats * _SLACK)  # tokens
    longest = manifest.contract.max_tokens
    if affordable < longest:
        least = -(-int(4 * floats * _SLACK * longest) // (1 << 20))
        raise OptionError(
            f"max_memory_mb is {max_memory_mb}; a text of {longest} tokens needs {least}: allow that much"
        )
    workers = max(1, min(threads, int(affordable // longest)))
    characters = (max_memory_mb << 20) // _BYTES_PER_CHARACTER
    return Budget(
        workers,
        min(best_batch_tokens, int(affordable // workers)),
        min(_BEST_WINDOW_CHARACTERS, characters),
    )
