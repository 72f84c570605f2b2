"""What attention adds to a score for the distance between two tokens.

A number for each head and bucket of distances (Raffel et al. 2020, section 2.1; MPNet has the same), or
products of content with embeddings of distances (He et al. 2021, "DeBERTa", section 3.1).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sestina_model.config import EncoderConfig
from sestina_model.norms import make_norm

__all__ = ["DisentangledBias", "DistanceEmbeddings", "RelativeBias", "bucket_of", "signed_bucket_of"]


def bucket_of(distance: Tensor, buckets: int, furthest: int) -> Tensor:
    """The bucket of a distance, key minus query.

    Half of the buckets are for keys that come after the query. Of each half, one half again is for one
    distance each, and the rest grow with its logarithm up to `furthest`. int64 -> int64, the same shape.
    """
    half = buckets // 2
    exact = half // 2
    size = distance.abs()
    # In float32 and in this order as in the models trained so: at a bucket's edge the last bit decides.
    growth = torch.log(size.clamp(min=exact).to(torch.float32) / exact) / math.log(furthest / exact)
    wide = (exact + (growth * (half - exact)).to(torch.int64)).clamp(max=half - 1)
    return torch.where(size < exact, size, wide) + (distance > 0).to(torch.int64) * half


def signed_bucket_of(distance: Tensor, buckets: int, furthest: int) -> Tensor:
    """A distance, query minus key, as it is up to half of `buckets`, and beyond by its logarithm.

    Section A.5 of He et al. 2021, "DeBERTaV3", has it. int64 -> int64, the same shape.
    """
    middle = buckets // 2
    size = distance.abs()
    ratio = torch.log(size.clamp(min=middle) / middle) / torch.log(torch.tensor((furthest - 1) / middle))
    wide = (torch.ceil(ratio * (middle - 1)) + middle).to(torch.int64)
    return torch.where(size <= middle, distance, wide * distance.sign())


def _distances(length: int, device: torch.device) -> Tensor:
    """Key minus query for every two of S tokens: (S, S), query by key."""
    places = torch.arange(length, device=device)
    return places[None, :] - places[:, None]


class RelativeBias(nn.Module):
    """A table (buckets, H): what each head adds to the scores of a bucket of distances."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.buckets, self.furthest = config.relative_buckets or 0, config.relative_distance
        self.table = nn.Parameter(torch.empty(self.buckets, config.n_heads))

    def by_distance(self, longest: int) -> Tensor:
        """What is added at distance d, key minus query, in row longest - 1 + d. (2 longest - 1, H)."""
        distances = torch.arange(1 - longest, longest, device=self.table.device)
        return F.embedding(bucket_of(distances, self.buckets, self.furthest), self.table)

    def forward(self, q: Tensor, k: Tensor) -> Tensor:  # noqa: ARG002  what other biases depend on
        """Of queries and keys (B, S, ...), only their number counts. -> (1, H, S, S)."""
        buckets = bucket_of(_distances(q.shape[1], q.device), self.buckets, self.furthest)
        return F.embedding(buckets, self.table).permute(2, 0, 1)[None]


class DistanceEmbeddings(nn.Module):
    """A vector for each distance that is told apart, of one table for all layers.

    Attributes:
        span: Distances in each direction; row span + d is that of d, query minus key.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.buckets, self.furthest = config.relative_buckets, config.relative_distance
        self.span = self.furthest if self.buckets is None else self.buckets
        self.table = nn.Parameter(torch.empty(2 * self.span, config.d_model))
        self.norm = make_norm(config, config.d_model) if config.relative_norm else None

    def forward(self) -> Tensor:
        """All of them. Returns: (2 span, D)."""
        return self.table if self.norm is None else self.norm(self.table)

    def rows(self, length: int, device: torch.device) -> Tensor:
        """The row for every two of S tokens: (S, S) int64, query by key."""
        distances = -_distances(length, device)
        if self.buckets is not None:
            distances = signed_bucket_of(distances, self.buckets, self.furthest)
        return (distances + self.span).clamp(0, 2 * self.span - 1)


class DisentangledBias(nn.Module):
    """Query times the key of a distance, and key times the query of a distance, as far as configured.

    The maps belong to the attention that this is part of; here they are only used.
    """

    def __init__(
        self, config: EncoderConfig, distances: DistanceEmbeddings, key: nn.Linear, query: nn.Linear
    ) -> None:
        super().__init__()
        self.terms, self.n_heads, self.scale = config.relative_terms, config.n_heads, config.scale
        self._used = (distances, key, query)  # in a tuple: registered where they belong

    @property
    def distances(self) -> DistanceEmbeddings:
        """The embeddings, which all layers share."""
        return self._used[0]

    def tables(self) -> tuple[Tensor | None, Tensor | None]:
        """The keys and the queries of all distances, (2 span, H * K) each, constants of a layer.

        None for that whose product is not among the terms.
        """
        distances, key, query = self._used
        rows = distances()
        return (
            key(rows) if "content_to_position" in self.terms else None,
            query(rows) if "position_to_content" in self.terms else None,
        )

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """Queries and keys (B, S, H * K) -> (B, H, S, S), scaled as scores are."""
        keys, queries = self.tables()
        rows = self.distances.rows(q.shape[1], q.device)  # (S, S)
        added = q.new_zeros(())
        if keys is not None:
            products = self._products(q, keys)  # (B, H, S, 2 span), a query and a distance
            added = added + products.gather(-1, rows.expand(*products.shape[:2], -1, -1))
        if queries is not None:
            products = self._products(k, queries)  # a key and a distance
            added = added + products.gather(-1, rows.T.expand(*products.shape[:2], -1, -1)).transpose(-1, -2)
        return added * self.scale

    def _products(self, content: Tensor, table: Tensor) -> Tensor:
        heads = content.view(*content.shape[:2], self.n_heads, -1).transpose(1, 2)  # (B, H, S, K)
        return heads @ table.view(len(table), self.n_heads, -1).permute(1, 2, 0)  # times (H, K, 2 span)
