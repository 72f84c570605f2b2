"""Parts that a tokenizer.json may have, the odd ones too: what each kind of step looks like in the file."""

from __future__ import annotations

import random
from typing import Any

Part = dict[str, Any]

_REGEXES = (
    "",
    "a*",
    "(a+)+$",
    "(?=x)",
    ".",
    "\\s+",
    "[",
    "(?i)the",
    "\\b",
    "^",
    "(a|a)*b",
    "x{1,60000}",
    "\\p{L}+",
    "(.+)+\\1$",
)
_BEHAVIOURS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
_WORDS = (
    "a",
    "the",
    "transformer",
    "[UNK]",
    "[SEP]",
    "[PAD]",
    "<s>",
    "zzz",
    " ",
    "a b",
    "",
    "é",
    "\u0130",
    "model model",
    "\n",
    "##s",
)


def normalizer(rng: random.Random, deep: int = 0) -> Part | None:
    """One of the library's, sequences of them too; some multiply a text."""
    pattern = rng.choice(({"String": rng.choice(("a", "", " ", "e"))}, {"Regex": rng.choice(_REGEXES)}))
    content = rng.choice(("", "a", "aa" * 10, "x" * 3000, "é", " ", "\0"))
    kinds: list[Part | None] = [
        None,
        {"type": "Lowercase"}, {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Nmt"},
        {"type": "StripAccents"}, {"type": "ByteLevel"},
        {"type": "Strip", "strip_left": rng.random() < 0.5, "strip_right": rng.random() < 0.5},
        {"type": "Prepend", "prepend": content}, {"type": "Replace", "pattern": pattern, "content": content},
        {"type": "Replace", "pattern": {"Regex": "."}, "content": rng.choice(("aaaaaaaaaa", "x" * 1000))},
        {"type": "Precompiled", "precompiled_charsmap": rng.choice(("", "AAAA", "not base64", "/" * 400))},
        {
            "type": "BertNormalizer", "clean_text": rng.random() < 0.5, "handle_chinese_chars": rng.random() < 0.5,
            "strip_accents": rng.choice((None, True, False)), "lowercase": rng.random() < 0.5,
        },
    ]  # fmt: skip
    if deep < 2 and rng.random() < 0.25:
        return {
            "type": "Sequence",
            "normalizers": [
                each for _ in range(rng.choice((0, 1, 2, 6))) if (each := normalizer(rng, deep + 1))
            ],
        }
    if rng.random() < 0.05:  # ten times as long with every step
        step = {"type": "Replace", "pattern": {"Regex": "."}, "content": "a" * 10}
        return {"type": "Sequence", "normalizers": [step] * rng.choice((2, 6, 9))}
    return rng.choice(kinds)


def pre_tokenizer(rng: random.Random, deep: int = 0) -> Part | None:
    """One of the library's, sequences of them too."""
    pattern = rng.choice(({"String": rng.choice(("a", "", " "))}, {"Regex": rng.choice(_REGEXES)}))
    sure = rng.random() < 0.5
    kinds: list[Part | None] = [
        None,
        {"type": "BertPreTokenizer"}, {"type": "Whitespace"}, {"type": "WhitespaceSplit"},
        {"type": "ByteLevel", "add_prefix_space": sure, "trim_offsets": True, "use_regex": rng.random() < 0.5},
        {"type": "Metaspace", "replacement": rng.choice(("▁", "a", " ")), "prepend_scheme": rng.choice(("always", "first", "never")), "split": sure},
        {"type": "Split", "pattern": pattern, "behavior": rng.choice(_BEHAVIOURS), "invert": sure},
        {"type": "Punctuation", "behavior": rng.choice(_BEHAVIOURS)},
        {"type": "CharDelimiterSplit", "delimiter": rng.choice((" ", "a"))},
        {"type": "Digits", "individual_digits": sure}, {"type": "UnicodeScripts"},
        {"type": "FixedLength", "length": rng.choice((0, 1, 5))},
    ]  # fmt: skip
    if deep < 2 and rng.random() < 0.25:
        return {
            "type": "Sequence",
            "pretokenizers": [
                each for _ in range(rng.choice((0, 1, 2, 5))) if (each := pre_tokenizer(rng, deep + 1))
            ],
        }
    return rng.choice(kinds)


def post_processor(rng: random.Random, names: list[str], deep: int = 0) -> Part | None:
    """One of the library's: templates with every fault that they can have."""
    known = names or ["a"]

    def piece() -> Part:
        kind = rng.choices(("A", "token", "missing", "B"), (5, 5, 1, 1))[0]
        types = rng.choices((0, 1, 7), (8, 2, 1))[0]
        if kind in "AB":
            return {"Sequence": {"id": kind, "type_id": types}}
        return {
            "SpecialToken": {"id": "[NONE]" if kind == "missing" else rng.choice(known), "type_id": types}
        }

    def special(name: str) -> Part:
        ids = rng.choices(([1], [2], [1, 2], [], [99999], [2**32 - 1]), (4, 4, 1, 1, 1, 1))[0]
        return {"id": name, "ids": ids, "tokens": [name] * rng.choice((len(ids), len(ids), 1))}

    pair = (rng.choice(known), rng.choice((1, 2, 99999)))
    template = {
        "type": "TemplateProcessing",
        "single": [piece() for _ in range(rng.choice((0, 1, 2, 3, 3, 3, 8, 70)))],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {name: special(name) for name in known if rng.random() < 0.9},
    }
    kinds: list[Part | None] = [
        None, template, template, template,
        {"type": "BertProcessing", "sep": pair, "cls": pair},
        {"type": "RobertaProcessing", "sep": pair, "cls": pair, "trim_offsets": True, "add_prefix_space": rng.random() < 0.5},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": rng.random() < 0.5, "use_regex": True},
    ]  # fmt: skip
    if deep < 2 and rng.random() < 0.2:
        parts = [post_processor(rng, names, deep + 1) for _ in range(rng.choice((0, 1, 2, 3)))]
        return {"type": "Sequence", "processors": [part for part in parts if part]}
    return rng.choice(kinds)


def added_token(rng: random.Random, size: int) -> Part:
    """One with any flags, for an id within the vocabulary, at its end or beyond."""
    flags = {
        flag: rng.random() < 0.35 for flag in ("single_word", "lstrip", "rstrip", "normalized", "special")
    }
    at = rng.choice((0, 1, 5, size - 1, size, size + 1, size + 40, 2**31, 2**32 - 1))
    return {"id": at, "content": rng.choice(_WORDS), **flags}
