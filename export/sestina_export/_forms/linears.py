"""Which linear maps of a model read the state of every token, and so are what its time is spent on."""

from __future__ import annotations

from torch import nn

from sestina_model.sentence import SentenceEncoder

__all__ = ["layer_linears", "place_of"]

_MAPS = "token_maps."
_OF_DISTANCES = ("position_key", "position_query")  # of constants: a graph has what they give


def layer_linears(model: SentenceEncoder) -> dict[str, nn.Linear]:
    """The linear maps that read states, by their path in the encoder's layers: six a layer, or seven.

    Those of a sparse head read every state too, and are the largest of all: theirs begin with "steps.". So
    does "token_maps.multi_vector", where each token has a vector beside the one of its text.
    """
    modules = model.encoder.layers.named_modules()
    linears = {
        path: module
        for path, module in modules
        if isinstance(module, nn.Linear) and path.rpartition(".")[2] not in _OF_DISTANCES
    }
    if model.head.sparse:
        steps = model.steps.named_modules(prefix="steps")
        linears |= {path: module for path, module in steps if isinstance(module, nn.Linear)}
    if "multi_vector" in model.token_maps:
        linears[f"{_MAPS}multi_vector"] = model.token_maps.linear("multi_vector")
    return linears


def place_of(path: str) -> str:
    """Where in a model the map of a path of `layer_linears` is."""
    return path if path.startswith(("steps.", _MAPS)) else f"encoder.layers.{path}"
