"""A student that starts from its teacher's own layers, laid into a wider residual stream.

Exact but for what the student has not: the widening itself (`layers`) reproduces the teacher to rounding
where LayerNorm gains are even. What is lost is measured or refitted on a little text: GELU to ReLU, heads
beyond the student's (`heads`), other tokens (`entries`), [CLS] and [SEP], learned positions (`refit`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from tokenizers import Tokenizer
from torch import nn

from sestina_model._errors import ConfigError
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import EncoderConfig
from sestina_model.distillation.start import Start
from sestina_model.distillation.warm_start.entries import entry_vectors
from sestina_model.distillation.warm_start.heads import choose_slots
from sestina_model.distillation.warm_start.layers import Widening, widen_layer
from sestina_model.distillation.warm_start.refit import refit
from sestina_model.encoder import Layer, TransformerEncoder

__all__ = ["warm_start"]

# How much larger than the teacher's the embeddings are. The sinusoids are added at their own size, and the
# first LayerNorm takes the factor out again: the larger it is, the less they disturb what was learned
# without them, and the less is left of them to learn from.
_EMBEDDING_SCALE = 3.0
# Of the last LayerNorm in the dimensions that the teacher has not: at 0 no loss would ever move them.
_FREE_GAIN = 0.1
_NOISE = 0.01  # in weights that start without a meaning, so that they can find one
_MEASURED = 200  # texts on which heads are compared


def warm_start(
    teacher: Checkpoint, config: EncoderConfig, tokenizer: Tokenizer, texts: Sequence[str], *, seed: int
) -> Start:
    """A post-norm encoder of this configuration that starts from a post-norm teacher.

    Args:
        teacher: With at most as many dimensions, layers and inner units as the student.
        config: The student.
        tokenizer: The student's.
        texts: To measure and refit on; none: mapped weights alone.
        seed: Of the noise.

    Raises:
        ConfigError: Where the teacher does not fit inside the student.
    """
    source = teacher.model.encoder
    _check(source.config, config)
    generator = torch.Generator().manual_seed(seed)
    widening = Widening(source.config.d_model, config.d_model, noise=_NOISE, generator=generator)
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are all replaced
        encoder = TransformerEncoder(config).eval()
    with torch.no_grad():
        scale = first_scale = _EMBEDDING_SCALE if config.positions == "sinusoidal" else 1.0
        rows, shift = entry_vectors(teacher, tokenizer)
        table = widening.vectors(rows - shift) * scale
        if config.positions == "sinusoidal":
            # What the sinusoids of usual positions have in common is a constant: take it out.
            table[:, widening.places] -= encoder.positions[:32, widening.places].mean(0)
        encoder.tokens.weight.copy_(table / encoder.embedding_scale)
        slots = choose_slots(teacher, texts[:_MEASURED], config)
        pairs = list(zip(_layers(source), _layers(encoder), strict=True))
        for number, (old, new) in enumerate(pairs):
            last = number == len(pairs) - 1
            shift = widen_layer(old, new, widening, slots[number], scale=scale, shift=shift, keep_shift=last)
            scale = 1.0
        if texts:
            refit(teacher, encoder, tokenizer, widening, texts, first_scale=first_scale)
        gain = cast("nn.LayerNorm", pairs[-1][1].feed_forward_norm).weight
        gain[gain == 0] = _FREE_GAIN
    projection = torch.zeros(source.config.d_model, config.d_model)
    projection[:, widening.places] = torch.eye(source.config.d_model)
    return Start(encoder, [projection] * len(pairs))


def _layers(encoder: TransformerEncoder) -> Iterable[Layer]:
    return cast("Iterable[Layer]", encoder.layers)


def _check(old: EncoderConfig, new: EncoderConfig) -> None:
    for who, config in (("teacher", old), ("student", new)):
        later = config.later_choices() or (() if config.has_position_table else ("positions",))
        if later:
            raise ConfigError(
                f'the {who} has {", ".join(later)}, which a warm start does not map: set warm_start to "none"'
            )
    for name in ("d_model", "d_ff", "d_head"):
        if getattr(old, name) > getattr(new, name):
            raise ConfigError(
                f"the teacher's {name} is {getattr(old, name)}, the student's {getattr(new, name)}; a warm "
                f'start needs a student at least as wide: set warm_start to "none"'
            )
    if old.n_layers != new.n_layers or old.norm != "post" or new.norm != "post" or new.norm_embeddings:
        raise ConfigError(
            f"the teacher has {old.n_layers} {old.norm}-norm layers, the student {new.n_layers} "
            f"{new.norm}-norm ones; a warm start needs as many, post-norm, and a student without a LayerNorm "
            f'after its embeddings: set warm_start to "none"'
        )
