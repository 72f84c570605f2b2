"""Whether a vector is made of one token's state: the last layer need then compute no other for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from sestina_model.attention import MultiHeadAttention
from sestina_model.relative import DisentangledBias
from sestina_model.sentence import SentenceEncoder

__all__ = ["attentions", "last_input", "pooled_token"]

_POOLED = {"cls": 0, "lasttoken": -1}  # by pooling: the one token that it reads


def pooled_token(model: SentenceEncoder) -> int | None:
    """The one token whose last state becomes the vector, 0 or -1, where no other need be computed for it."""
    head, config = model.head, model.encoder.config
    token = _POOLED.get(head.pooling)  # several at once read all
    if (
        token is None
        or head.by_token
        or not head.include_prompt
        or not config.n_layers
        or (config.causal and token == 0)
    ):
        return None
    by_content = any(isinstance(each.scoring.bias, DisentangledBias) for each in attentions(model))
    return None if by_content else token


@contextmanager
def last_input(model: SentenceEncoder) -> Iterator[list[Tensor]]:
    """Yield a list that has at its end what the last layer was given."""
    seen: list[Tensor] = []
    layer = list(model.encoder.stack())[-1]
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        hook.remove()


def attentions(model: SentenceEncoder) -> list[MultiHeadAttention]:
    """Those that have weights of their own, in the order of their layers."""
    return [module for module in model.encoder.layers.modules() if isinstance(module, MultiHeadAttention)]
