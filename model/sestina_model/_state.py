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
from sestina_model.token_outputs import TokenMaps

__all__ = ["build_model", "halved", "state_of"]

_STEPS = "steps."  # before the names of the weights of the head's steps
_MAPS = "token_maps."  # and of those of what it gives of each token besides


def state_of(model: SentenceEncoder) -> dict[str, Tensor]:
    """All weights by name: the encoder's as they are, the head's after `steps.` and `token_maps.`."""
    steps = {_STEPS + name: tensor for name, tensor in model.steps.state_dict().items()}
    maps = {_MAPS + name: tensor for name, tensor in model.token_maps.state_dict().items()}
    return {**model.encoder.state_dict(), **steps, **maps}


def build_model(
    config: EncoderConfig, head: HeadConfig, tensors: dict[str, Tensor], origin: Path
) -> SentenceEncoder:
    """What `state_of` came from."""
    own = {
        first: {name: tensors.pop(name) for name in list(tensors) if name.startswith(first)}
        for first in (_STEPS, _MAPS)
    }
    encoder = build_encoder(config, tensors, origin)
    with torch.device("meta"):
        blank = {
            _STEPS: make_steps(head, config.d_model),
            _MAPS: TokenMaps(head.token_outputs, config.d_model),
        }
    for first, module in blank.items():
        expected = {first + name: tuple(each.shape) for name, each in module.state_dict().items()}
        check_fit(expected, own[first], origin)
    steps, maps = (
        {name.removeprefix(first): tensor for name, tensor in own[first].items()} for first in (_STEPS, _MAPS)
    )
    return SentenceEncoder(encoder, head, steps, maps).eval()


def halved(name: str, tensor: Tensor) -> Tensor:
    """A weight in float16.

    Raises:
        CheckpointError: Where it does not fit.
    """
    half = tensor.half()
    if not bool(torch.isfinite(half).all()):
        raise CheckpointError(f"{name} holds values that float16 cannot; save it in float32")
    return half
