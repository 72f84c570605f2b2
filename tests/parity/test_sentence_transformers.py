"""Every family end to end: a folder of sentence-transformers becomes a bundle that gives its vectors.

Tiny seeded models with a tokenizer of their own, text by text, from nothing to beyond every window.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sestina
from _tiny import TEXTS, tiny_wordpiece
from sestina_export import export

transformers = pytest.importorskip("transformers")
sentence_transformers = pytest.importorskip("sentence_transformers")

BERT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "pad_token_id": 0,
    "max_position_embeddings": 140,
}  # fmt: skip
LLAMA = {**BERT, "num_key_value_heads": 2, "head_dim": 12}
T5 = {"d_model": 32, "d_kv": 6, "d_ff": 48, "num_layers": 2, "num_heads": 4}
MEAN, CLS, LAST = "mean", "cls", "lasttoken"
# transformers' class, its configuration, pooling, whether vectors are normalised.
FAMILIES: dict[str, tuple[str, dict[str, Any], str, bool]] = {
    "camembert": ("CamembertModel", BERT | {"pad_token_id": 1}, MEAN, True),
    "electra": ("ElectraModel", BERT | {"embedding_size": 20}, CLS, False),
    "albert": ("AlbertModel", BERT | {"embedding_size": 20}, MEAN, False),
    "mpnet": ("MPNetModel", BERT | {"pad_token_id": 1}, MEAN, True),
    "modernbert": ("ModernBertModel", BERT | {"num_hidden_layers": 3, "local_attention": 10}, CLS, True),
    "nomic_bert": ("NomicBertModel", BERT, MEAN, True),
    "gte": ("GteModel", BERT, CLS, True),
    "eurobert": ("EuroBertModel", LLAMA, MEAN, False),
    "gemma3_text": (
        "Gemma3TextModel", LLAMA | {"sliding_window": 8, "use_bidirectional_attention": True}, MEAN, True,
    ),
    "gemma3_text-causal": ("Gemma3TextModel", LLAMA | {"sliding_window": 8}, LAST, True),
    "qwen3": ("Qwen3Model", LLAMA, LAST, True),
    "t5": ("T5EncoderModel", T5, MEAN, True),
    "t5-gated": ("T5EncoderModel", T5 | {"feed_forward_proj": "gated-gelu"}, MEAN, False),
    "deberta-v2": (
        "DebertaV2Model",
        BERT | {"relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm"}
        | {"share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
        CLS, True,
    ),
}  # fmt: skip


def folder_of(family: str, path: Path) -> Path:
    """As `SentenceTransformer.save` writes it."""
    name, config, pooling, normalised = FAMILIES[family]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tiny_wordpiece(), unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=130,
    )  # fmt: skip
    model_class = getattr(transformers, name)
    torch.manual_seed(5)
    model = model_class(model_class.config_class(vocab_size=len(tokenizer), **config)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(path / "transformer")
    tokenizer.save_pretrained(path / "transformer")
    modules = sentence_transformers.sentence_transformer.modules
    transformer = modules.Transformer(str(path / "transformer"))
    transformer.max_seq_length = 120
    listed = [transformer, modules.Pooling(32, pooling_mode=pooling)]
    whole = sentence_transformers.SentenceTransformer(
        modules=[*listed, *([modules.Normalize()] if normalised else [])],
        prompts={"query": "the query is: ", "document": ""},
        device="cpu",
    )
    whole.save(str(path / "saved"))
    return path / "saved"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vectors_of_sentence_transformers(family: str, tmp_path: Path) -> None:
    folder = folder_of(family, tmp_path)
    reference = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    bundle = export(folder, tmp_path / "out.sestina", precisions=["fp32"]).path
    texts = [*TEXTS, "model tokens " * 25, "the transformer is a model " * 40]
    with sestina.load(bundle, threads=1) as encoder:
        assert encoder.max_tokens == 120
        vectors = np.array([encoder.encode(text, on_truncate="ignore") for text in texts])
        together = encoder.encode(texts, on_truncate="ignore")
        queries = encoder.encode_query(texts[:3])
    wanted = np.array([reference.encode([text], show_progress_bar=False)[0] for text in texts])
    size = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(vectors, wanted, rtol=0, atol=1e-5 * size)
    np.testing.assert_allclose(together, wanted, rtol=0, atol=1e-5 * size)
    assert np.abs(vectors - np.roll(wanted, 1, axis=0)).max() > 1e-3 * size  # the comparison can fail
    asked = np.array([reference.encode_query([text], show_progress_bar=False)[0] for text in texts[:3]])
    np.testing.assert_allclose(queries, asked, rtol=0, atol=1e-5 * size)
    assert np.abs(queries - wanted[:3]).max() > 1e-3 * size
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["provenance"]["tokenizer_compared"] == transformers.__version__
