"""What the files beside a checkpoint's weights may say, as data: each setting with values that occur and some that don't."""

from __future__ import annotations

import json
import random
from typing import Any

from fuzz.world import World

CLASSES = (
    "BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "RobertaTokenizer", "RobertaTokenizerFast", "XLMRobertaTokenizer",
    "XLMRobertaTokenizerFast", "ElectraTokenizer", "MPNetTokenizer", "MPNetTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend",
    "CamembertTokenizer", "AlbertTokenizer", "GPT2Tokenizer", "T5Tokenizer", "BertJapaneseTokenizer", "DebertaV2Tokenizer", "FunnelTokenizer",
    "LayoutLMTokenizer", "SqueezeBertTokenizer", "LlamaTokenizer", "Nothing", "", None, 5, "BertTokenizerFastFast",
)  # fmt: skip
ADDED = ("[NEW]", "zzz", "<new>", "NEW", "model", " two", "ø", "the transformer")
_TOKEN = {
    "content": "[NEW]",
    "lstrip": False,
    "normalized": False,
    "rstrip": False,
    "single_word": False,
    "special": True,
    "__type": "AddedToken",
}
_TOKENS = ("[UNK]", "[PAD]", "<pad>", "<unk>", "[NEW]", "zzz", "model", None, _TOKEN)

SETTINGS: dict[str, tuple[Any, ...]] = {
    "model_input_names": (
        ["input_ids", "attention_mask"],
        ["input_ids", "token_type_ids", "attention_mask"],
        ["input_ids"],
    ),
    "do_lower_case": (True, False, None, "false", 1),
    "strip_accents": (True, False, None),
    "tokenize_chinese_chars": (True, False, None),
    "add_prefix_space": (True, False, None),
    "model_max_length": (5, 40, 1, 0, -1, 512, 1e30, 10**30, None, "12", 12.0, 2, True),
    "max_len": (7, None),
    "split_special_tokens": (True, False, None),
    "truncation_side": ("left", "right", None),
    "padding_side": ("left", "right", None),
    "additional_special_tokens": (["[NEW]"], ["zzz", "<new>"], [], None, [_TOKEN], "[NEW]"),
    "extra_special_tokens": (["[NEW]"], {"image_token": "[NEW]"}, [], {}),
    "unk_token": _TOKENS,
    "pad_token": _TOKENS,
    "cls_token": (*_TOKENS, "[SEP]", "[CLS]", "<s>"),
    "sep_token": (*_TOKENS, "[CLS]", "[SEP]", "</s>"),
    "mask_token": (*_TOKENS, "[MASK]", "<mask>"),
    "bos_token": (*_TOKENS, "<s>", "[CLS]"),
    "eos_token": (*_TOKENS, "</s>", "[SEP]"),
    "never_split": (["zzz", "[NEW]"], None),
    "do_basic_tokenize": (True, False),
    "add_bos_token": (True, False, None),
    "add_eos_token": (True, False, None),
    "add_special_tokens": (True, False),
    "trim_offsets": (True, False),
    "from_slow": (True, False),
    "legacy": (True, False, None),
    "clean_up_tokenization_spaces": (True, False),
    "auto_map": ({"AutoTokenizer": ["x.Y", None]}, {}),
    "max_length": (5, 40),
    "stride": (2,),
    "truncation": (True,),
    "tokenizer_file": ("nowhere.json", "/etc/passwd", None),
    "fix_mistral_regex": (True, False),
    "errors": ("replace", "ignore"),
    "special": (True,),
    "backend": ("tokenizers", "custom"),
}
CONFIG: dict[str, tuple[Any, ...]] = {
    "pad_token_id": (0, 1, 2, 3, 5, None, -1, 10**6),
    "type_vocab_size": (1, 2, 0, None),
    "hidden_act": ("gelu", "relu", "gelu_new", "silu", "gelu_pytorch_tanh", None),
    "activation": ("gelu", "relu", "gelu_new"),
    "max_position_embeddings": (40, 42, 41, 10, 512, 0),
    "position_embedding_type": ("absolute", "relative_key", "relative_key_query", None),
    "layer_norm_eps": (1e-12, 1e-5, 1e-3, 0.5, 0, -1),
    "num_hidden_layers": (1, 2, 3, 0),
    "n_layers": (1, 2, 3),
    "num_attention_heads": (1, 2, 4, 8, 3, 0),
    "n_heads": (1, 2, 8),
    "hidden_size": (32, 64, 16),
    "intermediate_size": (64, 32),
    "vocab_size": (10, 100, 10**9),
    "is_decoder": (True, False),
    "add_cross_attention": (True,),
    "model_type": (
        "bert",
        "roberta",
        "xlm-roberta",
        "distilbert",
        "camembert",
        "electra",
        "mpnet",
        "BERT",
        "nothing",
    ),
    "tokenizer_class": ("BertTokenizer", "RobertaTokenizer", "MPNetTokenizer", "XLMRobertaTokenizer", None),
    "architectures": (["BertModel"], ["BertForMaskedLM"], [], None, ["Nothing"]),
    "dtype": ("float16", "float32", "bfloat16"),
    "torch_dtype": ("float16", "float32"),
    "auto_map": ({"AutoModel": "x.Y"},),
    "attention_probs_dropout_prob": (0.0, 0.9),
    "hidden_dropout_prob": (0.0, 0.9, 2),
    "chunk_size_feed_forward": (1, 2),
    "tie_word_embeddings": (True, False),
    "use_cache": (False,),
    "sinusoidal_pos_embds": (True, False),
    "pruned_heads": ({"0": [1]}, {}),
    "output_hidden_states": (True,),
    "return_dict": (False,),
    "embedding_size": (16,),
    "hidden_dim": (64, 32),
    "dim": (32, 16),
    "transformers_weights": ("model.safetensors", "other.safetensors", None),
    "configuration_files": (["config.json"], ["config.4.0.0.json"]),
    "model_name": ("camembertv2-base", "modernbert", "nothing", None),
}
_MODULE = "sentence_transformers.models."
_USUAL = [
    {"idx": 0, "name": "0", "path": "", "type": _MODULE + "Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": _MODULE + "Pooling"},
]
_NORMALIZE = {"idx": 2, "name": "2", "path": "2_Normalize", "type": _MODULE + "Normalize"}
_POOLING = {
    "word_embedding_dimension": 32,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_cls_token": False,
    "pooling_mode_max_tokens": False,
}
# Of each file of the sentence-transformers layout the usual content first.
LAYOUT: dict[str, tuple[Any, ...]] = {
    "modules.json": (
        _USUAL, [*_USUAL, _NORMALIZE], _USUAL[:1], [_USUAL[0], _NORMALIZE], [_USUAL[0], _NORMALIZE, _USUAL[1]], [*_USUAL, _NORMALIZE, _NORMALIZE],
        [*_USUAL, {"idx": 2, "name": "2", "path": "2_Dense", "type": _MODULE + "Dense"}], [], [{**_USUAL[0], "path": "../checkpoint"}, _USUAL[1]],
        [_USUAL[0], {**_USUAL[1], "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}], {"a": 1},
    ),
    "1_Pooling/config.json": (
        _POOLING, {**_POOLING, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, {**_POOLING, "pooling_mode_cls_token": True},
        {**_POOLING, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}, {**_POOLING, "include_prompt": False},
        {**_POOLING, "pooling_mode_mean_tokens": False}, {"word_embedding_dimension": 32, "pooling_mode": "cls"}, {**_POOLING, "word_embedding_dimension": 16},
        {"embedding_dimension": 32, "pooling_mode": "mean"}, {**_POOLING, "pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False},
        {**_POOLING, "pooling_mode_weightedmean_tokens": True}, {},
    ),
    "sentence_bert_config.json": (
        {}, {"max_seq_length": 8}, {"max_seq_length": 8, "do_lower_case": True}, {"max_seq_length": None, "do_lower_case": False}, {"max_seq_length": 1},
        {"max_seq_length": 4000}, {"max_seq_length": 2}, {"do_lower_case": "yes"}, {"tokenizer_args": {"model_max_length": 6}}, {"max_seq_length": 0},
        {"unknown": 1}, {"transformer_task": "fill-mask"},
    ),
    "config_sentence_transformers.json": (
        {}, {"prompts": {"query": "q: "}, "default_prompt_name": "query"}, {"prompts": {"query": "q: "}}, {"similarity_fn_name": "dot"}, {"truncate_dim": 8},
        {"default_prompt_name": "nothing"}, {"prompts": None}, {"default_prompt_name": "query", "prompts": {"query": ""}},
    ),
}  # fmt: skip


def added_tokens_decoder(rng: random.Random, world: World, family: str) -> dict[str, Any]:
    """Tokens by id as tokenizer_config.json has them: those that are there, and perhaps more."""
    document = json.loads((world.checkpoint(family) / "tokenizer.json").read_bytes())
    size = len(document["model"]["vocab"])
    flags = ("lstrip", "rstrip", "single_word", "normalized", "special")
    there = {
        str(token["id"]): {key: token[key] for key in ("content", *flags)}
        for token in document["added_tokens"]
    }
    more = {
        str(rng.choice((5, size, size + 1, size + 2, size + 300))): {
            "content": rng.choice(ADDED),
            **{flag: rng.random() < 0.3 for flag in flags},
        }
        for _ in range(rng.choice((0, 1, 1, 2)))
    }
    return {**(there if rng.random() < 0.6 else {}), **more}
