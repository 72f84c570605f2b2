"""What of an encoder differs in each family, small: for graphs, whose proof needs no folder of transformers'.

`tests/model/test_families.py` holds the module to transformers; with these the graphs are held to the module.
docs/targets.py renders its table from the same data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sestina_model.checkpoint import Checkpoint
    from sestina_model.config import EncoderConfig

_SMALL: Mapping[str, Any] = {
    "n_layers": 2, "d_model": 16, "n_heads": 4, "d_ff": 24, "max_positions": 48, "scale_embeddings": False,
}  # fmt: skip
_BERT: Mapping[str, Any] = {"positions": "learned", "activation": "gelu", "norm_embeddings": True}
_BARE: Mapping[str, Any] = {"gated": True, "attention_bias": False, "feed_forward_bias": "none"}
_ROTARY: Mapping[str, Any] = {"positions": "rotary", "rotary": {"theta": 1000.0}}
_RMS: Mapping[str, Any] = {"norm": "pre", "norm_kind": "rms"}
_T5: Mapping[str, Any] = {
    **_RMS, "positions": "none", "d_k": 6, "attention_scale": 1.0, "relative": "shared", "relative_buckets": 8,
    "relative_distance": 12, "attention_bias": False, "feed_forward_bias": "none",
}  # fmt: skip
_GEMMA: Mapping[str, Any] = {
    **_BARE, **_ROTARY, **_RMS, "norm": "sandwich", "local_rotary": {"theta": 100.0}, "window": 4,
    "local_layers": (0,), "activation": "gelu_tanh", "n_kv_heads": 1, "d_k": 8, "query_key_norm": True,
    "attention_scale": 0.3, "scale_embeddings": True,
}  # fmt: skip
_DISENTANGLED: Mapping[str, Any] = {
    **_BERT, "relative": "disentangled", "relative_distance": 30, "relative_buckets": 12, "relative_norm": True,
    "relative_terms": ("content_to_position", "position_to_content"), "positions": "none",
}  # fmt: skip

# By what the family is called, and behind a comma what it may have besides.
TRAITS: Mapping[str, Mapping[str, Any]] = {
    "bert, distilbert": _BERT,
    "roberta, xlm-roberta, camembert": {**_BERT, "positions": "counted"},
    "electra": {**_BERT, "d_embedding": 8},
    "albert": {**_BERT, "d_embedding": 8, "activation": "gelu_tanh", "shared_layers": (0, 0)},
    "mpnet": {
        **_BERT, "positions": "counted", "relative": "shared", "relative_buckets": 8, "relative_distance": 20,
    },
    "modernbert": {
        **_BARE, **_ROTARY, "local_rotary": {"theta": 100.0}, "window": 4, "local_layers": (1,), "norm": "pre",
        "first_norm": False, "norm_bias": False, "norm_embeddings": True, "activation": "gelu",
    },
    "nomic_bert": {**_BARE, **_ROTARY, "norm_embeddings": True, "activation": "silu"},
    "gte": {
        **_ROTARY, "rotary": {"theta": 500.0, "scaling": "linear", "factor": 2.0}, "norm_embeddings": True,
        "activation": "gelu", "gated": True, "feed_forward_bias": "output",
    },
    "jina_embeddings_v3": {**_ROTARY, "norm_embeddings": True, "activation": "gelu"},
    "eurobert": {**_BARE, **_ROTARY, **_RMS, "n_kv_heads": 2, "activation": "silu"},
    "gemma3_text": _GEMMA,
    "gemma3_text, causal": {**_GEMMA, "causal": True},
    "qwen3": {
        **_BARE, **_ROTARY, **_RMS, "n_kv_heads": 2, "d_k": 8, "query_key_norm": True, "activation": "silu",
        "causal": True,
    },
    "t5, mt5": {**_T5, "activation": "relu"},
    "umt5": {**_T5, "relative": "layer", "activation": "gelu_tanh", "gated": True},
    "deberta-v2": _DISENTANGLED,
    "deberta-v2, first version": {
        **_DISENTANGLED, "positions": "learned", "relative_buckets": None, "relative_norm": False,
        "relative_own_maps": True,
    },
    "static embeddings": {"n_layers": 0, "positions": "none", "n_heads": 1, "d_ff": 1},
}  # fmt: skip


def family_config(family: str, vocab_size: int = 60, **changes: Any) -> EncoderConfig:
    """A small encoder of one of `TRAITS`."""
    from sestina_model.config import EncoderConfig

    return EncoderConfig.from_dict({"vocab_size": vocab_size, **_SMALL, **TRAITS[family], **changes})


def family_checkpoint(family: str, *, pooling: str = "mean", seed: int = 0, **changes: Any) -> Checkpoint:
    """Such an encoder with seeded weights, a WordPiece tokenizer, and a limit beyond every window."""
    from _tiny import perturb, tiny_wordpiece
    from sestina_model.checkpoint import Checkpoint
    from sestina_model.config import HeadConfig
    from sestina_model.encoder import TransformerEncoder
    from sestina_model.sentence import SentenceEncoder

    tokenizer = tiny_wordpiece()
    config = family_config(family, tokenizer.get_vocab_size(), **changes)
    head = HeadConfig.from_dict({"pooling": pooling, "max_tokens": 40})
    model = SentenceEncoder(TransformerEncoder(config), head)
    perturb(model, seed)
    return Checkpoint(model=model.eval(), tokenizer=tokenizer, name=family, licence=None, source_sha256=None)
