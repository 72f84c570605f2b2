"""The choices of the newer families, each alone, and what of them no family of the tests has."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sestina_model._errors import ConfigError
from sestina_model._weights import build_encoder
from sestina_model.attention import MultiHeadAttention
from sestina_model.config import EncoderConfig
from sestina_model.encoder import TransformerEncoder
from sestina_model.feed_forward import ACTIVATIONS
from sestina_model.pretrained.families.keys import ACTIVATIONS as NAMES
from sestina_model.relative import bucket_of, signed_bucket_of
from sestina_model.rotary import RotaryTable, turn
from sestina_model.rotary_config import RotaryConfig

SMALL = {"vocab_size": 50, "n_layers": 2, "d_model": 16, "n_heads": 4, "d_ff": 24, "max_positions": 40}
SMALL |= {"scale_embeddings": False}
ROTARY = {"positions": "rotary", "rotary": RotaryConfig(theta=50.0)}
IDS = torch.arange(3, 33)[None]


def encoder_of(**choices: Any) -> TransformerEncoder:
    torch.manual_seed(1)
    return TransformerEncoder(EncoderConfig(**{**SMALL, **choices})).eval()


def hidden(encoder: TransformerEncoder, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.inference_mode():
        return encoder(ids)  # type: ignore[no-any-return]


@pytest.mark.parametrize("interleaved", [False, True])
def test_a_turn_is_a_product_of_complex_numbers(interleaved: bool) -> None:
    config = RotaryConfig(theta=30.0, width=8, interleaved=interleaved, magnitude=1.5)
    table = RotaryTable(config, 12, 20)
    x = torch.randn(2, 3, 20, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rate = 30.0 ** -(torch.arange(4, dtype=torch.float64) / 4)
    angles = torch.arange(20, dtype=torch.float64)[:, None] * rate
    pairs = (
        x[..., :8].unflatten(-1, (4, 2))
        if interleaved
        else x[..., :8].unflatten(-1, (2, 4)).transpose(-1, -2)
    )
    turned = torch.view_as_real(
        torch.view_as_complex(pairs.contiguous()) * torch.polar(torch.full_like(angles, 1.5), angles)
    )
    expected = turned.flatten(-2) if interleaved else turned.transpose(-1, -2).flatten(-2)
    found = table(x.float())
    assert torch.allclose(found[..., :8].double(), expected, atol=1e-5)
    assert torch.equal(found[..., 8:], x[..., 8:].float())  # the rest of a head stays
    other = turn(x.float(), table.cos, table.sin, interleaved=not interleaved)
    assert not torch.allclose(other[..., :8].double(), expected, atol=1e-2)


def test_scores_of_rotary_positions_depend_on_the_distance_alone() -> None:
    table = RotaryTable(RotaryConfig(), 8, 30)
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    turned = [table(x.expand(1, 1, 30, 8))[0, 0] for x in (q, k)]
    scores = turned[0] @ turned[1].T
    for distance in (-7, 0, 3):
        assert float(scores.diagonal(distance).std()) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_activations_are_those_of_transformers(name: str) -> None:
    activations = pytest.importorskip("transformers.activations")
    x = torch.linspace(-12, 12, 2001)
    assert torch.allclose(ACTIVATIONS[NAMES[name]]()(x), activations.ACT2FN[name](x), atol=1e-6)  # type: ignore[index]


def test_every_function_of_transformers_is_read_but_those_with_weights() -> None:
    activations = pytest.importorskip("transformers.activations")
    assert set(activations.ACT2FN) - set(NAMES) == {"prelu", "xielu"}
    assert set(NAMES.values()) == set(ACTIVATIONS)


def test_buckets_of_distances() -> None:
    near = bucket_of(torch.tensor([-3, -1, 0, 1, 3]), 32, 128).tolist()
    assert near == [3, 1, 0, 17, 19]  # key minus query: what comes after is in the other half
    assert bucket_of(torch.tensor([-127, -128, -5000, 128, 5000]), 32, 128).tolist() == [15, 15, 15, 31, 31]
    assert signed_bucket_of(torch.tensor([-4, 0, 3, 4]), 8, 64).tolist() == [-4, 0, 3, 4]
    assert signed_bucket_of(torch.tensor([-63, 63, 64]), 8, 64)[:2].tolist() == [-7, 7]


def test_a_window_and_a_causal_mask() -> None:
    encoder = encoder_of(**ROTARY, causal=True, window=2, local_layers=(1,))
    full, local = (weights[0, 0] > 0 for weights in encoder.attention_weights(IDS[:, :8]))
    assert torch.equal(full, torch.ones(8, 8).tril().bool())
    assert torch.equal(local, torch.ones(8, 8).tril().triu(-2).bool())
    far = torch.cat((torch.full_like(IDS[:, :4], 49), IDS[:, 4:]), 1)
    both = encoder_of(**ROTARY, window=2, local_layers=(0, 1))
    a, b = hidden(both), hidden(both, far)
    assert torch.equal(a[:, 8:], b[:, 8:])  # 2 layers of 2 tokens to each side
    assert not torch.allclose(a[:, 7], b[:, 7])


@pytest.mark.parametrize(
    "choices", [{"n_kv_heads": 2}, {"n_kv_heads": 1}, {"d_k": 6, "query_key_norm": True}]
)
def test_heads(choices: dict[str, Any]) -> None:
    """Grouped heads are heads of repeated keys and values; weights times values are the core."""
    encoder = encoder_of(**ROTARY, **choices)
    attention = encoder.layers[0].attention
    assert isinstance(attention, MultiHeadAttention)
    x = encoder.embed(IDS)
    scoring = attention.scoring
    times = scoring.n_heads // scoring.n_kv_heads
    values = (
        attention.value(x).unflatten(-1, (scoring.n_kv_heads, -1)).repeat_interleave(times, 2).transpose(1, 2)
    )
    mixed = (attention.weights(x) @ values).transpose(1, 2).flatten(2)
    assert torch.allclose(attention(x), attention.output(mixed), atol=1e-6)
    assert attention.key.out_features == scoring.n_kv_heads * scoring.d_head


def test_shared_layers_are_one_module() -> None:
    encoder = encoder_of(n_layers=4, shared_layers=(0, 1, 0, 1))
    assert len(encoder.layers) == 2
    assert [
        layer is encoder.layers[number] for layer, number in zip(encoder.stack(), (0, 1, 0, 1), strict=True)
    ] == [True] * 4
    assert len(encoder.attention_weights(IDS)) == 4
    apart = encoder_of(n_layers=4)
    for layer, number in zip(apart.layers, (0, 1, 0, 1), strict=True):
        layer.load_state_dict(encoder.layers[number].state_dict())
    apart.tokens.load_state_dict(encoder.tokens.state_dict())
    assert torch.equal(hidden(apart), hidden(encoder))


EVERY = [
    {**ROTARY, "local_rotary": RotaryConfig(theta=9.0), "window": 3, "local_layers": (1,), "norm": "pre"}
    | {"first_norm": False, "norm_bias": False, "gated": True, "feed_forward_bias": "output"},
    {"positions": "learned", "relative": "disentangled", "relative_distance": 9, "relative_norm": True}
    | {"relative_terms": ("content_to_position", "position_to_content"), "relative_own_maps": True},
    {"positions": "none", "relative": "layer", "relative_buckets": 8, "norm": "sandwich", "norm_kind": "rms"},
    {
        "positions": "none",
        "relative": "shared",
        "relative_buckets": 8,
        "d_embedding": 6,
        "norm_embeddings": True,
    },
    {"positions": "none", "n_layers": 0},
]


@pytest.mark.parametrize(
    "choices", EVERY, ids=["windows", "disentangled", "sandwich", "factorised", "static"]
)
def test_copies_and_what_is_read_back_are_the_same(choices: dict[str, Any]) -> None:
    encoder = encoder_of(**choices)
    expected = hidden(encoder)
    twin = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.zero_()
    assert torch.equal(hidden(twin), expected)  # a copy refers to nothing of the first
    config = EncoderConfig.from_dict(json.loads(json.dumps(twin.config.to_dict())))
    assert config == twin.config
    read = build_encoder(config, twin.state_dict(), Path("weights"))  # made on the meta device
    assert torch.equal(hidden(read), expected)
    assert torch.equal(hidden(copy.deepcopy(twin).double().float()), expected)


def test_fresh_weights_are_drawn_for_every_choice() -> None:
    for choices in EVERY:
        encoder = encoder_of(**choices)
        assert all(bool(parameter.isfinite().all()) for parameter in encoder.parameters())
        norms = [module for module in encoder.modules() if isinstance(module, nn.RMSNorm | nn.LayerNorm)]
        assert all(bool((norm.weight == 1).all()) for norm in norms)


def test_what_is_as_before_is_not_written() -> None:
    assert list(EncoderConfig(vocab_size=9).to_dict())[-1] == "pad_id"
    assert EncoderConfig(vocab_size=9, **ROTARY).to_dict()["rotary"] == {"theta": 50.0}  # type: ignore[arg-type]
    assert EncoderConfig(vocab_size=9, gated=True).later_choices() == ("gated",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"positions": "rotary"},
            "rotary is None; positions 'rotary' need it to say how queries and keys turn",
        ),
        ({"rotary": {"theta": 9.0}}, "rotary is set; positions are 'sinusoidal' and must be 'rotary'"),
        ({"rotary": 7}, "rotary is 7; it must be an object"),
        ({"rotary": {"thetas": 7}}, "rotary has unknown names: thetas"),
        ({"rotary": {"theta": True}}, "rotary theta is True; it must be a number above 1"),
        (
            {"rotary": {"scaling": "ntk"}},
            "rotary scaling is 'ntk'; it must be one of none, linear, yarn, llama3",
        ),
        (
            {"positions": "rotary", "rotary": {"width": 6}},
            "rotary turns 6 dimensions of a head; it must be an even",
        ),
        ({"n_kv_heads": 3}, "n_heads is 4; it must be a multiple of n_kv_heads, which is 3"),
        ({"n_kv_heads": 0}, "n_kv_heads is 0; it must be a whole number of at least 1"),
        ({"local_layers": [1]}, "local_layers is set; window or local_rotary must say how they differ"),
        (
            {"local_layers": [2], "window": 1},
            "local_layers is (2,); it must list whole numbers of at least 0",
        ),
        ({"local_layers": [1, 0], "window": 1}, "local_layers is (1, 0); its numbers must ascend"),
        ({"local_layers": 1, "window": 1}, "local_layers is 1; it must list whole numbers"),
        (
            {"shared_layers": [0]},
            "shared_layers is (0,); it must name for each of the 2 layers one of the weights",
        ),
        ({"shared_layers": [1, 1]}, "shared_layers is (1, 1); it must name for each of the 2 layers"),
        ({"shared_layers": [0, 0], "first_norm": False}, "shared_layers is set; layers of one weight cannot"),
        ({"relative": "shared"}, "relative_buckets is None; relative 'shared' needs at least 4"),
        (
            {"relative": "shared", "relative_buckets": 64, "relative_distance": 16},
            "relative_distance is 16 and",
        ),
        ({"relative": "disentangled"}, "relative is 'disentangled' and relative_terms ()"),
        (
            {"relative_terms": ["content"]},
            "relative_terms is ('content',); it must list some of content_to_position",
        ),
        ({"relative": "alibi"}, "relative is 'alibi'; it must be one of none, shared, layer, disentangled"),
        ({"attention_scale": 0}, "attention_scale is 0; it must be a number above 0"),
        ({"attention_scale": float("inf")}, "attention_scale is inf; it must be a number above 0"),
        ({"gated": 1}, "gated is 1; it must be true or false"),
        ({"norm_kind": "batch"}, "norm_kind is 'batch'; it must be one of layer, rms"),
        ({"activation": "swiglu"}, "activation is 'swiglu'; it must be one of relu, gelu, gelu_tanh"),
        ({"feed_forward_bias": True}, "feed_forward_bias is True; it must be one of all, output, none"),
    ],
)
def test_choices_that_do_not_fit(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EncoderConfig.from_dict({**SMALL, **values})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
