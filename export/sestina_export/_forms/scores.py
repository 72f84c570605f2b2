"""What a graph adds to the scores of attention: by distance, beyond a window, and by content and distance.

Distances are those of texts without padding, so what depends on them alone is the same for all texts of a
batch, and is made once a graph, of constants and the length.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_export._forms.counts import GROUPED_MULTIPLE
from sestina_model.attention import Scoring
from sestina_model.relative import DisentangledBias, RelativeBias

# By how a layer scores: what each head's query and key pass first, if anything.
HeadNorms = dict[Scoring, tuple[nn.Module | None, ...]]

__all__ = ["Disentangled", "HeadNorms", "ScoreTerms", "is_grouped", "is_local"]

_BEYOND = -10000.0  # added to the scores of keys beyond a window: exp of it is 0, and float16 holds it


def is_grouped(scoring: Scoring) -> bool:
    """Whether an attention is one com.microsoft.GroupQueryAttention: causal, with nothing added to scores.

    Its kernels take heads of a multiple of eight dimensions.
    """
    return scoring.causal and scoring.bias is None and scoring.d_head % GROUPED_MULTIPLE == 0


def is_local(scoring: Scoring, longest: int) -> bool:
    """Whether a window leaves any token out, of a text that is no longer than this."""
    return scoring.window is not None and scoring.window < longest - 1


class ScoreTerms(nn.Module):
    """Terms that depend on distances alone, each made once a graph.

    Args:
        longest: Tokens of the longest text.
    """

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest
        self._relative: dict[RelativeBias, _ByDistance] = {}
        self.constants = nn.ModuleList()
        self._made: dict[object, Tensor] = {}
        self._length: int = 0

    def add(self, bias: RelativeBias) -> None:
        """Take a table of biases among the constants."""
        if bias not in self._relative:
            self._relative[bias] = _ByDistance(bias.by_distance(self._longest).detach())
            self.constants.append(self._relative[bias])

    def begin(self, length: int) -> None:
        """Texts of this length come next."""
        self._length, self._made = length, {}

    def of_all(self, scoring: Scoring) -> Tensor | None:
        """(1, H or 1, S, S), for every query and key; None: nothing is added."""
        bias = scoring.bias if isinstance(scoring.bias, RelativeBias) else None
        local = is_local(scoring, self._longest) and not is_grouped(scoring)  # those have it in the node
        if bias is None and not local:
            return None
        key = (bias, scoring.window if local else None)
        if key not in self._made:
            relative = None if bias is None else self._relative[bias](self._length)
            window = _beyond(self._length, scoring.window or 0) if local else None
            self._made[key] = _sum(relative, window)
        return self._made[key]

    def of_one(self, token: int, scoring: Scoring) -> Tensor | None:
        """(1, H or 1, 1, S), for the first (0) or last (-1) query alone."""
        if isinstance(scoring.bias, DisentangledBias):
            raise TypeError("what depends on content is not made for one token: see pooled_token")
        local = is_local(scoring, self._longest)
        relative = window = None
        if scoring.bias is not None:
            relative = self._relative[scoring.bias].of_one(self._length, token)
        if local:
            places = torch.arange(self._length)
            distance = places if token == 0 else self._length - 1 - places
            window = torch.where(distance <= (scoring.window or 0), 0.0, _BEYOND)[None, None, None]
        return None if relative is None and window is None else _sum(relative, window)


def _sum(relative: Tensor | None, window: Tensor | None) -> Tensor:
    terms = [term for term in (relative, window) if term is not None]
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def _beyond(length: int, window: int) -> Tensor:
    """(1, 1, S, S), `_BEYOND` where query and key are further apart than the window, else 0."""
    filled = torch.full((length, length), _BEYOND)
    return (filled.triu(window + 1) + filled.tril(-window - 1))[None, None]


class _ByDistance(nn.Module):
    """A bias for each distance, from 1 - longest to longest - 1, of every head."""

    rows: Tensor

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows)  # (2 longest - 1, H), key minus query

    def forward(self, length: int) -> Tensor:
        """(1, H, S, S)."""
        places = torch.arange(length)
        at = places[None, :] - places[:, None] + self.rows.shape[0] // 2
        return F.embedding(at, self.rows).permute(2, 0, 1)[None]

    def of_one(self, length: int, token: int) -> Tensor:
        """(1, H, 1, S), for the first (0) or the last (-1) query."""
        middle = self.rows.shape[0] // 2
        begin, end = (middle, middle + length) if token == 0 else (middle + 1 - length, middle + 1)
        return self.rows[begin:end].T[None, :, None]


class Disentangled(nn.Module):
    """A `DisentangledBias` of constants: of its distances only those that a text has are multiplied.

    Column c of a product is a distance, and a score lies in the column of its own. Shifting each row by one
    more is a matter of reading the same numbers in rows that are one shorter, so nothing is gathered.

    Args:
        bias: Of one layer.
        longest: Tokens of the longest text.
    """

    before: Tensor
    behind: Tensor
    keys: Tensor | None
    queries: Tensor | None

    def __init__(self, bias: DisentangledBias, longest: int) -> None:
        super().__init__()
        self.longest, self.n_heads, self.scale = longest, bias.n_heads, bias.scale
        rows = bias.distances.rows(longest + 1, torch.device("cpu"))  # of queries and keys
        ahead = torch.cat((rows[0].flip(0), rows[1:, 0]))  # by query minus key, from -longest to longest
        self.register_buffer("behind", ahead)
        self.register_buffer("before", ahead.flip(0))
        with torch.no_grad():
            keys, queries = bias.tables()
        for name, table in (("keys", keys), ("queries", queries)):
            self.register_buffer(name, None if table is None else table.detach().clone())

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """Queries and keys (B, S, H * K) -> (B, H, S, S), scaled as scores are."""
        length, terms = q.shape[1], []
        keys, queries = self.keys, self.queries
        begin, end = self.longest - length + 1, self.longest + length + 1
        if keys is not None:  # of a query: keys from the S - 1 that are before it on
            terms.append(self._shifted(q, F.embedding(self.before[begin:end], keys)))
        if queries is not None:  # of a key: queries in the same order
            terms.append(self._shifted(k, F.embedding(self.behind[begin:end], queries)).transpose(-1, -2))
        return (terms[0] if len(terms) == 1 else terms[0] + terms[1]) * self.scale

    def _shifted(self, content: Tensor, table: Tensor) -> Tensor:
        """(B, S, H * K) and (2 S, H * K) -> (B, H, S, S): of row i the columns from S - 1 - i on."""
        batch, length, width = content.shape
        heads, d_head = self.n_heads, width // self.n_heads
        rows = content.view(batch, length, heads, d_head).transpose(1, 2)  # (B, H, S, K)
        products = rows @ table.view(2 * length, heads, d_head).permute(1, 2, 0)  # (B, H, S, 2 S)
        flat = products.flatten(2)[:, :, length - 1 : 2 * length * length - 1]
        shifted: Tensor = flat.view(batch, heads, length, 2 * length - 1)[..., :length]
        return shifted
