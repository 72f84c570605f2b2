"""A layer of D = 384 laid into one of D = 512: the same function in 384 dimensions, nothing in the rest.

A LayerNorm over 512 of a zero-mean 384-part and zeros divides by a deviation that is sqrt(384 / 512) of the
teacher's; the gain absorbs it. The part is kept at zero mean by centring what sublayers write, and by
taking the mean of each LayerNorm's bias out of the stream and adding it where the stream is read. What
remains is the mean of gain times normalised value, which is zero for an even gain and small for a real one.

T and D are the widths of teacher and student, K_t and K_s those of their heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from sestina_model.encoder import Layer

__all__ = ["Slots", "Widening", "widen_layer"]

# For each of the student's heads the teacher's heads in it. The first gives the pattern of attention; the
# values of any further ones ride along in the spare dimensions.
Slots = Sequence[tuple[int, ...]]


class Widening:
    """Where the teacher's dimensions lie in the student's stream.

    The last ones: there the sinusoids of section 3.5 turn slowest, so the embedding's content is disturbed
    least, and the fast ones, which tell neighbours apart, have the free dimensions to themselves.

    Args:
        d_teacher, d_student: T and D.
        noise: Standard deviation of the weights that have no meaning yet.
        generator: Draws them.
    """

    def __init__(self, d_teacher: int, d_student: int, *, noise: float, generator: torch.Generator) -> None:
        self.places = torch.arange(d_student - d_teacher, d_student)
        self.gain = (d_teacher / d_student) ** 0.5
        self._d_student, self._noise, self._generator = d_student, noise, generator

    def vectors(self, rows: Tensor) -> Tensor:
        """(n, T) -> (n, D), zero elsewhere."""
        wide = rows.new_zeros(rows.shape[0], self._d_student)
        wide[:, self.places] = rows
        return wide

    def draw(self, *shape: int) -> Tensor:
        """Small weights without a meaning."""
        return torch.randn(*shape, generator=self._generator) * self._noise

    def readers(self, weight: Tensor) -> Tensor:
        """Rows that read the stream, (n, T) -> (n, D); what they take from free dimensions is noise."""
        wide = self.draw(weight.shape[0], self._d_student)
        wide[:, self.places] = weight
        return wide

    def writers(self, weight: Tensor) -> Tensor:
        """Rows that write to the stream, centred, (T, n) -> (D, n); noise goes to the free dimensions."""
        wide = self.draw(self._d_student, weight.shape[1])
        wide[self.places] = weight - weight.mean(0)
        return wide


def widen_layer(
    old: Layer,
    new: Layer,
    widening: Widening,
    slots: Slots,
    *,
    scale: float,
    shift: Tensor,
    keep_shift: bool,
) -> Tensor:
    """Fill `new` so that it does what `old` does, as far as it can.

    Args:
        old: The teacher's layer, post-norm.
        new: The student's.
        widening: Where dimensions lie.
        slots: Which heads go where.
        scale: How many times the teacher's the stream is that comes in. It goes out at 1.
        shift: What was taken from every dimension of the stream that comes in, a scalar.
        keep_shift: Whether the stream goes out whole: after the last layer nothing reads it that could add.

    Returns: The shift of what goes out.
    """
    _attention(old, new, widening, slots, scale, shift)
    shift = _norm(old.attention_norm, new.attention_norm, widening, keep=False)
    _feed_forward(old, new, widening, shift)
    return _norm(old.feed_forward_norm, new.feed_forward_norm, widening, keep=keep_shift)


def _norm(theirs: nn.Module, mine: nn.Module, widening: Widening, *, keep: bool) -> Tensor:
    old, new = cast("nn.LayerNorm", theirs), cast("nn.LayerNorm", mine)
    shift = torch.zeros(()) if keep else old.bias.mean()
    new.weight.zero_()
    new.bias.zero_()
    new.weight[widening.places] = old.weight * widening.gain
    new.bias[widening.places] = old.bias - shift
    return shift


def _attention(old: Layer, new: Layer, widening: Widening, slots: Slots, scale: float, shift: Tensor) -> None:
    source, target = old.attention, new.attention
    k_old = source.query.weight.shape[0] // source.n_heads
    k_new = target.query.weight.shape[0] // target.n_heads
    sharpness = (k_new / k_old) ** 0.5  # the student divides scores by sqrt(K_s), the teacher by sqrt(K_t)
    for linear in (target.query, target.key, target.value):
        linear.weight.copy_(widening.draw(*linear.weight.shape))
        linear.bias.zero_()
    target.query.weight.zero_()  # a spare dimension adds nothing to a score while its query is zero
    columns = torch.zeros(source.output.weight.shape[0], target.output.weight.shape[1])
    for slot, heads in enumerate(slots):
        for place, head in enumerate(heads):
            begin = slot * k_new + place * k_old
            rows, wide = slice(head * k_old, (head + 1) * k_old), slice(begin, begin + k_old)
            if place == 0:
                _read(source.query, rows, target.query, wide, widening, sharpness, scale, shift)
                _read(source.key, rows, target.key, wide, widening, 1.0, scale, shift)
            _read(source.value, rows, target.value, wide, widening, 1.0, scale, shift)
            columns[:, wide] = source.output.weight[:, rows]
    target.output.weight.copy_(widening.writers(columns) * scale)
    target.output.bias.copy_(widening.vectors(_centred(source.output.bias))[0] * scale)


def _read(
    old: nn.Linear,
    rows: slice,
    new: nn.Linear,
    wide: slice,
    widening: Widening,
    factor: float,
    scale: float,
    shift: Tensor,
) -> None:
    weight = old.weight[rows]
    new.weight[wide] = widening.readers(weight) * (factor / scale)
    new.bias[wide] = (old.bias[rows] + weight.sum(1) * shift) * factor


def _feed_forward(old: Layer, new: Layer, widening: Widening, shift: Tensor) -> None:
    source, target = old.feed_forward, new.feed_forward
    units, spare = source.inner.weight.shape[0], target.inner.weight.shape[0] - source.inner.weight.shape[0]
    weight = widening.readers(source.inner.weight)
    bias = source.inner.bias + source.inner.weight.sum(1) * shift
    # Spare units are neighbours of the strongest ones, open a little earlier: two hinges can follow the
    # bend of a GELU that one cannot. They are written by nothing until a refit or training does.
    strongest = source.output.weight.norm(dim=0).topk(min(spare, units)).indices
    target.inner.weight.copy_(
        torch.cat([weight, weight[strongest], widening.draw(spare - len(strongest), weight.shape[1])])
    )
    target.inner.bias.copy_(torch.cat([bias, bias[strongest] + 1.0, torch.zeros(spare - len(strongest))]))
    columns = torch.cat([source.output.weight, torch.zeros(source.output.weight.shape[0], spare)], 1)
    target.output.weight.copy_(widening.writers(columns))
    target.output.bias.copy_(widening.vectors(_centred(source.output.bias))[0])


def _centred(bias: Tensor) -> Tensor:
    """(T,) -> (1, T)."""
    return (bias - bias.mean())[None]
