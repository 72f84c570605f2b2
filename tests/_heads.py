"""Folders of models with a head, as transformers and sentence-transformers save them: tiny, seeded, of each family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from _tiny import perturb, tiny_roberta, tiny_wordpiece, tiny_xlm_roberta

_SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 40, "pad_token_id": 0,
}  # fmt: skip
_COUNTED = _SMALL | {"max_position_embeddings": 42, "pad_token_id": 1}
_BRACKETS = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_ANGLES = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
# transformers' class without what it is for, its configuration, its tokenizer and the class of that.
FAMILIES: dict[str, tuple[str, dict[str, Any], Any, str]] = {
    "bert": ("Bert", _SMALL, tiny_wordpiece, "BertTokenizer"),
    "roberta": ("Roberta", _COUNTED, tiny_roberta, "PreTrainedTokenizerFast"),
    "xlm-roberta": ("XLMRoberta", _COUNTED, tiny_xlm_roberta, "XLMRobertaTokenizer"),
    "mpnet": ("MPNet", _COUNTED, tiny_wordpiece, "PreTrainedTokenizerFast"),
    "modernbert": (
        "ModernBert", _SMALL | {"local_attention": 8, "num_hidden_layers": 3}, tiny_wordpiece,
        "PreTrainedTokenizerFast",
    ),
    "deberta-v2": (
        "DebertaV2",
        _SMALL
        | {"relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0}
        | {"share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
        tiny_wordpiece, "PreTrainedTokenizerFast",
    ),
    "electra": ("Electra", _SMALL | {"embedding_size": 20}, tiny_wordpiece, "BertTokenizer"),
    "distilbert": (
        "DistilBert",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 40},
        tiny_wordpiece, "BertTokenizer",
    ),
    "albert": ("Albert", _SMALL | {"embedding_size": 20}, tiny_wordpiece, "PreTrainedTokenizerFast"),
    "camembert": ("Camembert", _COUNTED, tiny_xlm_roberta, "PreTrainedTokenizerFast"),
    "nomic_bert": ("NomicBert", _SMALL | {"type_vocab_size": 2}, tiny_wordpiece, "BertTokenizer"),
    "gte": ("Gte", _SMALL, tiny_xlm_roberta, "XLMRobertaTokenizer"),
    "jina_embeddings_v3": ("JinaEmbeddingsV3", _COUNTED, tiny_xlm_roberta, "XLMRobertaTokenizer"),
    "eurobert": (
        "EuroBert",
        _SMALL
        | {"num_key_value_heads": 2, "classifier_pooling": "mean"}
        | {"bos_token_id": 2, "eos_token_id": 3, "mask_token_id": 4},
        tiny_wordpiece, "PreTrainedTokenizerFast",
    ),
}  # fmt: skip


def head_folder(
    family: str,
    path: Path,
    *,
    labels: int = 1,
    seed: int = 3,
    limit: int = 40,
    kind: str = "SequenceClassification",
    **config: Any,
) -> Path:
    """A folder of transformers' with a head of some kind, every weight of it drawn anew."""
    import torch
    import transformers

    name, settings, make, tokenizer_class = FAMILIES[family]
    tokenizer = make()
    torch.manual_seed(seed)
    values = {**settings, "vocab_size": tokenizer.get_vocab_size(), "num_labels": labels, **config}
    model = getattr(transformers, f"{name}For{kind}")(getattr(transformers, f"{name}Config")(**values))
    perturb(model, seed)
    model.eval().save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    special = _ANGLES if tokenizer.token_to_id("<s>") is not None else _BRACKETS
    stated = {"tokenizer_class": tokenizer_class, "model_max_length": limit, **special}
    (path / "tokenizer_config.json").write_text(json.dumps(stated), "utf-8")
    return path


def head_checkpoint(
    task: str, *, labels: int = 1, activation: str = "sigmoid", seed: int = 5, limit: int = 40
) -> Any:
    """A checkpoint of our own with such a head: of "rerank" it is told which text each token is of.

    Of "sparse" it has two prompts and no labels.
    """
    from sestina_model.checkpoint import Checkpoint
    from sestina_model.config import EncoderConfig, HeadConfig
    from sestina_model.encoder import TransformerEncoder
    from sestina_model.head_steps import Step
    from sestina_model.sentence import SentenceEncoder

    tokenizer = tiny_wordpiece()
    config = EncoderConfig(
        vocab_size=tokenizer.get_vocab_size(),
        n_layers=2,
        d_model=32,
        n_heads=4,
        d_ff=48,
        activation="gelu",
        positions="learned",
        max_positions=limit,
        scale_embeddings=False,
        norm_embeddings=True,
        n_token_types=2 if task == "rerank" else None,
    )
    if task == "sparse":
        return _sparse_checkpoint(TransformerEncoder(config), tokenizer, seed, limit)
    first = () if task == "tag" else (Step(kind="dense", out_features=32, activation="Tanh"),)
    head = HeadConfig(
        pooling="cls",
        normalize=False,
        max_tokens=limit,
        steps=(*first, Step(kind="dense", out_features=labels)),
        task=task,  # type: ignore[arg-type]
        labels=tuple(f"label {number}" for number in range(labels)),
        activation=activation,  # type: ignore[arg-type]
    )
    model = SentenceEncoder(TransformerEncoder(config), head)
    perturb(model, seed)
    return Checkpoint(model.eval(), tokenizer, f"tiny-{task}", "apache-2.0", None)


def _sparse_checkpoint(encoder: Any, tokenizer: Any, seed: int, limit: int) -> Any:
    from sestina_model.checkpoint import Checkpoint
    from sestina_model.config import HeadConfig
    from sestina_model.head_steps import Step
    from sestina_model.sentence import SentenceEncoder

    head = HeadConfig(
        pooling="max",
        normalize=False,
        max_tokens=limit,
        steps=(
            Step(kind="dense", out_features=32, activation="GELU"),
            Step(kind="layer_norm", eps=1e-12),
            Step(kind="dense", out_features=encoder.config.vocab_size),
        ),
        prompts={"query": "find: ", "passage": ""},
        similarity="dot",
        task="sparse",
        saturation=1,
    )
    model = SentenceEncoder(encoder, head)
    perturb(model, seed)
    return Checkpoint(model.eval(), tokenizer, "tiny-sparse", "apache-2.0", None)
