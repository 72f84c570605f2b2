"""The configuration: the paper's presets, and one clear line for each value that is not allowed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from sestina_model._errors import ConfigError, ModelError
from sestina_model.config import EncoderConfig, HeadConfig

# Vaswani et al. 2017, table 3, and sections 3.1, 3.3, 3.4, 3.5, 5.4.
PAPER: dict[str, Any] = {
    "n_layers": 6,
    "activation": "relu",
    "norm": "post",
    "positions": "sinusoidal",
    "scale_embeddings": True,
    "norm_embeddings": False,
    "token_types": "none",
}
BASE = PAPER | {"d_model": 512, "n_heads": 8, "d_ff": 2048, "dropout": 0.1}
BIG = PAPER | {"d_model": 1024, "n_heads": 16, "d_ff": 4096, "dropout": 0.3}


@pytest.mark.parametrize(
    ("config", "expected"), [(EncoderConfig.base(37), BASE), (EncoderConfig.big(37), BIG)]
)
def test_presets_are_table_3(config: EncoderConfig, expected: dict[str, Any]) -> None:
    assert {name: getattr(config, name) for name in expected} == expected
    assert config.vocab_size == 37
    assert config.d_head == 64  # d_k = d_v, in both


def test_the_default_is_the_base_model() -> None:
    assert EncoderConfig(vocab_size=37) == EncoderConfig.base(37)


def test_configurations_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EncoderConfig.base(5).d_model = 1  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        HeadConfig().pooling = "cls"  # type: ignore[misc]


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig.big(99),
        EncoderConfig(
            vocab_size=9,
            norm="pre",
            activation="gelu",
            positions="learned",
            token_types="folded",
            norm_embeddings=True,
            scale_embeddings=False,
            layer_norm_eps=1e-12,
            pad_id=1,
        ),
    ],
)
def test_encoder_config_survives_json(config: EncoderConfig) -> None:
    assert EncoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_head_config_survives_json() -> None:
    config = HeadConfig(pooling="max", normalize=False, max_tokens=7)
    assert HeadConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert HeadConfig.from_dict({}) == HeadConfig(pooling="mean", normalize=True, max_tokens=512)


COUNTS = ("vocab_size", "n_layers", "d_model", "n_heads", "d_ff", "max_positions")


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -3, 1.5, "6", True, None])
def test_counts_must_be_whole_and_positive(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        EncoderConfig.from_dict({"vocab_size": 100, name: value})
    assert str(caught.value) == f"{name} is {value!r}; it must be a whole number of at least 1"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"activation": "silu"}, "activation is 'silu'; it must be one of relu, gelu"),
        ({"norm": "rms"}, "norm is 'rms'; it must be one of post, pre"),
        ({"positions": "rotary"}, "positions is 'rotary'; it must be one of sinusoidal, learned, counted"),
        ({"token_types": 2}, "token_types is 2; it must be one of none, folded"),
        ({"scale_embeddings": 1}, "scale_embeddings is 1; it must be true or false"),
        ({"norm_embeddings": "no"}, "norm_embeddings is 'no'; it must be true or false"),
        ({"n_heads": 7}, "d_model is 512; it must be a multiple of n_heads, which is 7"),
        ({"d_model": 9, "n_heads": 3}, "d_model is 9; sinusoidal positions need an even width"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout is -0.1; it must be at least 0 and below 1"),
        ({"dropout": float("nan")}, "dropout is nan; it must be at least 0 and below 1"),
        ({"dropout": "0.1"}, "dropout is '0.1'; it must be at least 0 and below 1"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps is 0.0; it must be above 0 and below 1"),
        ({"layer_norm_eps": None}, "layer_norm_eps is None; it must be above 0 and below 1"),
        ({"pad_id": 100}, "pad_id is 100; it must be at least 0 and below 100"),
        ({"pad_id": -1}, "pad_id is -1; it must be at least 0 and below 100"),
        ({"pad_id": 0.0}, "pad_id is 0.0; it must be at least 0 and below 100"),
        ({"zeta": 1, "heads": 8}, "unknown configuration names: heads, zeta"),
    ],
)
def test_encoder_config_errors(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EncoderConfig.from_dict({"vocab_size": 100} | values)
    assert str(caught.value) == message


def test_vocab_size_has_no_default() -> None:
    with pytest.raises(ConfigError) as caught:
        EncoderConfig.from_dict({"d_model": 512})
    assert str(caught.value) == "vocab_size is missing from the configuration"


def test_an_odd_width_is_fine_with_learned_positions() -> None:
    assert EncoderConfig(vocab_size=9, d_model=9, n_heads=3, positions="learned").d_head == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pooling": "last"}, "pooling is 'last'; it must be one of mean, cls, max, mean_sqrt"),
        ({"pooling": "mean,cls"}, "pooling is 'mean,cls'; it must be one of mean, cls, max, mean_sqrt"),
        ({"pooling": "mean+"}, "pooling is 'mean+'; it must be one of"),
        ({"pooling": ["mean"]}, "pooling is ['mean']; it must be one of"),
        ({"include_prompt": 0}, "include_prompt is 0; it must be true or false"),
        ({"truncate_dim": 0}, "truncate_dim is 0; it must be a whole number of at least 1, or null"),
        ({"similarity": "cos"}, "similarity is 'cos'; it must be one of cosine, dot, euclidean, manhattan"),
        ({"prompts": ["query: "]}, "prompts is ['query: ']; it must map names to texts"),
        ({"prompts": {"query": 5}}, "prompts has 5; its names and texts must be strings"),
        ({"default_prompt": "q"}, "default_prompt is 'q'; it must be null or the name of a prompt, none"),
        ({"steps": {"kind": "dense"}}, "steps is {'kind': 'dense'}; it must be a list"),
        ({"steps": ["dense"]}, "a step is 'dense'; it must be an object with a kind"),
        ({"steps": [{"kind": "rnn"}]}, "kind is 'rnn'; it must be one of dense, layer_norm, normalize"),
        ({"steps": [{"kind": "dense"}]}, "out_features is None; it must be a whole number from 1 to"),
        ({"steps": [{"kind": "dense", "out_features": 2, "rate": 1}]}, "unknown names in a step: rate"),
        (
            {"steps": [{"kind": "dense", "out_features": 2, "activation": "Softmax"}]},
            "activation is 'Softmax'; it must be one of Identity, Tanh, ReLU",
        ),
        (
            {"steps": [{"kind": "normalize", "bias": False}]},
            "a step of the kind normalize has no further members",
        ),
        ({"normalize": "yes"}, "normalize is 'yes'; it must be true or false"),
        ({"max_tokens": 0}, "max_tokens is 0; it must be a whole number of at least 1"),
        ({"max_tokens": True}, "max_tokens is True; it must be a whole number of at least 1"),
        ({"max_tokens": 2.0}, "max_tokens is 2.0; it must be a whole number of at least 1"),
        ({"prefix": "query: "}, "unknown configuration names: prefix"),
    ],
)
def test_head_config_errors(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HeadConfig.from_dict(values)
    assert str(caught.value).startswith(message)


def test_config_errors_are_value_errors_of_this_package() -> None:
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ConfigError, ModelError)
