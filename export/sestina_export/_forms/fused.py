"""The core of attention as one node a layer, on texts of one length, so without a mask.

Without anything that is added to scores onnxruntime's kernel of com.microsoft.MultiHeadAttention takes its
flash path: no S x S matrix in memory. What a family adds is made once a graph where it is the same for all
layers. Causal layers are com.microsoft.GroupQueryAttention, which reads each head of keys where it lies and
half of them; others have heads of keys and values repeated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sestina_export._forms.counts import Counts
from sestina_export._forms.nodes import node
from sestina_export._forms.scores import Disentangled, HeadNorms, ScoreTerms, is_grouped, is_local
from sestina_model.attention import MultiHeadAttention, Scoring
from sestina_model.relative import DisentangledBias, RelativeBias
from sestina_model.rotary import RotaryTable

__all__ = ["FusedAttention", "fused_nodes"]


class FusedAttention(nn.Module):
    """What stands in for the core of every attention of an encoder.

    `begin` is told of each batch before its rows come. Where the state of one token is asked for after that
    of all (`only`), the last layer runs once more on rows of that token, and its keys and values are those of
    the run before.

    Args:
        attentions: All attentions of the encoder, each once.
        longest: Tokens of the longest text.
    """

    def __init__(self, attentions: Sequence[MultiHeadAttention], longest: int) -> None:
        super().__init__()
        self._longest = longest
        self.terms = ScoreTerms(longest)
        self._rotary: dict[RotaryTable, _Turn] = {}
        self._disentangled: dict[DisentangledBias, Disentangled] = {}
        for attention in attentions:
            rotary, bias = attention.scoring.rotary, attention.scoring.bias
            if rotary is not None and rotary not in self._rotary:
                self._rotary[rotary] = _Turn(rotary, longest)
            if isinstance(bias, RelativeBias):
                self.terms.add(bias)
            elif bias is not None:
                self._disentangled[bias] = Disentangled(bias, longest)
        self.constants = nn.ModuleList([*self._rotary.values(), *self._disentangled.values()])
        self.head_norms: HeadNorms = {}
        self._only: int | None = None

    def begin(self, ids: Tensor, attended: Tensor | None = None) -> None:
        """Rows of this batch of ids (B, S) come next, of which the first (1,) are attended to; None: all."""
        self._ids, self._only, self._attended = ids, None, attended
        if attended is not None:  # a size of its own: were it that of the ids, nothing would seem to be cut
            self._count: Any = attended.item()
        self._lengths: tuple[Tensor, Tensor] | None = None
        self.terms.begin(ids.shape[1])

    def only(self, token: int) -> None:
        """Rows of one token of each text come next, the first (0) or the last (-1), to the last layer."""
        self._only = token

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scoring: Scoring) -> Tensor:
        """(B * S, H * K) and twice (B * S, G * K) -> (B * S, H * K)."""
        if mask is not None:
            raise ValueError("this form has no mask: rows of a batch are of one length")
        batch, length = self._ids.shape
        query_norm, key_norm = self.head_norms[scoring]
        q = self._normed(q.view(batch, length if self._only is None else 1, q.shape[-1]), query_norm, scoring)
        if self._only is None:
            k, v = (x.view(batch, length, x.shape[-1]) for x in (k, v))
            k = self._normed(k, key_norm, scoring)
            plain_q, plain_k = q, k
            if scoring.rotary is not None:
                turn = self._rotary[scoring.rotary]
                q, k = turn(q, scoring.n_heads, turn.first), turn(k, scoring.n_kv_heads, turn.first)
            added = self._added(plain_q, plain_k, scoring)
            if self._attended is not None:
                k, v = self._cut(k, 1), self._cut(v, 1)
                added = None if added is None else self._cut(added, 3)
            self._last = (k, v)
        else:
            k, v = self._last
            if scoring.rotary is not None:
                turn = self._rotary[scoring.rotary]
                q = turn(q, scoring.n_heads, turn.first if self._only == 0 else self._last_place())
            added = self.terms.of_one(self._only, scoring)
        if self._only is None and is_grouped(scoring):
            return self._causal(q, k, v, scoring).flatten(0, 1)
        return self._all(q, k, v, added, scoring).flatten(0, 1)

    def _cut(self, x: Tensor, axis: int) -> Tensor:
        """Keys, values or what is added to scores, of the tokens that are attended to: the kernel takes fewer
        keys than queries.
        """
        begin, step, shape = torch.tensor([0]), torch.tensor([1]), [*x.shape]
        shape[axis] = self._count
        return node("Slice", (x, begin, self._attended, torch.tensor([axis]), step), shape)

    def _normed(self, x: Tensor, norm: nn.Module | None, scoring: Scoring) -> Tensor:
        """(B, S, H * K) -> the same, each head by itself. 0 keeps an axis as it is: no shape is computed."""
        if norm is None:
            return x
        heads = (*x.shape[:2], x.shape[-1] // scoring.d_head, scoring.d_head)
        split = norm(node("Reshape", (x, torch.tensor([0, 0, -1, scoring.d_head])), heads))
        return node("Reshape", (split, torch.tensor([0, 0, -1])), x.shape)

    def _added(self, q: Tensor, k: Tensor, scoring: Scoring) -> Tensor | None:
        """What is added to scores, (1 or B, H or 1, S, S)."""
        added = self.terms.of_all(scoring)
        if isinstance(scoring.bias, DisentangledBias):
            own: Tensor = self._disentangled[scoring.bias](q, k)
            return own if added is None else own + added
        return added

    def _all(self, q: Tensor, k: Tensor, v: Tensor, added: Tensor | None, scoring: Scoring) -> Tensor:
        attributes: dict[str, float] = {"num_heads": scoring.n_heads, **_scale(scoring)}
        if scoring.causal and self._only is None:
            attributes["unidirectional"] = 1
        k, v = self._repeated(k, scoring), self._repeated(v, scoring)
        operands = (q, k, v) if added is None else (q, k, v, None, None, added)
        return node("com.microsoft::MultiHeadAttention", operands, q.shape, dtype=torch.float32, **attributes)

    def _repeated(self, x: Tensor, scoring: Scoring) -> Tensor:
        """Each head as often as queries read it. (B, S, G * K) -> (B, S, H * K)."""
        times = scoring.n_heads // scoring.n_kv_heads
        if times == 1:
            return x
        batch, length, groups, width = *x.shape[:2], scoring.n_kv_heads, scoring.d_head
        # 0 keeps an axis as it is, so that no shape is computed.
        x = node("Reshape", (x, torch.tensor([0, 0, groups, 1, width])), (batch, length, groups, 1, width))
        x = node("Expand", (x, torch.tensor([1, 1, 1, times, 1])), (batch, length, groups, times, width))
        return node("Reshape", (x, torch.tensor([0, 0, -1])), (batch, length, groups * times * width))

    def _causal(self, q: Tensor, k: Tensor, v: Tensor, scoring: Scoring) -> Tensor:
        """Its further outputs, keys and values to go on with, are not used."""
        attributes: dict[str, float] = {
            "num_heads": scoring.n_heads,
            "kv_num_heads": scoring.n_kv_heads,
            **_scale(scoring),
        }
        if is_local(scoring, self._longest):
            attributes["local_window_size"] = (scoring.window or 0) + 1
        past = (*self._ids.shape, scoring.n_kv_heads, scoring.d_head)
        past = (past[0], past[2], past[1], past[3])
        attended, _, _ = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention",
            (q, k, v, None, None, *self._ends()),
            {**attributes},
            dtypes=(torch.float32,) * 3,
            shapes=(q.shape, past, past),
            version=1,
        )
        return attended

    def _ends(self) -> tuple[Tensor, Tensor]:
        """The place of each text's last token (B,), and the length (): int32, the same for all layers."""
        if self._lengths is None:
            batch = node("Shape", (self._ids,), (1,), dtype=torch.int64, start=0, end=1)
            length = node("Shape", (self._ids,), (1,), dtype=torch.int64, start=1, end=2)
            short = node("Cast", (length,), (1,), dtype=torch.int32, to=_INT32)
            one = torch.tensor([1], dtype=torch.int32)
            last = node("Sub", (short, one), (1,), dtype=torch.int32)
            self._lengths = (
                node("Expand", (last, batch), (self._ids.shape[0],), dtype=torch.int32),
                node("Squeeze", (short,), (), dtype=torch.int32),
            )
        return self._lengths

    def _last_place(self) -> Tensor:
        length = node("Shape", (self._ids,), (1,), dtype=torch.int64, start=1, end=2)
        return node("Sub", (length, torch.tensor([1])), (1,), dtype=torch.int64)


def fused_nodes(counts: Counts) -> Mapping[str, int]:
    """How often operators must occur in a graph of fused parts, its linear maps aside."""
    silu = {"QuickGelu": counts.layers} if counts.config.activation == "silu" else {}
    return {
        "MultiHeadAttention": counts.layers - counts.grouped,
        "GroupQueryAttention": counts.grouped,
        "RotaryEmbedding": (counts.config.rotary is not None) * (2 * counts.config.n_layers + counts.again),
        "Softmax": 0,
        **counts.norms(),
        **silu,
    }


_INT32 = 6  # TensorProto.DataType


def _scale(scoring: Scoring) -> dict[str, float]:
    """The attribute, where it is not what a kernel takes by itself."""
    usual = math.isclose(scoring.scale, scoring.d_head**-0.5, rel_tol=1e-9)
    return {} if usual else {"scale": scoring.scale}


class _Turn(nn.Module):
    """A rotary table as one com.microsoft.RotaryEmbedding: of constants, and no shapes are computed."""

    cos: Tensor
    sin: Tensor
    first: Tensor

    def __init__(self, table: RotaryTable, longest: int) -> None:
        super().__init__()
        self.width, self.interleaved = table.width, table.interleaved
        self.register_buffer("cos", table.cos[:longest].clone())
        self.register_buffer("sin", table.sin[:longest].clone())
        self.register_buffer("first", torch.tensor([0]))  # the place of the first row: the others follow it

    def forward(self, x: Tensor, n_heads: int, begin: Tensor) -> Tensor:
        """(B, S, H * K) -> the same, of rows that lie from `begin` on."""
        attributes: dict[str, float] = {"num_heads": n_heads}
        if self.interleaved:
            attributes["interleaved"] = 1
        if self.width != x.shape[-1] // n_heads:
            attributes["rotary_embedding_dim"] = self.width
        operands = (x, begin, self.cos, self.sin)
        return node("com.microsoft::RotaryEmbedding", operands, x.shape, dtype=torch.float32, **attributes)
