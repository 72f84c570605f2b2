"""A sentence encoder's weights as one dictionary, and back."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sestina_model._errors import CheckpointError
from sestina_model._weights import build_encoder, check_fit
from sestina_model.config import EncoderConfig
from sestina_model.head_config import HeadConfig
from sestina_model.sentence import SentenceEncoder, make_steps

__all__ = ["build_model", "halved", "state_of"]

_STEPS = "steps."  # before the names of the weights of the head's steps


def state_of(model: SentenceEncoder) -> dict[str, Tensor]:
    """All weights by name: the encoder's as they are, those of the head's steps after `steps.`."""
    steps = {_STEPS + name: tensor for name, tensor in model.steps.state_dict().items()}
    return {**model.encoder.state_dict(), **steps}


def build_model(
    config: EncoderConfig, head: HeadConfig, tensors: dict[str, Tensor], origin: Path
) -> SentenceEncoder:
    """What `state_of` came from."""
    steps = {name: tensors.pop(name) for name in list(tensors) if name.startswith(_STEPS)}
    encoder = build_encoder(config, tensors, origin)
    with torch.device("meta"):
        blank = make_steps(head, config.d_model)
    check_fit({_STEPS + name: tuple(each.shape) for name, each in blank.state_dict().items()}, steps, origin)
    return SentenceEncoder(
        encoder, head, {name.removeprefix(_STEPS): tensor for name, tensor in steps.items()}
    ).eval()


def halved(name: str, tensor: Tensor) -> Tensor:
    """A weight in float16.

    Raises:
        CheckpointError: Where it does not fit.
    """
    half = tensor.half()
    if not bool(torch.isfinite(half).all()):
        raise CheckpointError(f"{name} holds values that float16 cannot; save it in float32")
    return half
