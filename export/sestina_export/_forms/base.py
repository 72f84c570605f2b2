"""How the parts of an encoder are written into a graph.

The encoder is traced through its own forward pass. A `Form` says what stands in for its linear maps, its
token table and the core of its attention while that happens, so that the graph has the nodes of its target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, cast

import onnx
from torch import Tensor, nn

from sestina_export._forms.counts import Counts
from sestina_export._forms.fused import FusedAttention, fused_nodes
from sestina_export._forms.head import finish_rows, pool_rows, saturate
from sestina_export._forms.linears import layer_linears, place_of
from sestina_export._forms.nodes import Gemm, single_node
from sestina_export._forms.one_token import attentions, last_input, pooled_token
from sestina_export._forms.pieces import InPieces, highest
from sestina_export._forms.scores import HeadNorms
from sestina_export._forms.token_results import token_rows
from sestina_model.attention import AttentionCore
from sestina_model.sentence import SentenceEncoder, SentenceOutput

__all__ = [
    "TRACED_LENGTH",
    "Float32Form",
    "Form",
    "RowEncoder",
    "RowForm",
    "TracedEncoder",
    "float32_linear",
    "longest",
    "written_as",
]


TRACED_LENGTH = 9  # parity is measured at no text of this length


class TracedEncoder(Protocol):
    """The module that is traced: ids, and a mask where the form has one, to all that a graph gives."""

    @property
    def attention(self) -> AttentionCore:
        """What stands in for the core of every attention."""

    @property
    def head_norms(self) -> HeadNorms:
        """What each head passes in the core, by how its layer scores; `written_as` fills it."""

    def eval(self) -> Any:
        """As every `nn.Module`: itself, without dropout."""


class Form(Protocol):
    """A way to write an encoder."""

    def encoder(self, model: SentenceEncoder) -> TracedEncoder:
        """The module to trace."""

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:
        """What stands in for a layer's linear map; it takes and gives what `encoder` has between them."""

    def part(self, module: nn.Module) -> nn.Module | None:
        """What stands in for another part of the encoder, such as a norm; None: itself."""

    def table(self, table: Tensor) -> nn.Module:
        """What looks up rows of the token table (vocab, D), scaled already: (B, S) -> (B, S, D)."""

    @property
    def rewrites_weights(self) -> bool:
        """Whether `finish` reads and writes the graph's weights, which then must be part of it."""

    def finish(self, graph: onnx.ModelProto) -> None:
        """Write in place what only a whole graph can have, such as another type of all its numbers."""

    def expected_nodes(self, counts: Counts) -> Mapping[str, int]:
        """How often an operator must occur for every layer to have come out as intended."""


class RowForm:
    """What the forms for exact lengths share: rows instead of a batch, fused attention, no mask."""

    rewrites_weights = False

    def encoder(self, model: SentenceEncoder) -> RowEncoder:
        """Linear maps between rows (B * S, width)."""
        return RowEncoder(model)

    def part(self, module: nn.Module) -> nn.Module | None:
        """One node for what has a kernel of its own."""
        return single_node(module)

    def finish(self, graph: onnx.ModelProto) -> None:
        """Nothing is left to write."""


def float32_linear(linear: nn.Linear) -> nn.Module:
    """The map itself: on rows the exporter makes one Gemm of it, but for one without a bias."""
    return Gemm(linear) if linear.bias is None else linear


class Float32Form(RowForm):
    """Linear maps as Gemm with their bias, the table as it is."""

    def linear(self, path: str, linear: nn.Linear) -> nn.Module:  # noqa: ARG002  the protocol's name
        """One Gemm."""
        return float32_linear(linear)

    def table(self, table: Tensor) -> nn.Module:
        """A float32 embedding."""
        return nn.Embedding(table.shape[0], table.shape[1], _weight=table)

    def expected_nodes(self, counts: Counts) -> Mapping[str, int]:
        """A Gemm for each linear map of a layer, and its attention in one."""
        return {"Gemm": counts.linears, **fused_nodes(counts)}


class RowEncoder(nn.Module):
    """A sentence encoder that sees its batch as rows, one a token: (B * S, D) between the sublayers.

    Every sublayer but the core of attention treats positions alone, so the batch needs no third axis, and
    a linear map with its bias is one Gemm. Batches hold texts of one length, so there is no mask.
    """

    def __init__(self, model: SentenceEncoder) -> None:
        super().__init__()
        self.model = model
        self.fused = FusedAttention(attentions(model), longest(model))

    @property
    def attention(self) -> AttentionCore:
        """One node a layer."""
        return self.fused.forward

    @property
    def head_norms(self) -> HeadNorms:
        """Those of the fused attention."""
        return self.fused.head_norms

    def forward(
        self, ids: Tensor, start: Tensor | None = None, types: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """(B, S) int64, (1,) int64 the first token that is pooled where the head leaves prompts out, or how
        many tokens are attended to where the head fills texts up with others, and (B, S) int64 token types
        where texts have such -> vectors (B, d), or of each token (B, S, d), hidden states (B, S, D), and what
        else there is of each token.
        """
        x = self.embed(ids, types)
        self.fused.begin(ids, start if self.model.head.by_token else None)
        token = pooled_token(self.model)
        if self.model.head.by_token:
            rows = self.model.encoder.transform(x.flatten(0, 1))
            return SentenceOutput(finish_rows(self.model, rows).view(*x.shape[:2], -1), rows.view(x.shape))
        if self.model.head.sparse:
            rows = self.model.encoder.transform(x.flatten(0, 1))
            logits = highest(self.model.steps, rows, ids)
            return SentenceOutput(saturate(self.model, logits), rows.view(x.shape))
        if token is None:
            hidden = self.model.encoder.transform(x.flatten(0, 1)).view(x.shape)
            state = pool_rows(hidden, self.model.head.pooling, start)
        else:
            with last_input(self.model) as seen:
                hidden = self.model.encoder.transform(x.flatten(0, 1)).view(x.shape)
            state = self._state_of_one(seen[-1].view(x.shape)[:, token], token)
        return (finish_rows(self.model, state), hidden, *token_rows(self.model, hidden))

    def _state_of_one(self, rows: Tensor, token: int) -> Tensor:
        """The last layer on the rows of one token of each text, after it ran on all. (B, D) -> (B, D)."""
        encoder = self.model.encoder
        self.fused.only(token)
        rows = list(encoder.stack())[-1](rows)
        return rows if encoder.final_norm is None else encoder.final_norm(rows)

    def embed(self, ids: Tensor, types: Tensor | None) -> Tensor:
        """(B, S) -> (B, S, D)."""
        x: Tensor = self.model.encoder.embed(ids, types)
        return x


def longest(model: SentenceEncoder) -> int:
    """Tokens of the longest text that a graph need read, and at least as many as are traced."""
    return min(model.encoder.config.max_positions, max(model.head.max_tokens, TRACED_LENGTH))


@contextmanager
def written_as(form: Form, model: SentenceEncoder) -> Iterator[Any]:
    """Yield a module to trace, in which the form stands in; the model is whole again after the block."""
    encoder, traced = model.encoder, form.encoder(model)
    with ExitStack() as restored:
        for attention in attentions(model):
            # Heads are split in the core, and once: what norms each head goes there.
            norms = attention.query_norm, attention.key_norm
            traced.head_norms[attention.scoring] = tuple(norm and (form.part(norm) or norm) for norm in norms)
            names = {"core": traced.attention, "query_norm": None, "key_norm": None}
            restored.enter_context(_set(attention, names))
        weight, scale = encoder.tokens.weight.detach(), encoder.embedding_scale
        # Of large encoders the table is half of all weights: it is not copied for nothing.
        table = form.table(weight if scale == 1 else weight * scale)
        restored.enter_context(_set(encoder, {"tokens": table, "embedding_scale": 1.0}))
        parts = {f"encoder.{path}": form.part(module) for path, module in encoder.named_modules() if path}
        linears = {place_of(path): form.linear(path, linear) for path, linear in layer_linears(model).items()}
        for path, part in {**parts, **linears}.items():
            if part is not None:
                parent, _, name = path.rpartition(".")
                restored.enter_context(_set(model.get_submodule(parent), {name: part}))
        if model.head.sparse and isinstance(traced, RowEncoder):
            decoder = model.steps[-1]
            pieces = InPieces(cast("nn.Module", decoder.linear), model.dimensions)
            restored.enter_context(_set(decoder, {"linear": pieces}))
        yield traced.eval()


@contextmanager
def _set(module: nn.Module, values: Mapping[str, object]) -> Iterator[None]:
    """Attributes of a module as given, and as they were after the block."""
    before = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
