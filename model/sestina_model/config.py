"""What an encoder is, as data: the one configuration of the family.

The defaults are the base model of "Attention Is All You Need" (Vaswani et al. 2017, table 3). The other
choices exist so that its pretrained relatives (BERT, DistilBERT, RoBERTa, XLM-R) are the same module.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sestina_model._errors import ConfigError
from sestina_model.head_config import HeadConfig as HeadConfig
from sestina_model.head_config import Pooling as Pooling

Activation = Literal["relu", "gelu"]
Norm = Literal["post", "pre"]
Positions = Literal["sinusoidal", "learned", "counted"]
TokenTypes = Literal["none", "folded"]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "activation": get_args(Activation),
    "norm": get_args(Norm),
    "positions": get_args(Positions),
    "token_types": get_args(TokenTypes),
}
_COUNTS = ("vocab_size", "n_layers", "d_model", "n_heads", "d_ff", "max_positions")
_MOST, _MOST_LAYERS = 2**24, 1024  # beyond any encoder; shapes are made of them before weights are seen


def is_whole(value: object) -> bool:
    """Whether a value is an integer, and neither true nor false."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Shape and choices of a `TransformerEncoder`.

    Attributes:
        vocab_size: Rows of the token table.
        n_layers: N, identical layers of two sublayers each (section 3.1).
        d_model: D, the width of the embedding and of every sublayer's output.
        n_heads: H, attention heads; d_k = d_v = d_model / n_heads (section 3.2.2).
        d_ff: Inner width of the position-wise feed-forward network (section 3.3).
        activation: "relu" as in the paper, or the exact (erf) "gelu" of BERT.
        norm: "post": LayerNorm(x + Sublayer(x)), as in the paper; "pre": x + Sublayer(LayerNorm(x)),
            with one more LayerNorm after the last layer.
        positions: "sinusoidal" (section 3.5, computed, no parameters), "learned" (a table), or "counted" (a
            table too, but only tokens that are not `pad_id` take a position, wherever that id stands; row 0
            is its own: RoBERTa).
        max_positions: The longest sequence, in tokens.
        scale_embeddings: Whether token embeddings are multiplied by sqrt(d_model) (section 3.4).
        norm_embeddings: Whether a LayerNorm follows the sum of token and position embeddings (BERT).
        token_types: "folded" records that a pretrained token-type row 0 has been added to the token
            table when the checkpoint was imported; the module itself never needs token types.
        dropout: Probability, on sublayer outputs and on the embedding sum (section 5.4).
        layer_norm_eps: Added to the variance in every LayerNorm.
        pad_id: The token id that fills the end of a shorter row of a batch.

    Raises:
        ConfigError: Where a value is not one that the encoder can be built from.
    """

    vocab_size: int
    n_layers: int = 6
    d_model: int = 512
    n_heads: int = 8
    d_ff: int = 2048
    activation: Activation = "relu"
    norm: Norm = "post"
    positions: Positions = "sinusoidal"
    max_positions: int = 512
    scale_embeddings: bool = True
    norm_embeddings: bool = False
    token_types: TokenTypes = "none"
    dropout: float = 0.1
    layer_norm_eps: float = 1e-5
    pad_id: int = 0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            value, most = getattr(self, name), _MOST_LAYERS if name == "n_layers" else _MOST
            if not is_whole(value) or value < 1:
                raise ConfigError(f"{name} is {value!r:.60}; it must be a whole number of at least 1")
            if value > most:
                raise ConfigError(f"{name} is {value!r:.60}; it must be at most {most}")
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(f"{name} is {value!r:.60}; it must be one of {', '.join(allowed)}")
        for name in ("scale_embeddings", "norm_embeddings"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r:.60}; it must be true or false")
        if self.d_model % self.n_heads:
            raise ConfigError(
                f"d_model is {self.d_model}; it must be a multiple of n_heads, which is {self.n_heads}"
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ConfigError(f"d_model is {self.d_model}; sinusoidal positions need an even width")
        if not _is_number(self.dropout) or not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout is {self.dropout!r:.60}; it must be at least 0 and below 1")
        if not _is_number(self.layer_norm_eps) or not 0.0 < self.layer_norm_eps < 1.0:
            raise ConfigError(
                f"layer_norm_eps is {self.layer_norm_eps!r:.60}; it must be above 0 and below 1"
            )
        if not is_whole(self.pad_id) or not 0 <= self.pad_id < self.vocab_size:
            raise ConfigError(
                f"pad_id is {self.pad_id!r:.60}; it must be at least 0 and below {self.vocab_size}"
            )

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
        """d_k = d_v, the width of one head."""
        return self.d_model // self.n_heads

    @property
    def position_rows(self) -> int:
        """Rows of the position table: one a position, and where positions are counted one for `pad_id`."""
        return self.max_positions + (self.positions == "counted")

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON values, in declaration order."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderConfig:
        """Read what `to_dict` wrote.

        Raises:
            ConfigError: On an unknown or missing name, or a value that is not allowed.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"unknown configuration names: {', '.join(unknown)}")
        if "vocab_size" not in values:
            raise ConfigError("vocab_size is missing from the configuration")
        return cls(**values)
