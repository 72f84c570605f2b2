"""The sentence head: pooling against plain loops, normalisation, and the length limit."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sestina_model._errors import ConfigError
from sestina_model.config import EncoderConfig, HeadConfig, Pooling
from sestina_model.encoder import TransformerEncoder
from sestina_model.sentence import SentenceEncoder, pool

POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "max")
N_REAL = [5, 3, 1, 0]  # real tokens of each row; the last is all padding
MASK = torch.arange(5) < torch.tensor(N_REAL)[:, None]


def random_hidden() -> Tensor:
    """(4, 5, 6), all below zero, so that a maximum that reads padding as 0 shows."""
    return -torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(4)) - 0.5


def encoder() -> TransformerEncoder:
    torch.manual_seed(5)
    config = EncoderConfig(vocab_size=40, n_layers=2, d_model=32, n_heads=4, d_ff=64, max_positions=12)
    return TransformerEncoder(config).eval()


def batch() -> Tensor:
    ids = torch.randint(1, 40, (4, 5), generator=torch.Generator().manual_seed(6))
    return ids.masked_fill(~MASK, 0)


def pooled_by_hand(tokens: list[list[float]], pooling: Pooling) -> list[float]:
    if not tokens:
        return [0.0] * 6
    if pooling == "cls":
        return tokens[0]
    columns = [[token[d] for token in tokens] for d in range(6)]
    return [max(column) if pooling == "max" else math.fsum(column) / len(column) for column in columns]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_reads_the_real_tokens_only(pooling: Pooling) -> None:
    hidden = random_hidden()
    expected = [pooled_by_hand(hidden[row, :n].tolist(), pooling) for row, n in enumerate(N_REAL)]
    torch.testing.assert_close(pool(hidden, MASK, pooling), torch.tensor(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_without_a_mask_reads_every_token(pooling: Pooling) -> None:
    hidden = random_hidden()
    expected = [pooled_by_hand(row.tolist(), pooling) for row in hidden]
    torch.testing.assert_close(pool(hidden, None, pooling), torch.tensor(expected), rtol=0, atol=1e-6)
    everything = torch.ones(4, 5, dtype=torch.bool)
    torch.testing.assert_close(pool(hidden, None, pooling), pool(hidden, everything, pooling))


def test_negative_control_the_poolings_differ_and_the_mask_counts() -> None:
    hidden = random_hidden()
    vectors = [pool(hidden, MASK, pooling)[:2] for pooling in POOLINGS]
    for i in range(3):
        assert float((vectors[i] - vectors[i - 1]).abs().max()) > 0.01
    assert float((pool(hidden, MASK, "mean") - pool(hidden, None, "mean"))[1].abs().max()) > 0.01


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_row_of_padding_gives_zeros(pooling: Pooling, normalize: bool) -> None:
    model = SentenceEncoder(encoder(), HeadConfig(pooling=pooling, normalize=normalize, max_tokens=12))
    with torch.no_grad():
        vectors = model(batch(), MASK).sentence_embedding
    assert torch.equal(vectors[3], torch.zeros(32))
    assert bool(vectors[:3].any(1).all())


@pytest.mark.parametrize("pooling", POOLINGS)
def test_normalised_vectors_have_norm_one_and_the_same_direction(pooling: Pooling) -> None:
    raw, unit = (
        SentenceEncoder(encoder(), HeadConfig(pooling=pooling, normalize=normalize, max_tokens=12))
        for normalize in (False, True)
    )
    with torch.no_grad():
        long = raw(batch()).sentence_embedding
        short = unit(batch()).sentence_embedding
    torch.testing.assert_close(short.norm(dim=1), torch.ones(4), rtol=0, atol=1e-6)
    assert float((long.norm(dim=1) - 1).abs().min()) > 0.01
    torch.testing.assert_close(short * long.norm(dim=1, keepdim=True), long)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_vector_of_a_padded_text_equals_that_of_the_text_alone(pooling: Pooling) -> None:
    model = SentenceEncoder(encoder(), HeadConfig(pooling=pooling, max_tokens=12))
    ids = batch()
    with torch.no_grad():
        together = model(ids, MASK).sentence_embedding
        for row, n_real in enumerate(N_REAL[:3]):
            alone = model(ids[row : row + 1, :n_real]).sentence_embedding[0]
            torch.testing.assert_close(together[row], alone, rtol=0, atol=1e-6)


def test_the_output_holds_the_hidden_states_of_the_encoder() -> None:
    model = SentenceEncoder(encoder(), HeadConfig(max_tokens=12))
    out = model(batch(), MASK)
    assert out._fields == ("sentence_embedding", "last_hidden_state")
    assert torch.equal(out.last_hidden_state, model.encoder(batch(), MASK))
    assert out.sentence_embedding.shape == (4, 32)


def test_a_length_limit_beyond_the_positions_is_refused() -> None:
    assert SentenceEncoder(encoder(), HeadConfig(max_tokens=12)).head.max_tokens == 12
    with pytest.raises(ConfigError) as caught:
        SentenceEncoder(encoder(), HeadConfig(max_tokens=13))
    assert str(caught.value) == "max_tokens is 13; this encoder has positions for 12"
