"""Which products eight bits serve worst: what to keep in float32 where a graph misses its gate.

A channel or a token that stands far out stretches an input's one scale until little is left for the rest, as
the residual stream of encoders with RMSNorm has them. Each product is therefore measured by itself, text by
text: what share of its output is rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sestina_export._forms.linears import layer_linears
from sestina_export._quantise.calibrate import readers_of
from sestina_export._quantise.int8 import Input, Int8Form
from sestina_model.checkpoint import Checkpoint
from sestina_model.inputs import Text

__all__ = ["finer", "worst_first"]

_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the inputs whose products are kept, one after the other
_TEXTS = 48  # that they are measured on


def finer(form: Int8Form, checkpoint: Checkpoint, texts: Sequence[Text]) -> Int8Form | None:
    """The same form with more products in float32: the worst of all, never more than half; None: it has them.

    Args:
        form: One that missed its gate.
        checkpoint: The source.
        texts: To calibrate with.
    """
    leaders = len({source.leader for source in form.inputs.values()})
    counts = sorted({max(1, round(share * leaders)) for share in _SHARES if share * leaders >= 1 / 2})
    more = [count for count in counts if len(form.kept) < count <= leaders / 2]
    if not more:
        return None
    if form.ranking is None:
        form.ranking = worst_first(form, checkpoint, texts)
    return form.keeping(form.ranking[: more[0]])


def worst_first(form: Int8Form, checkpoint: Checkpoint, texts: Sequence[Text]) -> list[str]:
    """The inputs, by the first map that reads each, from that whose products are the most rounded on."""
    linears = layer_linears(checkpoint.model)
    errors = {leader: _Share() for leader in readers_of(linears)}
    hooks = []
    for leader, readers in readers_of(linears).items():
        maps = [(linears[reader].weight.detach(), _weight(form, reader)) for reader in readers]

        def watch(
            _: nn.Module,
            inputs: tuple[Tensor],
            source: Input = form.inputs[leader],
            maps: Sequence[tuple[Tensor, Tensor]] = maps,
            share: _Share = errors[leader],
        ) -> None:
            share.add(inputs[0].flatten(0, -2), source, maps)

        hooks.append(linears[leader].register_forward_pre_hook(watch))
    try:
        with torch.inference_mode():
            for given in checkpoint.operands(texts[:: max(1, len(texts) // _TEXTS)]):
                if given is not None:
                    checkpoint.model.every(given.ids, given.mask, types=given.types)
    finally:
        for hook in hooks:
            hook.remove()
    return sorted(errors, key=lambda leader: -errors[leader].mean)


def _weight(form: Int8Form, path: str) -> Tensor:
    """(N, K): what the integers of a map stand for."""
    integers, scales = form.rounded[path]
    return (integers * scales / form.inputs[path].smooth[:, None]).T


class _Share:
    """Of tokens that come in parts: what share of a product's energy is rounding, at most all, on average."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, x: Tensor, source: Input, maps: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take (n, K) more inputs into account."""
        rounded = source.rounded(x)
        for exact, integer in maps:
            wanted = x @ exact.T
            share = (rounded @ integer.T - wanted).square().sum(-1) / wanted.square().sum(-1).clamp(min=1e-30)
            self._sum += float(share.clamp(max=1).sum())
            self._count += len(share)

    @property
    def mean(self) -> float:
        return self._sum / max(1, self._count)
