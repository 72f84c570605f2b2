"""How the files of a folder's tokenizer are altered: every key of every file, to every odd value."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

TEXTS = [
    "",
    "a",
    "money",
    "The MODEL relates café tokens, ÀB",
    "[CLS] literal [SEP] [MASK] [PAD] [UNK] <s> </s> <pad><mask> <unk>",
    "new <ent> tok1 x<new>y TOK1 <s>NOTUSED",
    "注意力 é e\u0301 ﬁne \u200b\x00\t 👩‍🚀",
    "  spaces  two ",
    "model " * 60,
]
PLAIN = {"content": "tok1", "lstrip": False, "rstrip": True, "normalized": True, "single_word": False}
MARKED = {"__type": "AddedToken", **PLAIN}
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 3.5, 1e30, "", "x", "[MASK]", "<mask>", "tok1", "left", "right", "\ud800"),
    *([], ["tok1"], ["tok1", "<ent>"], [None], [["a"]], [{"content": "<ent>"}], [MARKED], ["token_type_ids"]),
    *({}, {"a": "tok1"}, {"content": "tok1"}, PLAIN, MARKED),
]
KEYS = [
    *("tokenizer_class", "do_lower_case", "strip_accents", "tokenize_chinese_chars", "model_max_length"),
    *("max_len", "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"),
    *("extra_special_tokens", "additional_special_tokens", "added_tokens_decoder", "split_special_tokens"),
    *(
        "truncation_side",
        "padding_side",
        "add_prefix_space",
        "trim_offsets",
        "add_bos_token",
        "add_eos_token",
    ),
    *(
        "model_input_names",
        "do_basic_tokenize",
        "never_split",
        "auto_map",
        "vocab",
        "merges",
        "post_processor",
    ),
    *(
        "tokenizer_object",
        "fast_tokenizer_files",
        "init_inputs",
        "image_token",
        "model_specific_special_tokens",
    ),
    *(
        "chat_template",
        "errors",
        "unk_id",
        "gguf_file",
        "tokenizer_padding",
        "max_length",
        "fix_mistral_regex",
    ),
    *("clean_up_tokenization_spaces", "name_or_path", "backend", "processor_class", "language"),
]
DECODERS: list[Any] = [
    {"5": {"content": "tok1", "special": False}},
    {"200": {"content": "tok1"}, "201": {"content": "<new>", "special": True}},
    {"1": {"content": "[MASK]", "lstrip": True}},
    {"0": {"content": "[PAD]", "special": True}, "9": {"content": "model", "single_word": True}},
    *(
        {"7": {"content": "\ud800"}},
        {"x": PLAIN},
        {"3": "tok1"},
        {"3": None},
        {"-1": PLAIN},
        {"3": PLAIN | {"odd": 1}},
        {"3": {"content": 5}},
    ),
]
ADDED: list[Any] = [
    *({"tok1": 100}, {"tok1": 5, "<new>": 6}, {"[MASK]": 4}, {"tok1": "5"}, {"tok1": None}, {"model": 77}),
    *({"<ent>": -3}, {"tok1": 1e3}, {"": 5}, {"\ud800": 5}),
]
CLASSES = [
    *(
        "BertTokenizer",
        "BertTokenizerFast",
        "DistilBertTokenizer",
        "ElectraTokenizer",
        "ElectraTokenizerFast",
    ),
    *("MPNetTokenizer", "MPNetTokenizerFast", "RobertaTokenizer", "RobertaTokenizerFast", "BartTokenizer"),
    *("LongformerTokenizer", "XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "PreTrainedTokenizerFast"),
    *("PreTrainedTokenizer", "TokenizersBackend", "MobileBertTokenizer", "SqueezeBertTokenizer"),
    *("GPT2Tokenizer", "CamembertTokenizer", "BertJapaneseTokenizer", "NoSuchTokenizer"),
]
RAW = ["null", "[]", "5", "{", "", "\ufeff{}", '"x"', "[1" * 3000, "1" * 5000]


def alterations() -> Iterator[tuple[str, Any]]:
    """(file, what is changed in it, or all of its text)."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        yield from ((name, {key: value}) for key in KEYS for value in ODD)
    yield from (("tokenizer_config.json", {"added_tokens_decoder": value}) for value in DECODERS)
    yield from (("tokenizer_config.json", {"tokenizer_class": value}) for value in CLASSES)
    yield from (("added_tokens.json", value) for value in ADDED)
    for name in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json"):
        yield from ((name, text) for text in RAW)


def template(*pieces: tuple[str, int], ids: dict[str, int]) -> dict[str, Any]:
    single = [
        {"Sequence": {"id": "A", "type_id": kind}}
        if name == "$A"
        else {"SpecialToken": {"id": name, "type_id": kind}}
        for name, kind in pieces
    ]
    special = {name: {"id": name, "ids": [id_], "tokens": [name]} for name, id_ in ids.items()}
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def tokenizer_files(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """tokenizer.json, altered part by part."""
    known = {token["content"]: token["id"] for token in document["added_tokens"]}
    first, last = ("[CLS]", "[SEP]") if "[CLS]" in known else ("<s>", "</s>")
    ids = {first: known[first], last: known[last]}
    yield from (
        document | {"post_processor": each}
        for each in (
            None,
            template((first, 0), ("$A", 1), (last, 1), ids=ids),
            template((last, 0), ("$A", 0), (first, 0), ids=ids),
            template((first, 0), ("$A", 0), ids=ids),
            template((first, 0), ("$A", 0), ("$A", 0), (last, 0), ids=ids),
            template((first, 0), ids=ids),
            template(("[X]", 0), ("$A", 0), ids=ids),
            {"type": "BertProcessing", "sep": [last, ids[last]], "cls": [first, ids[first]]},
        )
    )
    cased = {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False}
    steps = [{"type": "NFKC"}, {"type": "Lowercase"}]
    yield from (
        document | {"normalizer": each}
        for each in (
            cased | {"strip_accents": None, "lowercase": False},
            None,
            {"type": "Sequence", "normalizers": steps},
        )
    )
    level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": False}
    yield from (document | {"pre_tokenizer": each} for each in (None, {"type": "WhitespaceSplit"}, level))
    side = {
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<new>",
    }
    yield document | {"padding": side | {"strategy": {"Fixed": 9}}}
    cut = {"max_length": 5, "strategy": "LongestFirst", "stride": 0}
    yield from (document | {"truncation": cut | {"direction": side}} for side in ("Left", "Right"))
    free = max(len(document["model"]["vocab"]), *(id_ + 1 for id_ in known.values()))
    flags = PLAIN | {"special": False}
    for at in ((free, free + 1), (free + 1, free), (free + 3, free + 5)):
        more = [flags | {"content": name, "id": id_} for name, id_ in zip(("tok1", "<ent>"), at, strict=True)]
        yield document | {"added_tokens": [*document["added_tokens"], *more]}
    loose = {"normalized": True, "lstrip": True, "special": False}
    yield document | {"added_tokens": [token | loose for token in document["added_tokens"]]}
    yield document | {"added_tokens": []}
    for change in (
        *(
            {"unk_token": "[MASK]"},
            {"unk_token": None},
            {"unk_token": "<pad>"},
            {"type": None},
            {"unk_id": 0},
        ),
        *(
            {"continuing_subword_prefix": "sestina"},
            {"max_input_chars_per_word": 3},
            {"end_of_word_suffix": "</w>"},
        ),
        *({"fuse_unk": True}, {"byte_fallback": True}, {"ignore_merges": True}, {"unk_id": None}),
    ):
        altered = copy.deepcopy(document)
        altered["model"].update(change)
        yield altered
