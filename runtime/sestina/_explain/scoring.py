"""How the scores of each layer come about: from the manifest's encoder, and where they are in the graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sestina._errors import BundleFormatError
from sestina._session.inner_values import attention_bias

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Vectors

_MOST = 1 << 24  # of what is counted; no encoder comes near it


class LayerScoring(NamedTuple):
    """What one layer's scores are, beside products of queries and keys.

    Attributes:
        d_head: Width of a head.
        scale: What products are multiplied by.
        causal: Whether a token attends only to itself and those before it.
        window: Tokens to each side that it attends to; None: all.
        bias: What the inner value is called that is added to scores; None: nothing is.
    """

    d_head: int
    scale: float
    causal: bool
    window: int | None
    bias: str | None


def scoring_of(encoder: Mapping[str, Any], n_layers: int, n_heads: int) -> list[LayerScoring]:
    """Of every layer, from the manifest's encoder; what it does not state is as in the first encoders.

    Raises:
        BundleFormatError: Where it states what no encoder can be.
    """
    d_head = _count(encoder, "d_k") or encoder["d_model"] // n_heads
    scale = encoder.get("attention_scale")
    if scale is None:
        scale = 1 / math.sqrt(d_head)
    if not isinstance(scale, int | float) or isinstance(scale, bool) or not 0 < scale < 1e30:
        raise _wrong("attention_scale", scale, "a number above 0")
    relative, local = encoder.get("relative", "none"), encoder.get("local_layers", [])
    if not isinstance(local, list) or not all(isinstance(number, int) for number in local):
        raise _wrong("local_layers", local, "a list of whole numbers")
    window, kinds, layers = _count(encoder, "window"), dict[bool, int](), []
    for layer in range(n_layers):
        first = kinds.setdefault(layer in local, layer)  # layers of one kind share what they add
        bias = None
        if relative != "none":
            bias = attention_bias(first if relative == "shared" else layer)
        mine = window if layer in local else None
        layers.append(LayerScoring(d_head, float(scale), encoder.get("causal") is True, mine, bias))
    return layers


def attend(
    query: Vectors, key: Vectors, bias: Vectors | None, scoring: LayerScoring, heads: npt.NDArray[np.float32]
) -> None:
    """softmax(Q K^T * scale + bias) of every head over the keys that are allowed, in place.

    Args:
        query: (S, H * K), turned as the layer turns them.
        key: (S, G * K), as `query`.
        bias: (H or 1, S, S) or None.
        scoring: Of the layer.
        heads: (H, S, S).

    Raises:
        BundleFormatError: Where the widths are not those of heads.
    """
    n_heads, count, _ = heads.shape
    width = scoring.d_head
    groups = key.shape[1] // width
    if query.shape[1] != n_heads * width or key.shape[1] % width or not groups or n_heads % groups:
        raise BundleFormatError(
            f"the graph's queries and keys are {query.shape[1]} and {key.shape[1]} wide, unlike {n_heads} "
            f"heads of {width}, as its manifest's encoder says: export the bundle again"
        )
    queries = query.reshape(count, n_heads, width).transpose(1, 0, 2)
    keys = key.reshape(count, groups, width).transpose(1, 2, 0)
    np.matmul(queries * np.float32(scoring.scale), np.repeat(keys, n_heads // groups, 0), out=heads)
    if bias is not None:
        heads += bias
    behind = np.arange(count)[:, None] - np.arange(count)
    if scoring.causal:
        heads[:, behind < 0] = -np.inf
    if scoring.window is not None:
        heads[:, np.abs(behind) > scoring.window] = -np.inf
    heads -= heads.max(-1, keepdims=True)
    np.exp(heads, out=heads)
    heads /= heads.sum(-1, keepdims=True)


def _count(encoder: Mapping[str, Any], name: str) -> int | None:
    value = encoder.get(name)
    if value is not None and (
        not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST
    ):
        raise _wrong(name, value, "a whole number of at least 1")
    return value


def _wrong(name: str, value: object, allowed: str) -> BundleFormatError:
    return BundleFormatError(
        f"the manifest's encoder has the {name} {value!r:.40}; to look inside it must be {allowed}: export "
        "the bundle again"
    )
