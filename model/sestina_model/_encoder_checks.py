"""Which values of an encoder's configuration one can be built from, each alone and all together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from sestina_model._checks import (
    check_choice,
    check_count,
    check_fraction,
    check_number,
    check_switch,
    is_number,
    is_whole,
)
from sestina_model._errors import ConfigError
from sestina_model.choices import (
    Activation,
    DisentangledTerm,
    FeedForwardBias,
    Norm,
    NormKind,
    Positions,
    Projection,
    Relative,
    TokenTypes,
)
from sestina_model.rotary_config import RotaryConfig

if TYPE_CHECKING:
    from sestina_model.config import EncoderConfig

__all__ = ["check_encoder"]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "activation": get_args(Activation),
    "norm": get_args(Norm),
    "norm_kind": get_args(NormKind),
    "positions": get_args(Positions),
    "projection": get_args(Projection),
    "relative": get_args(Relative),
    "feed_forward_bias": get_args(FeedForwardBias),
    "token_types": get_args(TokenTypes),
}
_COUNTS = ("vocab_size", "n_layers", "d_model", "n_heads", "d_ff", "max_positions")
_OPTIONAL_COUNTS = ("d_embedding", "n_kv_heads", "d_k", "window", "relative_buckets", "n_token_types")
_SWITCHES = (
    "scale_embeddings", "norm_embeddings", "gated", "first_norm", "norm_bias", "attention_bias",
    "projection_bias", "query_key_norm", "causal", "relative_norm", "relative_own_maps",
)  # fmt: skip
_MOST, _MOST_LAYERS = 2**24, 1024  # beyond any encoder; shapes are made of them before weights are seen


def check_encoder(config: EncoderConfig) -> None:
    """Hold a configuration to what its fields may be.

    Raises:
        ConfigError: Naming the first that is not, and what is allowed.
    """
    for name in _COUNTS:
        layers = name == "n_layers"
        check_count(name, getattr(config, name), _MOST_LAYERS if layers else _MOST, 0 if layers else 1)
    for name in _OPTIONAL_COUNTS:
        if getattr(config, name) is not None:
            check_count(name, getattr(config, name), _MOST)
    check_count("relative_distance", config.relative_distance, _MOST, 2)
    for name, allowed in _CHOICES.items():
        check_choice(name, getattr(config, name), allowed)
    for name in _SWITCHES:
        check_switch(name, getattr(config, name))
    if not is_number(config.dropout) or not 0.0 <= config.dropout < 1.0:
        raise ConfigError(f"dropout is {config.dropout!r:.60}; it must be at least 0 and below 1")
    check_fraction("layer_norm_eps", config.layer_norm_eps)
    if not is_whole(config.pad_id) or not 0 <= config.pad_id < config.vocab_size:
        raise ConfigError(
            f"pad_id is {config.pad_id!r:.60}; it must be at least 0 and below {config.vocab_size}"
        )
    if config.n_token_types is not None and config.token_types != "none":
        raise ConfigError(
            f"n_token_types is {config.n_token_types} and token_types {config.token_types!r}; types that are "
            "told apart are not folded"
        )
    if config.attention_scale is not None:
        check_number("attention_scale", config.attention_scale)
    _check_heads(config)
    _check_layers(config)
    _check_positions(config)
    _check_relative(config)


def _check_heads(config: EncoderConfig) -> None:
    if config.d_k is None and config.d_model % config.n_heads:
        raise ConfigError(
            f"d_model is {config.d_model}; it must be a multiple of n_heads, which is {config.n_heads}"
        )
    if config.n_heads % config.kv_heads:
        raise ConfigError(
            f"n_heads is {config.n_heads}; it must be a multiple of n_kv_heads, which is {config.kv_heads}"
        )


def _check_layers(config: EncoderConfig) -> None:
    shared, local, n_layers = config.shared_layers, config.local_layers, config.n_layers
    for name, numbers in (("shared_layers", shared), ("local_layers", local)):
        if not isinstance(numbers, tuple) or not all(
            is_whole(number) and 0 <= number < max(n_layers, 1) for number in numbers
        ):
            raise ConfigError(
                f"{name} is {numbers!r:.60}; it must list whole numbers of at least 0 and below {n_layers}"
            )
    if list(local) != sorted(set(local)):
        raise ConfigError(f"local_layers is {local!r:.60}; its numbers must ascend")
    if shared:
        if len(shared) != n_layers or set(shared) != set(range(max(shared) + 1)):
            raise ConfigError(
                f"shared_layers is {shared!r:.60}; it must name for each of the {n_layers} layers one of the "
                "weights, which are counted from 0 without a gap"
            )
        if local or not config.first_norm:
            raise ConfigError("shared_layers is set; layers of one weight cannot be local or lack a norm")
    if local and config.window is None and config.local_rotary is None:
        raise ConfigError("local_layers is set; window or local_rotary must say how they differ")


def _check_positions(config: EncoderConfig) -> None:
    if config.positions == "sinusoidal" and config.embedding_width % 2:
        raise ConfigError(f"d_model is {config.d_model}; sinusoidal positions need an even width")
    for name, rotary in (("rotary", config.rotary), ("local_rotary", config.local_rotary)):
        if rotary is None:
            if name == "rotary" and config.positions == "rotary":
                raise ConfigError(
                    "rotary is None; positions 'rotary' need it to say how queries and keys turn"
                )
            continue
        if not isinstance(rotary, RotaryConfig):
            raise ConfigError(f"{name} is {rotary!r:.60}; it must be a RotaryConfig")
        if config.positions != "rotary":
            raise ConfigError(f"{name} is set; positions are {config.positions!r} and must be 'rotary'")
        width = config.d_head if rotary.width is None else rotary.width
        if width % 2 or width > config.d_head:
            raise ConfigError(
                f"{name} turns {width} dimensions of a head; it must be an even number of at most "
                f"{config.d_head}"
            )


def _check_relative(config: EncoderConfig) -> None:
    terms, buckets = config.relative_terms, config.relative_buckets
    allowed = get_args(DisentangledTerm)
    if not isinstance(terms, tuple) or not set(terms) <= set(allowed) or len(set(terms)) != len(terms):
        raise ConfigError(f"relative_terms is {terms!r:.60}; it must list some of {', '.join(allowed)}")
    if bool(terms) != (config.relative == "disentangled"):
        raise ConfigError(
            f"relative is {config.relative!r} and relative_terms {terms!r:.60}; 'disentangled' has terms, no "
            "other has"
        )
    if config.relative == "disentangled" and config.kv_heads != config.n_heads:
        raise ConfigError(f"n_kv_heads is {config.kv_heads}; disentangled attention needs {config.n_heads}")
    if config.relative in ("shared", "layer") and (buckets is None or buckets < 4):
        raise ConfigError(f"relative_buckets is {buckets!r}; relative {config.relative!r} needs at least 4")
    if buckets is None or config.relative == "none":
        return
    exact = buckets // 2 + 1 if config.relative == "disentangled" else buckets // 4
    if config.relative_distance <= exact or buckets < 4:
        raise ConfigError(
            f"relative_distance is {config.relative_distance} and relative_buckets {buckets}; buckets must "
            f"be at least 4, and the distance above {exact}"
        )
