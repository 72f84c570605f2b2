"""More heads than slots: which head can take on another's pattern of attention at the least cost.

A slot that is twice as wide as a teacher's head has room for the values of two, but attends in one way. So
a head either keeps its pattern, or its values ride on another's, or it is dropped. All three are measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from sestina_model.checkpoint import Checkpoint
from sestina_model.config import EncoderConfig
from sestina_model.distillation.warm_start.layers import Slots
from sestina_model.encoder import Layer, split_heads

__all__ = ["assign", "choose_slots", "riding_costs"]


def choose_slots(teacher: Checkpoint, texts: Sequence[str], config: EncoderConfig) -> list[Slots]:
    """For each layer, which of the teacher's heads go into which of the student's."""
    encoder = teacher.model.encoder
    n_heads, n_slots = encoder.config.n_heads, config.n_heads
    room = config.d_head // encoder.config.d_head
    if n_heads <= n_slots:
        return [[(head,) for head in range(n_heads)]] * len(encoder.layers)
    if not texts:  # nothing to measure on: any choice is as good
        spare = range(n_slots, n_heads)
        return [[(head, *(spare[head : head + 1] if room > 1 else ())) for head in range(n_slots)]] * len(
            encoder.layers
        )
    costs = [torch.zeros(n_heads + 1, n_heads) for _ in encoder.layers]
    with torch.inference_mode():
        for row in teacher.tokenize(texts):
            x = encoder.embed(torch.tensor([row]))
            for cost, layer in zip(costs, cast("Iterable[Layer]", encoder.layers), strict=True):
                cost += riding_costs(layer, x)
                x = layer(x)
    return [assign(cost, n_slots, room) for cost in costs]


def riding_costs(layer: Layer, x: Tensor) -> Tensor:
    """What is lost of each head's output where its values ride on another's pattern.

    Args:
        layer: The teacher's.
        x: Its input, (1, S, T).

    Returns: (H + 1, H), squared error summed over tokens: [i, j] for head j on the pattern of i, and in the
        last row for j dropped altogether, but for its mean, which a bias can hold.
    """
    attention = layer.attention
    patterns = attention.weights(x)[0]  # (H, S, S)
    values = split_heads(attention.value(x), attention.n_heads)[0]  # (H, S, K)
    n_heads, _, width = values.shape
    out = attention.output.weight.view(-1, n_heads, width)  # (T, H, K)
    costs = torch.empty(n_heads + 1, n_heads)
    for head in range(n_heads):
        mixed = patterns @ values[head]  # (H, S, K): head's values by everyone's pattern
        dropped = mixed[head] - mixed[head].mean(0)
        lost = torch.cat([mixed - mixed[head], dropped[None]])  # (H + 1, S, K)
        gram = out[:, head].T @ out[:, head]  # (K, K): |O v|^2 = v^T gram v
        costs[:, head] = ((lost @ gram) * lost).sum((1, 2))
    return costs


def assign(costs: Tensor, n_slots: int, room: int) -> list[tuple[int, ...]]:
    """Cheapest first, let heads ride or drop them until as many are left as there are slots.

    Args:
        costs: (H + 1, H), as `riding_costs` has them.
        n_slots: How many heads may keep their pattern.
        room: How many heads' values a slot holds.
    """
    n_heads = costs.shape[1]
    slots: dict[int, list[int]] = {head: [head] for head in range(n_heads)}
    choices = sorted(
        (float(costs[host, head]), host, head)
        for host in range(n_heads + 1)
        for head in range(n_heads)
        if host != head and (host == n_heads or room > 1)
    )
    for _, host, head in choices:
        if len(slots) == n_slots:
            break
        if head not in slots or len(slots[head]) > 1:  # gone already, or itself a host
            continue
        if host == n_heads:
            del slots[head]
        elif host in slots and len(slots[host]) < room:
            slots[host].append(head)
            del slots[head]
    return [tuple(heads) for heads in slots.values()]
