"""How what a graph gives of each token beside a text's vector is written: weights, and vectors.

As in `head`, each token's is a product of its own where it must not depend on its neighbours. The map of the
vectors reads every state, as the layers' do, and each form has its own for it.
"""

from __future__ import annotations

from torch import Tensor

from sestina_export._forms.head import product, row_linear, safe_norm
from sestina_model.head_steps import Normalize
from sestina_model.sentence import SentenceEncoder

__all__ = ["token_masked", "token_rows"]


def token_rows(model: SentenceEncoder, hidden: Tensor) -> tuple[Tensor, ...]:
    """As `TokenMaps.forward`, by rows. (B, S, D) -> (B, S, 1) and (B, S, d), of these what there is."""
    maps, results = model.token_maps, list[Tensor]()
    rows, shape = hidden.flatten(0, 1), hidden.shape[:2]
    if "sparse" in maps:
        results.append(row_linear(maps.linear("sparse"), rows).relu().view(*shape, -1))
    if "multi_vector" in maps:
        vectors = maps["multi_vector"](rows)
        results.append(Normalize()(vectors).view(*shape, -1))
    return tuple(results)


def token_masked(model: SentenceEncoder, hidden: Tensor) -> tuple[Tensor, ...]:
    """The same in operators that every provider takes; those of padding hold no meaning."""
    maps, results = model.token_maps, list[Tensor]()
    if "sparse" in maps:
        results.append(product(maps.linear("sparse"), hidden).relu())
    if "multi_vector" in maps:
        results.append(safe_norm(maps["multi_vector"](hidden)))
    return tuple(results)
