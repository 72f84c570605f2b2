"""How much runs at once: workers, and tokens in a batch, under a ceiling of working memory."""

from __future__ import annotations

from typing import NamedTuple

from sestina._bundle.manifest import Manifest
from sestina._errors import OptionError
from sestina._text.tokenizer import PREFIX_CHARACTERS_PER_TOKEN

# Beyond this a batch outgrows the caches and is no faster; short texts need about this many tokens
# together before reading the weights stops being what takes the time.
BEST_BATCH_TOKENS = 512
_BEST_WINDOW_CHARACTERS = 1 << 20
_BEST_WINDOW_TEXTS = 4096

_SLACK = 1.5  # the allocator rounds up, and keeps buffers of one shape while it makes those of the next
# Of a character while its text is tokenized: 25 of English, up to 500 of what is many bytes and tokens.
_TOKENIZED_BYTES = 512
# Of a character until its window is encoded: its ids, first in lists and then in batches.
_WINDOW_BYTES = 128
# Vectors of a window that are held at once, for each of its different texts: one that waits to be put in its
# place, that place, and up to four that are handed out, as a text may occur again.
_VECTORS_HELD = 6
# Of a sparse encoder: logits of each token that its graph computes at once, and how often they are held, as
# the next are made while the last are read; a static graph makes all of them, and once more those of what is
# no padding. Then copies of a text's result.
PIECE = 4096
_PIECES, _WHOLE, _RESULTS = 2, 3, 5
_FIXED = 1 << 18  # of workers, queues and what else does not grow
_LEAST_WINDOW_TEXTS = 16


class Budget(NamedTuple):
    """What runs at once.

    Attributes:
        workers: Batches that run side by side.
        batch_tokens: Tokens of a batch, but for a longer text alone.
        window_characters: Characters that are encoded as one window, but for a longer text alone.
        window_texts: Different texts of a window.
        tokenized_characters: Characters that are tokenized together, but for a longer text alone.
    """

    workers: int
    batch_tokens: int
    window_characters: int
    window_texts: int
    tokenized_characters: int


def plan(
    manifest: Manifest,
    threads: int,
    max_memory_mb: int | None,
    best_batch_tokens: int = BEST_BATCH_TOKENS,
    *,
    static: bool = False,
) -> Budget:
    """Fit the work into the memory.

    What one text of the longest length needs comes first. Of what is left beyond that, three quarters go to
    batches, an eighth to tokenizing and an eighth to what waits in windows.

    Args:
        manifest: Of the bundle, for the widths of its layers.
        threads: Batches that are to run side by side.
        max_memory_mb: The ceiling in MiB; None: what is best for speed.
        best_batch_tokens: Tokens of a batch where memory does not bind.
        static: Whether the variant's graphs are.

    Raises:
        OptionError: Where not even one text of the longest length fits.
    """
    best = Budget(
        threads, best_batch_tokens, _BEST_WINDOW_CHARACTERS, _BEST_WINDOW_TEXTS, _BEST_WINDOW_CHARACTERS
    )
    if max_memory_mb is None:
        return best
    d_model, d_ff = int(manifest.encoder["d_model"]), int(manifest.encoder["d_ff"])
    longest, width = manifest.contract.max_tokens, manifest.contract.dimensions
    # Alive at once: both sides of the feed-forward activation, or query, key, value and their result,
    # besides the layer's input and the residual.
    token = 4 * _SLACK * (max(2 * d_ff, 4 * d_model) + 2 * d_model)
    result = 0.0
    if manifest.contract.results is not None:  # vectors of all tokens before and after their norm, and a copy
        further = sum(manifest.contract.results.widths.values())
        token = max(token, 4 * _SLACK * (2 * d_model + 3 * further))
    if manifest.task == "sparse":  # logits of each token, and of each text what becomes of the highest
        token += 4 * _SLACK * (_WHOLE * width if static else _PIECES * min(PIECE, width))
        result = 4 * _SLACK * _RESULTS * width
    text = token * longest + result
    characters = 2 * PREFIX_CHARACTERS_PER_TOKEN * longest  # of a text, before it is cut at a space
    vectors = 4 * width * _VECTORS_HELD
    tokenizing = characters * _TOKENIZED_BYTES
    waiting = characters * _WINDOW_BYTES + _LEAST_WINDOW_TEXTS * vectors
    spare = (max_memory_mb << 20) - _FIXED - text - tokenizing - waiting
    if spare < 0:
        least = -(-int((max_memory_mb << 20) - spare) // (1 << 20))
        raise OptionError(
            f"max_memory_mb is {max_memory_mb}; a text of {longest} tokens needs {least}: allow that much"
        )
    affordable = text + spare * 3 / 4
    workers = max(1, min(threads, int(affordable // text)))
    share = spare / 16
    return Budget(
        workers,
        min(best.batch_tokens, int(affordable / (token + result)) // workers),
        min(best.window_characters, characters + int(share / _WINDOW_BYTES)),
        min(best.window_texts, _LEAST_WINDOW_TEXTS + int(share / vectors)),
        min(best.tokenized_characters, characters + int(spare / 8 / _TOKENIZED_BYTES)),
    )
