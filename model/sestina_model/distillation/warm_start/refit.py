"""What a sublayer writes, fitted anew by least squares to what the teacher's stream becomes there.

From the first sublayer to the last, on texts that both read: at tokens that both cut alike, the student's
stream after the sublayer should be the teacher's. What the sublayer writes is linear in its last matrix, so
the best one has a closed form. Each fit sees the errors of those before it and makes up for what it can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from sestina_model.checkpoint import Checkpoint
from sestina_model.distillation.alignment import shared_places
from sestina_model.distillation.warm_start.layers import Widening
from sestina_model.encoder import Layer, TransformerEncoder
from sestina_model.evaluation.batches import by_length

__all__ = ["refit"]

_RIDGE = 0.1  # of the mean square of a feature: how much a weight must earn to leave where it was mapped
_BATCH_TOKENS, _BATCH_TEXTS = 4096, 128


class _Aligned(NamedTuple):
    """Texts of one student length.

    Attributes:
        ids: (B, S).
        real: (B, S) bool, where the teacher has a token of just these characters.
        goals: For each sublayer, the teacher's stream before its LayerNorm at those, (n, T), centred.
    """

    ids: Tensor
    real: Tensor
    goals: list[Tensor]


def refit(
    teacher: Checkpoint,
    encoder: TransformerEncoder,
    tokenizer: Tokenizer,
    widening: Widening,
    texts: Sequence[str],
    *,
    first_scale: float,
) -> None:
    """Fit the output matrices of every sublayer of `encoder`, in place.

    Args:
        teacher: With its tokenizer.
        encoder: The student.
        tokenizer: The student's.
        widening: Where the teacher's dimensions lie.
        texts: To fit on; a few tens of thousands of tokens are enough.
        first_scale: The scale of the stream before the first LayerNorm.
    """
    batches = list(_align(teacher, encoder, tokenizer, texts))
    streams = [encoder.embed(batch.ids) for batch in batches]
    for number, layer in enumerate(cast("Sequence[Layer]", encoder.layers)):
        scale = first_scale if number == 0 else 1.0
        attention, feed = layer.attention, layer.feed_forward
        mixed = [
            attention.core(attention.query(x), attention.key(x), attention.value(x), None, attention.scoring)
            for x in streams
        ]
        goals = [batch.goals[2 * number] * scale for batch in batches]
        _fit(attention.output, batches, mixed, streams, goals, widening)
        streams = [
            layer.attention_norm(x + attention.output(features))
            for x, features in zip(streams, mixed, strict=True)
        ]
        goals = [batch.goals[2 * number + 1] for batch in batches]
        inner = [feed.activation(feed.inner(x)) for x in streams]
        _fit(feed.output, batches, inner, streams, goals, widening)
        streams = [
            layer.feed_forward_norm(x + feed.output(features))
            for x, features in zip(streams, inner, strict=True)
        ]


def _fit(
    linear: nn.Linear,
    batches: Sequence[_Aligned],
    features: Sequence[Tensor],
    streams: Sequence[Tensor],
    goals: Sequence[Tensor],
    widening: Widening,
) -> None:
    """Ridge regression towards the weights that are there, with a free bias."""
    n_features = linear.weight.shape[1]
    rows = torch.cat([some[batch.real] for batch, some in zip(batches, features, strict=True)])
    kept = torch.cat([x[batch.real][:, widening.places] for batch, x in zip(batches, streams, strict=True)])
    kept -= kept.mean(1, keepdim=True)  # as LayerNorm will
    weight, bias = linear.weight[widening.places], linear.bias[widening.places]
    missing = torch.cat(list(goals)) - kept - (rows @ weight.T + bias)  # (n, T)
    middle, centre = rows.mean(0), missing.mean(0)
    rows = rows - middle
    gram = rows.T @ rows  # (F, F)
    strength = _RIDGE * float(gram.diagonal().mean())
    change = torch.linalg.solve(
        (gram + strength * torch.eye(n_features)).double(), (rows.T @ (missing - centre)).double()
    ).float()
    linear.weight[widening.places] = weight + change.T
    linear.bias[widening.places] = bias + centre - middle @ change


def _align(
    teacher: Checkpoint, encoder: TransformerEncoder, tokenizer: Tokenizer, texts: Sequence[str]
) -> Iterator[_Aligned]:
    students = tokenizer.encode_batch(list(texts))
    teachers = teacher.tokenizer.encode_batch(list(texts))
    limits = encoder.config.max_positions, teacher.model.encoder.config.max_positions
    fitting = [
        number
        for number, (mine, theirs) in enumerate(zip(students, teachers, strict=True))
        if 0 < len(mine) <= limits[0] and len(theirs) <= limits[1]
    ]
    lengths = np.array([len(students[number]) for number in fitting])
    for batch in by_length(lengths, _BATCH_TOKENS, _BATCH_TEXTS):
        chosen = [fitting[place] for place in batch]
        ids = torch.tensor([students[number].ids for number in chosen])
        real = torch.zeros(ids.shape, dtype=torch.bool)
        goals: list[list[Tensor]] = []
        for row, number in enumerate(chosen):
            mine, places = shared_places(students[number], teachers[number])
            real[row, mine] = True
            stages = _stages(teacher.model.encoder, teachers[number].ids)
            goals.append([stage[places] for stage in stages])
        yield _Aligned(ids, real, [torch.cat(stage) for stage in zip(*goals, strict=True)])


def _stages(encoder: TransformerEncoder, ids: Sequence[int]) -> list[Tensor]:
    """The stream before each LayerNorm, centred: two of (S, T) for each layer."""
    x, stages = encoder.embed(torch.tensor([list(ids)])), []
    for layer in cast("Sequence[Layer]", encoder.layers):
        y = x + layer.attention(x)
        x = layer.attention_norm(y)
        stages.append(y[0] - y[0].mean(1, keepdim=True))
        y = x + layer.feed_forward(x)
        x = layer.feed_forward_norm(y)
        stages.append(y[0] - y[0].mean(1, keepdim=True))
    return stages
