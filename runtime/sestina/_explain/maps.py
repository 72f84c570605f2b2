"""Attention as pixels: one grey level a pair of tokens, and PNG files of them, without an imaging library."""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sestina._errors import TextValueError

if TYPE_CHECKING:
    from sestina._arrays import Vectors

Pixels = npt.NDArray[np.uint8]

_MOST_PIXELS = 1 << 25  # what a browser shows at once, and a picture that programs still open
_SIDE = 96  # pixels that a map of few tokens is enlarged to, at least nearly
_GAP = 6  # pixels between the maps of a picture
_RAMP = ((255, 255, 255), (11, 122, 117), (4, 29, 46))  # from no weight to the strongest
_BETWEEN, _BETWEEN_COLOUR = 255, (226, 230, 235)
_GREY, _PALETTE = 0, 3  # PNG's colour types


def levels(attention: Vectors) -> tuple[Pixels, Vectors]:
    """(L, H, S, S) weights as 8 bits of their square root, and (L, H) the strongest of each head.

    weight = strongest * (level / 255)^2: so that small ones, of which most are, keep their differences.

    Raises:
        TextValueError: Where there are more weights than can be looked at.
    """
    n_layers, n_heads, count, _ = attention.shape
    if attention.size > _MOST_PIXELS:
        raise TextValueError(
            f"the text has {count} tokens, too many to draw in {n_layers} x {n_heads} heads: shorten it to "
            f"{math.isqrt(_MOST_PIXELS // (n_layers * n_heads))}, or ask for the numbers with --json"
        )
    strongest: Vectors = attention.max((2, 3), initial=0.0)
    scale = np.where(strongest > 0, strongest, 1.0)[:, :, np.newaxis, np.newaxis]
    return np.rint(255 * np.sqrt(attention / scale)).astype(np.uint8), strongest


def grey_png(pixels: Pixels) -> bytes:
    """(height, width) as a PNG file of 8-bit grey, its lines unfiltered: a script reads them as they are."""
    return _png(pixels, _GREY)


def picture(attention: Vectors) -> bytes:
    """All heads as one PNG file: a row of maps for each layer, a column for each head.

    Raises:
        TextValueError: Where there are too many weights, or none.
    """
    grid, _ = levels(attention)
    n_layers, n_heads, count, _ = grid.shape
    if not count:
        raise TextValueError("the text has no tokens, so there is nothing to draw: give another text")
    block = max(1, _SIDE // count)
    step = block * count + _GAP
    pixels = np.full((n_layers * step + _GAP, n_heads * step + _GAP), _BETWEEN, dtype=np.uint8)
    for layer in range(n_layers):
        for head in range(n_heads):
            drawn = np.minimum(grid[layer, head], _BETWEEN - 1).repeat(block, 0).repeat(block, 1)
            top, left = layer * step + _GAP, head * step + _GAP
            pixels[top : top + len(drawn), left : left + len(drawn)] = drawn
    return _png(pixels, _PALETTE, _palette())


def _palette() -> bytes:
    places = np.linspace(0.0, 1.0, len(_RAMP))
    shades = np.linspace(0.0, 1.0, _BETWEEN)
    colours = [np.interp(shades, places, channel) for channel in zip(*_RAMP, strict=True)]
    return np.rint(colours).astype(np.uint8).T.tobytes() + bytes(_BETWEEN_COLOUR)


def _png(pixels: Pixels, kind: int, palette: bytes = b"") -> bytes:
    """PNG (W3C, third edition): signature, header, palette, lines each after a 0 for no filter, end."""
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    lines = np.pad(pixels, ((0, 0), (1, 0))).tobytes()
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header)]
    if palette:
        parts.append(_chunk(b"PLTE", palette))
    return b"".join([*parts, _chunk(b"IDAT", zlib.compress(lines)), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
