"""What an encoder is, as data: the one configuration of the family.

The defaults are the base model of "Attention Is All You Need" (Vaswani et al. 2017, table 3). The other
choices exist so that its pretrained relatives, from BERT to Gemma, are the same module.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sestina_model import choices
from sestina_model._encoder_checks import check_encoder
from sestina_model._errors import ConfigError
from sestina_model.head_config import HeadConfig as HeadConfig
from sestina_model.head_config import Pooling as Pooling
from sestina_model.rotary_config import RotaryConfig

_FIRST = 15  # fields of format version 1's first encoders, which `to_dict` always writes


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Shape and choices of a `TransformerEncoder`.

    Attributes:
        vocab_size: Rows of the token table.
        n_layers: N, layers of two sublayers each (section 3.1); 0: the table alone.
        d_model: D, the width of every sublayer's output.
        n_heads: H, attention heads (section 3.2.2).
        d_ff: Inner width of the position-wise feed-forward network (section 3.3).
        activation: As `feed_forward.ACTIVATIONS` has them.
        norm: "post": Norm(x + Sublayer(x)), as in the paper; "pre": x + Sublayer(Norm(x)), with one more norm
            after the last layer; "sandwich": x + Norm(Sublayer(Norm(x))), and that one too.
        positions: "sinusoidal" (section 3.5, computed, no parameters), "learned" (a table), "counted" (a
            table too, but only tokens that are not `pad_id` take a position, wherever that id stands; row 0
            is its own: RoBERTa), "rotary" (`rotary` turns queries and keys), or "none".
        max_positions: The longest sequence, in tokens.
        scale_embeddings: Whether token embeddings are multiplied by sqrt(d_model) (section 3.4).
        norm_embeddings: Whether a norm follows the sum of token and position embeddings (BERT).
        token_types: "folded" records that a pretrained token-type row 0 has been added to the token
            table when the checkpoint was imported, as a text alone is all of type 0.
        dropout: Probability, on sublayer outputs and on the embedding sum (section 5.4).
        layer_norm_eps: Added to the variance, or the mean square, in every norm.
        pad_id: The token id that fills the end of a shorter row of a batch.
        d_embedding: Width of the tables where a linear map takes them to d_model (Lan et al. 2019), or None.
        projection: Whether that map stands after the embedding norm or before it.
        projection_bias: Whether it has a bias.
        shared_layers: Whose weights each of the N layers has (Lan et al. 2019); empty: each its own.
        norm_kind: "layer" (Ba et al. 2016) or "rms" (Zhang and Sennrich 2019, section 4).
        norm_bias: Whether a LayerNorm has a bias.
        first_norm: Whether a pre-norm encoder has a norm before its first attention.
        gated: Whether the feed-forward network is gated: activation(gate(x)) * inner(x) (Shazeer 2020).
        feed_forward_bias: Which of its linear maps have a bias.
        attention_bias: Whether the four linear maps of attention have one.
        n_kv_heads: G, heads of keys and values, each read by H / G queries (Ainslie et al. 2023); None: H.
        d_k: Width of one head; None: d_model / n_heads.
        query_key_norm: Whether each head's query and key pass an RMSNorm (Henry et al. 2020).
        attention_scale: What scores are multiplied by; None: 1 / sqrt(width of a head).
        causal: Whether a token attends only to itself and those before it.
        window: Tokens to each side that `local_layers` attend to (Beltagy et al. 2020, section 3.1).
        local_layers: The numbers of those layers, in ascending order.
        rotary: How queries and keys turn.
        local_rotary: How they turn in `local_layers`; None: as in the others.
        relative: What is added to scores by distance: "none"; a number a head and bucket of distances, of one
            table for all layers ("shared") or one a layer ("layer") (Raffel et al. 2020, section 2.1);
            "disentangled": products with embeddings of distances (He et al. 2021, section 3.1).
        relative_buckets: Of distances, half of them for each direction; None where each distance has its own.
        relative_distance: From where on all distances are in the last bucket.
        relative_terms: The products of disentangled attention.
        relative_norm: Whether its embeddings pass a norm.
        relative_own_maps: Whether they have linear maps of their own, else those of queries and keys.
        n_token_types: Rows of the table of token types, where texts come in pairs that are told apart by
            these; None: there is none.

    Raises:
        ConfigError: Where a value is not one that the encoder can be built from.
    """

    vocab_size: int
    n_layers: int = 6
    d_model: int = 512
    n_heads: int = 8
    d_ff: int = 2048
    activation: choices.Activation = "relu"
    norm: choices.Norm = "post"
    positions: choices.Positions = "sinusoidal"
    max_positions: int = 512
    scale_embeddings: bool = True
    norm_embeddings: bool = False
    token_types: choices.TokenTypes = "none"
    dropout: float = 0.1
    layer_norm_eps: float = 1e-5
    pad_id: int = 0
    # What follows came later: `to_dict` leaves it out where it holds its default.
    d_embedding: int | None = None
    projection: choices.Projection = "after_norm"
    projection_bias: bool = True
    shared_layers: tuple[int, ...] = ()
    norm_kind: choices.NormKind = "layer"
    norm_bias: bool = True
    first_norm: bool = True
    gated: bool = False
    feed_forward_bias: choices.FeedForwardBias = "all"
    attention_bias: bool = True
    n_kv_heads: int | None = None
    d_k: int | None = None
    query_key_norm: bool = False
    attention_scale: float | None = None
    causal: bool = False
    window: int | None = None
    local_layers: tuple[int, ...] = ()
    rotary: RotaryConfig | None = None
    local_rotary: RotaryConfig | None = None
    relative: choices.Relative = "none"
    relative_buckets: int | None = None
    relative_distance: int = 128
    relative_terms: tuple[choices.DisentangledTerm, ...] = ()
    relative_norm: bool = False
    relative_own_maps: bool = False
    n_token_types: int | None = None

    def __post_init__(self) -> None:
        check_encoder(self)

    @classmethod
    def base(cls, vocab_size: int) -> EncoderConfig:
        """The paper's base model (table 3): N=6, d_model=512, h=8, d_ff=2048, dropout 0.1."""
        return cls(vocab_size=vocab_size)

    @classmethod
    def big(cls, vocab_size: int) -> EncoderConfig:
        """The paper's big model (table 3): N=6, d_model=1024, h=16, d_ff=4096, dropout 0.3."""
        return cls(vocab_size=vocab_size, d_model=1024, n_heads=16, d_ff=4096, dropout=0.3)

    @property
    def d_head(self) -> int:
        """Width of one head."""
        return self.d_model // self.n_heads if self.d_k is None else self.d_k

    @property
    def kv_heads(self) -> int:
        """G, heads of keys and of values."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def scale(self) -> float:
        """What scores are multiplied by."""
        return 1 / math.sqrt(self.d_head) if self.attention_scale is None else self.attention_scale

    @property
    def embedding_width(self) -> int:
        """Width of the token table and of the position table."""
        return self.d_model if self.d_embedding is None else self.d_embedding

    @property
    def has_position_table(self) -> bool:
        """Whether positions are added to the embedding."""
        return self.positions in ("sinusoidal", "learned", "counted")

    @property
    def position_rows(self) -> int:
        """Rows of the position table: one a position, and where positions are counted one for `pad_id`."""
        return self.max_positions + (self.positions == "counted")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON values, in declaration order; newer defaults are left out."""
        values: dict[str, Any] = {}
        first = [field.name for field in dataclasses.fields(self)[:_FIRST]]
        for name in (*first, *self.later_choices()):
            value = getattr(self, name)
            if isinstance(value, RotaryConfig):
                value = value.to_dict()
            values[name] = list(value) if isinstance(value, tuple) else value
        return values

    def later_choices(self) -> tuple[str, ...]:
        """The fields of newer families that do not hold their default."""
        fields = dataclasses.fields(self)[_FIRST:]
        return tuple(field.name for field in fields if getattr(self, field.name) != field.default)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: On an unknown or missing name, or a value that is not allowed.
        """
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise ConfigError(f"unknown configuration names: {', '.join(unknown)}")
        if "vocab_size" not in values:
            raise ConfigError("vocab_size is missing from the configuration")
        read: dict[str, Any] = dict(values)
        for name, value in values.items():
            if name in ("rotary", "local_rotary") and value is not None:
                read[name] = RotaryConfig.from_dict(value, name)
            elif isinstance(value, list):
                read[name] = tuple(value)
        return cls(**read)
        return cls(**values)
