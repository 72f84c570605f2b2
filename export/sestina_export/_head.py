"""What an export may say otherwise than its source: the pooling, the normalisation, the limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sestina_export._errors import ExportError
from sestina_model.checkpoint import Checkpoint
from sestina_model.head_config import HeadConfig, pooling_modes
from sestina_model.sentence import SentenceEncoder

__all__ = ["prompted", "with_head"]

Texts = tuple[list[str], list[str]]


def with_head(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """The same encoder, of whose head some members are others.

    Args:
        checkpoint: It stays as it is.
        changes: Members of `HeadConfig`; None leaves what is there.

    Raises:
        ExportError: Where the head's steps do not take what another pooling gives.
        sestina_model.ModelError: Where a value is not allowed, or the encoder cannot have it.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        return checkpoint
    model, old = checkpoint.model, checkpoint.model.head
    head = replace(old, **given)
    before, after = (len(pooling_modes(each.pooling)) for each in (old, head))
    if before != after and model.steps.state_dict():
        d_model = model.encoder.config.d_model
        raise ExportError(
            f"pooling {head.pooling!r:.60} gives vectors of {after * d_model} dimensions, and the "
            f"checkpoint's Dense or LayerNorm takes {before * d_model}: leave it as it is"
        )
    return replace(checkpoint, model=SentenceEncoder(model.encoder, head, model.steps.state_dict()).eval())


def prompted(texts: Texts, head: HeadConfig) -> Texts:
    """Both kinds of texts as they will be read: without a prompt and with each that there is, in turn."""
    prompts = list(dict.fromkeys(("", *head.prompts.values())))
    first, second = ([prompts[at % len(prompts)] + text for at, text in enumerate(each)] for each in texts)
    return first, second
