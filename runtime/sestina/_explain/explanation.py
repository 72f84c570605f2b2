"""Looking inside: what every head attends to, and what every token gives to the vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sestina._bundle.manifest import Manifest, Pooling
from sestina._errors import BundleFormatError, TextValueError
from sestina._explain.scoring import attend, scoring_of
from sestina._schedule.engine import STATES, VECTORS, Engine
from sestina._session.inner_values import attention_inputs
from sestina._text.tokenizer import Tokens
from sestina._text.truncation import TruncationWatch

if TYPE_CHECKING:
    from sestina._arrays import Vectors

_MOST_WEIGHTS = 1 << 28  # in all heads: a GiB of float32
_MOST = 1024  # layers, and heads of a layer: no encoder comes near it, a wrong manifest may


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """How one text became its vector.

    `attention` is computed from the queries and keys of the very graph that makes the vectors: of an int8
    variant it is int8's attention.

    Attributes:
        tokens: What the encoder reads of the text.
        attention: (n_layers, n_heads, n_tokens, n_tokens) float32: how much each token (row) takes from each
            token (column), softmax(Q K^T / sqrt(d_k)) of Vaswani et al. 2017, section 3.2.1. Rows sum to 1.
        contributions: (n_tokens,) float32: each token's part of the vector's length, along its direction.
            They sum to 1; one that points the other way is negative. All are 0 where the vector is.
        vector: (d,) float32, as `encode` gives it.
        pooling: How the tokens' last states become the vector. "mean": token i has (h_i . u) / (n |m|), where
            h_i is its state, m the mean of them and u = m / |m|. "max": a dimension j belongs to the token
            with the highest state there (to several in equal parts), and counts m_j^2 / |m|^2. "cls": the
            first token has all; what it took from the others is in the attention alone.
    """

    tokens: Tokens
    attention: npt.NDArray[np.float32]
    contributions: npt.NDArray[np.float32]
    vector: Vectors
    pooling: Pooling


def explain(engine: Engine, manifest: Manifest, text: str, watch: TruncationWatch) -> Explanation:
    """Run one text alone and look at what happened. Arguments and errors are those of `Encoder.explain`."""
    n_layers, n_heads = _heads(manifest)
    contract = manifest.contract
    tokens = engine.tokens(text)
    watch.see([None] if tokens.truncated else [])
    count = len(tokens.ids)
    if n_layers * n_heads * count**2 > _MOST_WEIGHTS:
        raise TextValueError(
            f"the text has {count} tokens, too many to look at in {n_layers} x {n_heads} heads at once: "
            f"shorten it to {math.isqrt(_MOST_WEIGHTS // (n_layers * n_heads))}"
        )
    scoring = scoring_of(manifest.encoder, n_layers, n_heads)
    inputs = [attention_inputs(layer) for layer in range(n_layers)]
    biases = dict.fromkeys(layer.bias for layer in scoring if layer.bias)
    found = engine.inside(tokens.ids, [*(name for pair in inputs for name in pair), *biases])
    attention = np.zeros((n_layers, n_heads, count, count), dtype=np.float32)
    if not found:  # a text without tokens
        nothing = np.zeros(contract.dimensions, dtype=np.float32)
        return Explanation(tokens, attention, nothing[:0], nothing, contract.pooling)
    with np.errstate(all="ignore"):  # what is not finite in the graph stays so here
        for heads, (query, key), layer in zip(attention, inputs, scoring, strict=True):
            bias = found[layer.bias][0] if layer.bias else None
            attend(found[query][0], found[key][0], bias, layer, heads)
        contributions = contributions_of(found[STATES][0], contract.pooling)
    return Explanation(tokens, attention, contributions, found[VECTORS][0], contract.pooling)


def contributions_of(states: Vectors, pooling: Pooling) -> Vectors:
    """(n_tokens, d_model) of the last layer -> (n_tokens,), as `Explanation` defines them."""
    exact = states.astype(np.float64)
    pooled = {"mean": exact.mean(0), "max": exact.max(0), "cls": exact[0]}[pooling]
    square = float(pooled @ pooled)
    parts = np.zeros(len(exact))
    if not square:
        pass
    elif pooling == "mean":
        parts = exact @ pooled / (len(exact) * square)
    elif pooling == "max":
        wins = exact == pooled
        parts = (wins / wins.sum(0)) @ pooled**2 / square
    else:
        parts[0] = 1.0
    contributions: Vectors = parts.astype(np.float32)
    return contributions


def _heads(manifest: Manifest) -> tuple[int, int]:
    """Layers of the encoder and heads of a layer, which a manifest need not state."""
    encoder: Mapping[str, Any] = manifest.encoder
    for name in ("n_layers", "n_heads"):
        value = encoder.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
            raise BundleFormatError(
                f"the manifest's encoder has the {name} {value!r:.40}; to look inside it must be a whole "
                f"number from 1 to {_MOST}: export the bundle again"
            )
    n_layers, n_heads = int(encoder["n_layers"]), int(encoder["n_heads"])
    if encoder["d_model"] % n_heads and encoder.get("d_k") is None:
        raise BundleFormatError(
            f"the manifest's encoder has {n_heads} heads, of which its d_model {encoder['d_model']} is no "
            "multiple: export the bundle again"
        )
    return n_layers, n_heads
