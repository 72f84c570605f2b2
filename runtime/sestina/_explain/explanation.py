"""Looking inside: what every head attends to, and what every token gives to the vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sestina._bundle.manifest import Manifest, Pooling
from sestina._errors import BundleFormatError, TextValueError
from sestina._explain.scoring import attend, scoring_of
from sestina._schedule.engine import STATES, VECTORS, Engine
from sestina._session.inner_values import attention_inputs
from sestina._text.prompt import Prompt
from sestina._text.tokenizer import Tokens
from sestina._text.truncation import TruncationWatch

if TYPE_CHECKING:
    from sestina._arrays import Vectors

_Exact = npt.NDArray[np.float64]

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
        pooling: How the tokens' last states are pooled, before what the graph does with that. "mean": token i
            has (h_i . u) / (n |m|), where h_i is its state, m the mean of them and u = m / |m|;
            "mean_sqrt_len_tokens" the same, and "weightedmean" with what each counts in place of 1 / n.
            "max": a dimension j belongs to the token with the highest state there (to several in equal
            parts), and counts m_j^2 / |m|^2. "cls", "lasttoken": the first or last token has all; what it
            took from the others is in the attention alone. Of several joined each counts by the square of its
            length. A prompt's tokens have none where a bundle leaves them out.
    """

    tokens: Tokens
    attention: npt.NDArray[np.float32]
    contributions: npt.NDArray[np.float32]
    vector: Vectors
    pooling: Pooling


def explain(
    engine: Engine, manifest: Manifest, text: str, watch: TruncationWatch, prompt: Prompt
) -> Explanation:
    """Run one text alone and look at what happened. Arguments and errors are those of `Encoder.explain`."""
    n_layers, n_heads = _heads(manifest)
    contract = manifest.contract
    tokens = engine.tokens(text, prompt)
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
    found = engine.inside(
        tokens.ids, [*(name for pair in inputs for name in pair), *biases], prompt.pooled_from
    )
    attention = np.zeros((n_layers, n_heads, count, count), dtype=np.float32)
    if not found:  # a text without tokens
        nothing = np.zeros(contract.dimensions, dtype=np.float32)
        return Explanation(tokens, attention, nothing[:0], nothing, contract.pooling)
    with np.errstate(all="ignore"):  # what is not finite in the graph stays so here
        for heads, (query, key), layer in zip(attention, inputs, scoring, strict=True):
            bias = found[layer.bias][0] if layer.bias else None
            attend(found[query][0], found[key][0], bias, layer, heads)
        contributions = contributions_of(found[STATES][0], contract.pooling, prompt.pooled_from)
    return Explanation(tokens, attention, contributions, found[VECTORS][0], contract.pooling)


def contributions_of(states: Vectors, pooling: Pooling, pooled_from: int = 0) -> Vectors:
    """(n_tokens, d_model) of the last layer -> (n_tokens,), as `Explanation` defines them."""
    exact = states.astype(np.float64)
    parts, square = np.zeros(len(exact)), 0.0
    start = pooled_from if pooled_from < len(exact) else 0  # where nothing is left, no mode but "cls" has any
    for mode in pooling.split("+"):
        if start != pooled_from and mode != "cls":
            continue
        pooled, shares = _MODES[mode](exact[start:], start)
        parts[start:] += shares
        square += float(pooled @ pooled)
    contributions: Vectors = (parts / square if square else parts).astype(np.float32)
    return contributions


def _weighted(states: _Exact, weights: _Exact) -> tuple[_Exact, _Exact]:
    pooled = weights @ states
    return pooled, weights * (states @ pooled)


def _highest(states: _Exact) -> tuple[_Exact, _Exact]:
    pooled = states.max(0)
    wins = states == pooled
    return pooled, (wins / wins.sum(0)) @ pooled**2


def _one(states: _Exact, at: int) -> tuple[_Exact, _Exact]:
    weights = np.zeros(len(states))
    weights[at] = 1.0
    return states[at], weights * float(states[at] @ states[at])


def _by_place(states: _Exact, start: int) -> tuple[_Exact, _Exact]:
    places = np.arange(start + 1.0, start + len(states) + 1.0)
    return _weighted(states, places / places.sum())


# Of the states that are pooled, and the place of the first: the pooled vector m, each token's part of |m|^2.
_MODES: Mapping[str, Callable[[_Exact, int], tuple[_Exact, _Exact]]] = {
    "mean": lambda states, _: _weighted(states, np.full(len(states), 1 / len(states))),
    "mean_sqrt_len_tokens": lambda states, _: _weighted(states, np.full(len(states), len(states) ** -0.5)),
    "weightedmean": _by_place,
    "max": lambda states, _: _highest(states),
    "cls": lambda states, _: _one(states, 0),
    "lasttoken": lambda states, _: _one(states, -1),
}


def _heads(manifest: Manifest) -> tuple[int, int]:
    """Layers of the encoder and heads of a layer, which a manifest need not state."""
    encoder: Mapping[str, Any] = manifest.encoder
    if encoder.get("n_layers") == 0 and encoder["n_layers"] is not False:
        raise BundleFormatError(
            "this bundle's encoder is a table of token vectors, without layers: it has no attention to look "
            "at"
        )
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
