"""The fingerprint of an embedding space: two bundles with the same one give comparable vectors."""

from __future__ import annotations

import hashlib
import json

from sestina_model._state import state_of
from sestina_model.checkpoint import Checkpoint

__all__ = ["space_of"]


def space_of(checkpoint: Checkpoint) -> str:
    """SHA-256 (hex) over what determines a vector: configuration, head, tokenizer, float32 weights.

    Precision and target are left out on purpose: variants of one bundle share its space. So are dropout,
    the name and empty prompts, which change no vector. The similarity is part of the head.
    """
    model = checkpoint.model
    config = model.encoder.config.to_dict()
    del config["dropout"]
    head = model.head.to_dict()
    if "prompts" in head:
        head["prompts"] = {name: text for name, text in head["prompts"].items() if text}
    digest = hashlib.sha256(b"sestina space 1\n")
    digest.update(json.dumps([config, head], sort_keys=True).encode())
    digest.update(hashlib.sha256(checkpoint.tokenizer.to_str().encode()).digest())
    for name, tensor in sorted(state_of(model).items()):
        digest.update(f"\n{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()
