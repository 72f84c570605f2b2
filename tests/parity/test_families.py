"""Each imported family, from the folder that `transformers` saves to the vectors the runtime gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

import sestina
from _tiny import TEXTS, tiny_roberta, tiny_wordpiece, tiny_xlm_roberta
from sestina_export import export

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}


def bert(vocabulary: int) -> Any:
    return transformers.BertModel(
        transformers.BertConfig(vocab_size=vocabulary, max_position_embeddings=40, **SIZES)
    )


def distilbert(vocabulary: int) -> Any:
    return transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=vocabulary, max_position_embeddings=40, dim=32, n_layers=3, n_heads=4, hidden_dim=64
        )
    )


def roberta(vocabulary: int) -> Any:
    return transformers.RobertaModel(
        transformers.RobertaConfig(vocab_size=vocabulary, max_position_embeddings=42, pad_token_id=1, **SIZES)
    )


def xlm_roberta(vocabulary: int) -> Any:
    return transformers.XLMRobertaModel(
        transformers.XLMRobertaConfig(
            vocab_size=vocabulary, max_position_embeddings=42, pad_token_id=1, **SIZES
        )
    )


FAMILIES: dict[str, tuple[Callable[[int], Any], Callable[[], Tokenizer]]] = {
    "bert": (bert, tiny_wordpiece),
    "distilbert": (distilbert, tiny_wordpiece),
    "roberta": (roberta, tiny_roberta),
    "xlm-roberta": (xlm_roberta, tiny_xlm_roberta),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_reaches_the_runtime(family: str, tmp_path: Path) -> None:
    make, make_tokenizer = FAMILIES[family]
    tokenizer = make_tokenizer()
    torch.manual_seed(7)
    model = make(tokenizer.get_vocab_size()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "checkpoint")
    tokenizer.save(str(tmp_path / "checkpoint" / "tokenizer.json"))

    # The exporter asserts, layer by layer, that each came out as its variant promises.
    bundle = export(tmp_path / "checkpoint", tmp_path / "out.sestina").path
    texts = [text for text in TEXTS if tokenizer.encode(text).ids]
    with sestina.load(bundle, precision="fp32") as encoder:
        assert encoder.max_tokens == 40
        vectors = encoder.encode(texts, on_truncate="ignore")
        rows = [list(encoder.tokenize(text).ids) for text in texts]
        attentions = [encoder.explain(text, on_truncate="ignore").attention for text in texts]
    with torch.inference_mode():
        means = [model(torch.tensor([row])).last_hidden_state[0].mean(0).numpy() for row in rows]
    reference = np.array(means)  # of a folder without modules.json, as sentence-transformers has it
    np.testing.assert_allclose(vectors, reference, atol=1e-5)
    assert np.abs(vectors - np.roll(reference, 1, axis=0)).max() > 1e-3  # the comparison can fail
    model.set_attn_implementation("eager")  # the one that tells its attention
    for row, attention in zip(rows, attentions, strict=True):
        with torch.inference_mode():
            layers = model(torch.tensor([row]), output_attentions=True).attentions
        np.testing.assert_allclose(attention, torch.cat(layers).numpy(), atol=1e-5)
    with sestina.load(bundle, precision="int8") as encoder:
        near = encoder.encode(texts, on_truncate="ignore")
    lengths = np.linalg.norm(near, axis=1) * np.linalg.norm(reference, axis=1)
    assert ((near * reference).sum(1) / lengths).min() > 0.95
