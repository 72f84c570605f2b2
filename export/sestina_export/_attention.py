"""How the core of attention is written into a graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from sestina_model.encoder import AttentionCore, MultiHeadAttention, TransformerEncoder

__all__ = ["FUSED", "AttentionForm", "attention_written_as"]


@dataclass(frozen=True, slots=True)
class AttentionForm:
    """A way to write softmax(Q K^T / sqrt(K)) V.

    Attributes:
        operator: The graph node that one layer's core becomes.
        core: What stands in for the core while the encoder is traced.
    """

    operator: str
    core: AttentionCore


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, n_heads: int) -> Tensor:
    """One com.microsoft.MultiHeadAttention node: (B, S, D) in and out, no mask.

    Without a mask onnxruntime's CPU kernel takes its flash path (no S x S matrix in memory).
    """
    if mask is not None:
        raise ValueError("the fused form has no mask: rows of a batch are of one length")
    return torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        (q, k, v),
        {"num_heads": n_heads},
        dtype=q.dtype,
        shape=q.shape,
        version=1,
    )


FUSED = AttentionForm("MultiHeadAttention", _fused)


@contextmanager
def attention_written_as(form: AttentionForm, encoder: TransformerEncoder) -> Iterator[None]:
    """Put the form's core into every layer of the encoder for the length of the block."""
    modules = [module for module in encoder.modules() if isinstance(module, MultiHeadAttention)]
    cores = [module.core for module in modules]
    try:
        for module in modules:
            module.core = form.core
        yield
    finally:
        for module, core in zip(modules, cores, strict=True):
            module.core = core
