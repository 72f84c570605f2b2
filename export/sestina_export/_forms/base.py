"""How the parts of an encoder are written into a graph.

The encoder is traced through its own forward pass. A `Form` says what stands in for its linear maps, its
token table and the core of its attention while that happens, so that the graph has the nodes of its target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import onnx
import torch
from torch import Tensor, nn

from sestina_model.config import EncoderConfig
from sestina_model.encoder import AttentionCore, MultiHeadAttention
from sestina_model.sentence import SentenceEncoder, SentenceOutput, pool

__all__ = [
    "TRACED_LENGTH",
    "Float32Form",
    "Form",
    "RowEncoder",
    "RowForm",
    "TracedEncoder",
    "layer_linears",
    "longest",
    "written_as",
]


TRACED_LENGTH = 9  # parity is measured at no text of this length


class TracedEncoder(Protocol):
    """The module that is traced: ids, and a mask where the form has one, to a `SentenceOutput`."""

    @property
    def attention(self) -> AttentionCore:
        """What stands in for the core of every attention."""

    def eval(self) -> Any:
        """As every `nn.Module`: itself, without dropout."""


class Form(Protocol):
    """A way to write an encoder."""

    def encoder(self, model: SentenceEncoder) -> TracedEncoder:
        """The module to trace."""

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:
        """What stands in for a layer's linear map; it takes and gives what `encoder` has between them."""

    def table(self, table: Tensor) -> nn.Module:
        """What looks up rows of the token table (vocab, D), scaled already: (B, S) -> (B, S, D)."""

    @property
    def rewrites_weights(self) -> bool:
        """Whether `finish` reads and writes the graph's weights, which then must be part of it."""

    def finish(self, graph: onnx.ModelProto) -> None:
        """Write in place what only a whole graph can have, such as another type of all its numbers."""

    def expected_nodes(self, config: EncoderConfig) -> Mapping[str, int]:
        """How often an operator must occur for every layer to have come out as intended."""


class RowForm:
    """What the forms for exact lengths share: rows instead of a batch, fused attention, no mask."""

    rewrites_weights = False

    def encoder(self, model: SentenceEncoder) -> RowEncoder:
        """Linear maps between rows (B * S, width)."""
        return RowEncoder(model)

    def finish(self, graph: onnx.ModelProto) -> None:
        """Nothing is left to write."""


class Float32Form(RowForm):
    """Linear maps as Gemm with their bias, the table as it is."""

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:  # noqa: ARG002  the protocol's name
        """The map itself: on rows the exporter makes one Gemm of it."""
        return linear

    def table(self, table: Tensor) -> nn.Module:
        """A float32 embedding."""
        return nn.Embedding(table.shape[0], table.shape[1], _weight=table)

    def expected_nodes(self, config: EncoderConfig) -> Mapping[str, int]:
        """Six Gemm nodes a layer, and its attention in one."""
        n = config.n_layers
        return {"Gemm": 6 * n, "MultiHeadAttention": n, "Softmax": 0}


class _FusedAttention:
    """softmax(Q K^T / sqrt(K)) V as one com.microsoft.MultiHeadAttention node, without a mask.

    Without a mask onnxruntime's CPU kernel takes its flash path: no S x S matrix in memory.
    """

    def __init__(self) -> None:
        self.shape = torch.Size((0, 0))  # (B, S) of the batch whose rows come next

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, n_heads: int) -> Tensor:
        """(B * S, D) -> (B * S, D)."""
        if mask is not None:
            raise ValueError("this form has no mask: rows of a batch are of one length")
        shape = (*self.shape, q.shape[-1])
        attended = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (q.view(shape), k.view(shape), v.view(shape)),
            {"num_heads": n_heads},
            dtype=q.dtype,
            shape=shape,
            version=1,
        )
        return attended.flatten(0, 1)


class RowEncoder(nn.Module):
    """A sentence encoder that sees its batch as rows, one a token: (B * S, D) between the sublayers.

    Every sublayer but the core of attention treats positions alone, so the batch needs no third axis, and
    a linear map with its bias is one Gemm. Batches hold texts of one length, so there is no mask.
    """

    def __init__(self, model: SentenceEncoder) -> None:
        super().__init__()
        self.model = model
        self.attention = _FusedAttention()

    def forward(self, ids: Tensor) -> SentenceOutput:
        """(B, S) int64 -> vectors (B, D) and hidden states (B, S, D)."""
        x = self.embed(ids)
        self.attention.shape = x.shape[:2]
        hidden = self.model.encoder.transform(x.flatten(0, 1)).view(x.shape)
        return SentenceOutput(self.model.finish(self._pool(hidden)), hidden)

    def embed(self, ids: Tensor) -> Tensor:
        """(B, S) -> (B, S, D)."""
        x: Tensor = self.model.encoder.embed(ids)
        return x

    def _pool(self, hidden: Tensor) -> Tensor:
        """The mean as a product with ones: onnxruntime's ReduceMean adds one text up in another order than
        several, and a vector would depend on its neighbours in the last bit.
        """
        pooling = self.model.head.pooling
        if pooling != "mean":
            return pool(hidden, None, pooling)
        length = hidden.shape[1]
        return (hidden.new_ones(1, length) @ hidden).squeeze(1) / length


def longest(model: SentenceEncoder) -> int:
    """Tokens of the longest text that a graph need read, and at least as many as are traced."""
    return min(model.encoder.config.max_positions, max(model.head.max_tokens, TRACED_LENGTH))


def layer_linears(model: SentenceEncoder) -> dict[str, nn.Linear]:
    """The linear maps of all layers by their path in the encoder, six a layer."""
    modules = model.encoder.layers.named_modules()
    return {path: module for path, module in modules if isinstance(module, nn.Linear)}


@contextmanager
def written_as(form: Form, model: SentenceEncoder) -> Iterator[Any]:
    """Yield a module to trace, in which the form stands in; the model is whole again after the block."""
    encoder, traced = model.encoder, form.encoder(model)
    cores = [module for module in encoder.modules() if isinstance(module, MultiHeadAttention)]
    linears = layer_linears(model)
    old_cores = [module.core for module in cores]
    old_table, old_scale = encoder.tokens, encoder.embedding_scale
    try:
        table = old_table.weight.detach()  # of large encoders half of all weights: not copied for nothing
        encoder.tokens = form.table(table if old_scale == 1 else table * old_scale)  # type: ignore[assignment]
        encoder.embedding_scale = 1.0
        for module in cores:
            module.core = traced.attention
        for path, linear in linears.items():
            encoder.layers.set_submodule(path, form.linear(path, linear))
        yield traced.eval()
    finally:
        encoder.tokens, encoder.embedding_scale = old_table, old_scale
        for module, core in zip(cores, old_cores, strict=True):
            module.core = core
        for path, linear in linears.items():
            encoder.layers.set_submodule(path, linear)
