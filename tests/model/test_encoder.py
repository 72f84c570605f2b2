"""The encoder equals PyTorch's own and does what the paper says. B batch, S tokens, D d_model, H heads."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sestina_model._errors import ConfigError
from sestina_model.choices import Activation, Norm
from sestina_model.config import EncoderConfig
from sestina_model.encoder import (
    Layer,
    MultiHeadAttention,
    TransformerEncoder,
    dot_product_attention,
    sinusoidal_positions,
    split_heads,
)

TOLERANCE = 1e-5
SHAPES = [(1, 1), (1, 7), (2, 16), (3, 31), (5, 2)]  # (B, S)


def tiny(norm: Norm = "post", activation: Activation = "relu", *, n_layers: int = 3) -> EncoderConfig:
    return EncoderConfig(
        vocab_size=97,
        n_layers=n_layers,
        d_model=48,
        n_heads=4,
        d_ff=112,
        max_positions=40,
        norm=norm,
        activation=activation,
    )


def seeded(config: EncoderConfig) -> TransformerEncoder:
    """In eval, with biases and gains that are not the trivial 0 and 1."""
    torch.manual_seed(11)
    encoder = TransformerEncoder(config)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return encoder.eval()


def batch(n_rows: int, n_tokens: int, *, padded: bool, vocab_size: int = 97) -> tuple[Tensor, Tensor | None]:
    """Ids (B, S), and a mask under which row i has lost its last i tokens (never all of them)."""
    generator = torch.Generator().manual_seed(n_rows * 1000 + n_tokens)
    ids = torch.randint(1, vocab_size, (n_rows, n_tokens), generator=generator)
    if not padded:
        return ids, None
    real = torch.arange(n_tokens) < (n_tokens - torch.arange(n_rows)).clamp(min=1)[:, None]
    return ids.masked_fill(~real, 0), real


def torch_layer(config: EncoderConfig) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        config.d_model,
        config.n_heads,
        config.d_ff,
        config.dropout,
        activation=config.activation,
        layer_norm_eps=config.layer_norm_eps,
        batch_first=True,
        norm_first=config.norm == "pre",
    )


def copy_layer(ours: Layer, theirs: nn.TransformerEncoderLayer) -> None:
    projections = (ours.attention.query, ours.attention.key, ours.attention.value)
    state = {
        "self_attn.in_proj_weight": torch.cat([p.weight for p in projections]),
        "self_attn.in_proj_bias": torch.cat([p.bias for p in projections]),
    }
    for name, module in (
        ("self_attn.out_proj", ours.attention.output),
        ("linear1", ours.feed_forward.inner),
        ("linear2", ours.feed_forward.output),
        ("norm1", ours.attention_norm),
        ("norm2", ours.feed_forward_norm),
    ):
        state |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    theirs.load_state_dict(state)


def torch_encoder(ours: TransformerEncoder) -> nn.TransformerEncoder:
    config = ours.config
    final_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_eps) if config.norm == "pre" else None
    # Nested tensors drop the padded positions and warn that they are a prototype.
    theirs = nn.TransformerEncoder(
        torch_layer(config), config.n_layers, final_norm, enable_nested_tensor=False
    )
    for mine, layer in zip(ours.layers, theirs.layers, strict=True):
        copy_layer(mine, layer)
    if final_norm is not None:
        assert theirs.norm is not None
        theirs.norm.load_state_dict(ours.final_norm.state_dict())
    return theirs.eval()


def largest(difference: Tensor) -> float:
    return float(difference.detach().abs().max())


def difference(
    ours: TransformerEncoder, theirs: nn.TransformerEncoder, ids: Tensor, mask: Tensor | None
) -> float:
    """Largest absolute difference over all positions, padded ones too."""
    expected = theirs(ours.embed(ids), src_key_padding_mask=None if mask is None else ~mask)
    return largest(ours(ids, mask) - expected)


# Against torch.nn


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_encoder_equals_torch(norm: Norm, activation: Activation, padded: bool) -> None:
    ours = seeded(tiny(norm, activation))
    theirs = torch_encoder(ours)
    for gradients in (True, False):  # without gradients PyTorch runs a fused kernel of its own
        with torch.set_grad_enabled(gradients):
            for shape in SHAPES:
                assert difference(ours, theirs, *batch(*shape, padded=padded)) <= TOLERANCE


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_layer_equals_torch(norm: Norm) -> None:
    ours = seeded(tiny(norm)).layers[1]
    assert isinstance(ours, Layer)
    theirs = torch_layer(tiny(norm)).eval()
    copy_layer(ours, theirs)
    x = torch.randn(3, 11, 48, generator=torch.Generator().manual_seed(1))
    assert largest(ours(x) - theirs(x)) <= TOLERANCE


def test_base_preset_equals_torch() -> None:
    ours = seeded(EncoderConfig.base(97))
    assert difference(ours, torch_encoder(ours), *batch(2, 13, padded=True)) <= TOLERANCE


def flip_one_weight(encoder: TransformerEncoder) -> None:
    weight = encoder.layers[1].feed_forward.output.weight
    with torch.no_grad():
        weight.view(-1)[weight.abs().argmax()] *= -1


def swap_two_norms(encoder: TransformerEncoder) -> None:
    layer = encoder.layers[0]
    layer.attention_norm, layer.feed_forward_norm = layer.feed_forward_norm, layer.attention_norm


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("damage", [flip_one_weight, swap_two_norms])
def test_negative_control_a_damaged_encoder_differs(
    damage: Callable[[TransformerEncoder], None], norm: Norm
) -> None:
    ours = seeded(tiny(norm))
    theirs = torch_encoder(ours)
    damage(ours)
    assert difference(ours, theirs, *batch(2, 16, padded=True)) > 100 * TOLERANCE


def test_negative_control_permuted_rows_differ() -> None:
    ours = seeded(tiny())
    ids, mask = batch(3, 16, padded=True)
    assert mask is not None
    out = ours(ids, mask)
    assert largest(out - out.roll(1, dims=0)) > 100 * TOLERANCE
    ids[:, [2, 5]] = ids[:, [5, 2]]  # positions count too
    assert largest(out - ours(ids, mask)) > 100 * TOLERANCE


def test_negative_control_a_forgotten_mask_differs() -> None:
    ours = seeded(tiny())
    ids, mask = batch(3, 16, padded=True)
    expected = torch_encoder(ours)(ours.embed(ids))
    assert largest(ours(ids, mask) - expected) > 100 * TOLERANCE


# The paper


def test_every_sublayer_and_the_embedding_put_out_d_model() -> None:
    encoder = TransformerEncoder(EncoderConfig.base(50)).eval()
    shapes: dict[str, torch.Size] = {}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            shapes[name] = output.shape

        return hook

    watched = {"tokens": encoder.tokens}
    for i, layer in enumerate(encoder.layers):
        watched[f"{i}"] = layer
        watched |= {f"{i}.{name}": child for name, child in layer.named_children()}
    for name, module in watched.items():
        module.register_forward_hook(record(name))
    with torch.no_grad():
        ids, _ = batch(2, 5, padded=False, vocab_size=50)
        assert encoder.embed(ids).shape == (2, 5, 512)
        encoder(ids)
    names = ("", ".attention", ".attention_norm", ".feed_forward", ".feed_forward_norm", ".dropout")
    assert shapes.keys() == {"tokens"} | {f"{i}{name}" for i in range(6) for name in names}
    assert set(shapes.values()) == {torch.Size((2, 5, 512))}


@pytest.mark.parametrize(("n_positions", "d_model"), [(512, 512), (2048, 6)])
def test_sinusoids_are_the_papers_formula(n_positions: int, d_model: int) -> None:
    table = sinusoidal_positions(n_positions, d_model)
    assert (table.shape, table.dtype) == ((n_positions, d_model), torch.float32)
    for position, row in enumerate(table.tolist()):
        for i in range(d_model // 2):
            angle = position / 10000 ** (2 * i / d_model)
            assert abs(row[2 * i] - math.sin(angle)) <= 1e-7
            assert abs(row[2 * i + 1] - math.cos(angle)) <= 1e-7


def test_embedding_is_scaled_tokens_plus_positions() -> None:
    encoder = seeded(tiny())
    ids, _ = batch(2, 9, padded=False)
    table = encoder.tokens.weight.detach()
    for row, embedded in zip(ids.tolist(), encoder.embed(ids).detach(), strict=True):
        for position, token in enumerate(row):
            expected = table[token] * math.sqrt(48) + sinusoidal_positions(40, 48)[position]
            torch.testing.assert_close(embedded[position], expected, rtol=0, atol=1e-6)


def test_embedding_choices_of_the_pretrained_relatives() -> None:
    values = tiny().to_dict() | {"positions": "learned", "scale_embeddings": False, "norm_embeddings": True}
    encoder = seeded(EncoderConfig.from_dict(values))
    ids, _ = batch(2, 9, padded=False)
    assert encoder.embedding_norm is not None
    expected = encoder.embedding_norm(encoder.tokens.weight[ids] + encoder.positions[:9])
    assert torch.equal(encoder.embed(ids), expected)
    assert "positions" in encoder.state_dict()
    assert "positions" not in seeded(tiny()).state_dict()  # sinusoids are computed, not stored


def test_fresh_embeddings_are_as_large_as_the_positions_and_drawn_from_the_seed() -> None:
    torch.manual_seed(3)
    encoder = TransformerEncoder(EncoderConfig.base(2000)).eval()
    scaled = encoder.tokens.weight.detach() * math.sqrt(512)
    assert float(scaled.std()) == pytest.approx(1.0, abs=0.01)
    torch.manual_seed(3)
    assert torch.equal(TransformerEncoder(EncoderConfig.base(2000)).tokens.weight, encoder.tokens.weight)


# Attention


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_attention_rows_sum_to_one_and_give_padding_nothing(norm: Norm) -> None:
    encoder = seeded(tiny(norm))
    ids, mask = batch(4, 9, padded=True)
    assert mask is not None
    weights = encoder.attention_weights(ids, mask)
    assert len(weights) == 3
    for layer in weights:
        assert layer.shape == (4, 4, 9, 9)  # (B, H, S, S)
        torch.testing.assert_close(layer.sum(-1), torch.ones(4, 4, 9), rtol=0, atol=1e-6)
        assert bool((layer[~mask[:, None, None, :].expand_as(layer)] == 0).all())
        assert bool((layer[mask[:, None, None, :].expand_as(layer)] > 0).all())
        assert largest(layer[:, 0] - layer[:, 1]) > 0.01  # heads associate differently


@pytest.mark.parametrize("padded", [False, True])
def test_attention_weights_times_values_are_the_core(padded: bool) -> None:
    attention = seeded(tiny()).layers[0].attention
    assert isinstance(attention, MultiHeadAttention)
    _, mask = batch(3, 8, padded=padded)
    x = torch.randn(3, 8, 48, generator=torch.Generator().manual_seed(2))
    v = attention.value(x)
    naive = (attention.weights(x, mask) @ split_heads(v, 4)).transpose(1, 2).flatten(2)
    core = dot_product_attention(attention.query(x), attention.key(x), v, mask, attention.scoring)
    torch.testing.assert_close(core, naive, rtol=0, atol=1e-6)


def test_the_core_is_replaceable() -> None:
    encoder = seeded(tiny())
    ids, _ = batch(2, 5, padded=False)
    before = encoder(ids)
    for layer in encoder.layers:
        layer.attention.core = lambda q, k, v, mask, scoring: v
    assert largest(encoder(ids) - before) > 0.01


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_padded_row_equals_its_unpadded_self(norm: Norm) -> None:
    encoder = seeded(tiny(norm))
    ids, mask = batch(6, 24, padded=True)
    assert mask is not None
    with torch.no_grad():
        together = encoder(ids, mask)
        for row, n_real in enumerate(mask.sum(1).tolist()):
            alone = encoder(ids[row : row + 1, :n_real])[0]
            torch.testing.assert_close(together[row, :n_real], alone, rtol=0, atol=1e-6)
        ids[~mask] = 5  # what stands at padded positions is never read
        assert torch.equal(encoder(ids, mask)[mask], together[mask])


# Dropout


def test_dropout_is_off_in_eval_and_on_in_train() -> None:
    encoder = seeded(tiny())
    ids, mask = batch(2, 16, padded=True)
    assert torch.equal(encoder(ids, mask), encoder(ids, mask))
    encoder.train()
    assert not torch.equal(encoder(ids, mask), encoder(ids, mask))


def test_dropout_zeroes_a_tenth_of_the_embedding_and_of_every_sublayer_and_scales_the_rest() -> None:
    encoder = seeded(EncoderConfig.base(50)).train()
    seen: list[tuple[float, float]] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kept = output != 0
        seen.append((1 - float(kept.float().mean()), float((output[kept] / inputs[0][kept]).mean())))

    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(hook)
    torch.manual_seed(0)
    with torch.no_grad():
        encoder(batch(4, 32, padded=False, vocab_size=50)[0])
    assert len(seen) == 1 + 2 * 6
    for zeroed, scale in seen:
        assert zeroed == pytest.approx(0.1, abs=0.01)
        assert scale == pytest.approx(1 / 0.9, abs=1e-4)


# Limits


def test_a_sequence_that_is_too_long_is_refused() -> None:
    encoder = seeded(tiny(n_layers=1))
    assert encoder(batch(1, 40, padded=False)[0]).shape == (1, 40, 48)
    with pytest.raises(ConfigError) as caught:
        encoder(batch(1, 41, padded=False)[0])
    assert str(caught.value) == (
        "the sequence has 41 tokens; this encoder has positions for 40: truncate the text"
    )


def test_gradients_reach_every_parameter() -> None:
    encoder = copy.deepcopy(seeded(tiny("pre")))
    encoder(*batch(2, 9, padded=True)).square().sum().backward()
    unreached = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert unreached == []
