"""The parts of a tokenizer that transformers 5's classes build from a vocabulary and options.

Each is what tokenizer.json has for it. A class that builds a part takes nothing of it from the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import Regex, normalizers, pre_tokenizers, processors

from sestina_model._errors import CheckpointError
from sestina_model.pretrained.tokenizer_options import TokenizerOptions

__all__ = [
    "albert",
    "around_bos_eos",
    "around_cls_sep",
    "around_cls_sep_of_mpnet",
    "around_cls_sep_of_roberta",
    "behind_eos",
    "byte_level",
    "camembert",
    "deberta",
    "gemma",
    "llama",
    "qwen",
    "t5",
    "wordpiece",
    "xlm_roberta",
]

Document = dict[str, Any]
Tokens = Mapping[str, Any]  # by role: a token, its text, or None
Find = Callable[[str], tuple[str, int]]  # the token of a role, and its id

_PLAIN_BPE = {
    **dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")),
    **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False),
}
# How Qwen2 cuts words: https://github.com/openai/tiktoken's pattern, with each digit alone.
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def _state(part: Any) -> Document:
    state: Document = json.loads(part.__getstate__())
    return state


def _unknown(tokens: Tokens, options: TokenizerOptions) -> str:
    if tokens["unk_token"] is None:
        raise CheckpointError(f"{options.origin}: unk_token is null; its class needs that token")
    return str(tokens["unk_token"])


def wordpiece(document: Document, options: TokenizerOptions, tokens: Tokens) -> Document:
    """BERT's words and pieces."""
    strip_accents = options.values.get("strip_accents")
    return {
        "model": {
            "type": "WordPiece",
            "vocab": document["model"]["vocab"],
            "unk_token": _unknown(tokens, options),
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
        },
        "normalizer": _state(
            normalizers.BertNormalizer(
                clean_text=True,
                handle_chinese_chars=options.flag("tokenize_chinese_chars", True),
                strip_accents=None if strip_accents is None else options.flag("strip_accents", False),
                lowercase=options.flag("do_lower_case", True),
            )
        ),
        "pre_tokenizer": _state(pre_tokenizers.BertPreTokenizer()),
    }


def byte_level(document: Document, options: TokenizerOptions, _: Tokens) -> Document:
    """BPE over bytes, as GPT-2 and RoBERTa have it."""
    spaced = options.flag("add_prefix_space", False)
    affixes = {"continuing_subword_prefix": "", "end_of_word_suffix": ""}
    return {
        "model": {**document["model"], **_PLAIN_BPE, **affixes},
        "normalizer": None,
        "pre_tokenizer": _state(pre_tokenizers.ByteLevel(add_prefix_space=spaced)),
    }


def qwen(document: Document, options: TokenizerOptions, _: Tokens) -> Document:
    """BPE over bytes of NFC text, with another cut into words."""
    spaced = options.flag("add_prefix_space", False, null=False)
    steps = [
        pre_tokenizers.Split(Regex(_QWEN_WORDS), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=spaced, use_regex=False),
    ]
    return {
        "model": {**document["model"], **_PLAIN_BPE},
        "normalizer": _state(normalizers.NFC()),
        "pre_tokenizer": _state(pre_tokenizers.Sequence(steps)),
    }


def gemma(document: Document, options: TokenizerOptions, tokens: Tokens) -> Document:
    """BPE over characters, bytes where there is none, spaces written as ▁."""
    changes = {"unk_token": _unknown(tokens, options), "fuse_unk": True, "byte_fallback": True}
    return {
        "model": {**document["model"], **_PLAIN_BPE, **changes},
        "normalizer": _state(normalizers.Replace(" ", "▁")),
        "pre_tokenizer": _state(pre_tokenizers.Split(" ", behavior="merged_with_previous", invert=False)),
    }


def llama(document: Document, options: TokenizerOptions, _: Tokens) -> Document:
    """The same, with a ▁ before the text; or, as it was at first, before every part between added tokens."""
    scheme = "never"
    if options.flag("add_prefix_space", True, null=True):
        scheme = "always" if options.flag("legacy", False, null=False) else "first"
    words = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=False)
    return {
        "model": {**document["model"], **_PLAIN_BPE, "fuse_unk": True, "byte_fallback": True},
        "normalizer": None,
        "pre_tokenizer": _state(words),
    }


def _unigram(document: Document, unknown: int) -> Document:
    vocabulary = document["model"]["vocab"]
    return {"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": False}


def _precompiled(document: Document) -> Document | None:
    """SentencePiece's own table of normal forms, which the classes do take from the file."""
    found = document["normalizer"] or {}
    steps = found["normalizers"] if found.get("type") == "Sequence" else [found]
    return next((step for step in steps if step.get("type") == "Precompiled"), None)


def _spaced_words(scheme: str) -> Document:
    words = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)
    return _state(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), words]))


def xlm_roberta(document: Document, options: TokenizerOptions, _: Tokens) -> Document:
    """SentencePiece's Unigram, a ▁ before every word."""
    return {
        "model": _unigram(document, 3),
        "normalizer": _precompiled(document),
        "pre_tokenizer": _spaced_words("always" if options.flag("add_prefix_space", True) else "never"),
    }


def camembert(document: Document, options: TokenizerOptions, tokens: Tokens) -> Document:
    """The same, with its unknown token wherever it is."""
    unknown = _unknown(tokens, options)
    pieces = [piece for piece, _ in document["model"]["vocab"]]
    at = pieces.index(unknown) if unknown in pieces else 0
    return xlm_roberta(document, options, tokens) | {"model": _unigram(document, at)}


def t5(document: Document, _options: TokenizerOptions, _: Tokens) -> Document:
    """The same, always with a ▁."""
    return {
        "model": _unigram(document, 2),
        "normalizer": _precompiled(document),
        "pre_tokenizer": _spaced_words("always"),
    }


def albert(document: Document, options: TokenizerOptions, tokens: Tokens) -> Document:
    """The same, of text without accents and capitals, and with one kind of quotes."""
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not options.flag("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if options.flag("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    precompiled = _precompiled(document)
    stated = [*map(_state, steps), *([] if precompiled is None else [precompiled])]
    return xlm_roberta(document, options, tokens) | {
        "model": _unigram(document, 1),
        "normalizer": {"type": "Sequence", "normalizers": stated},
    }


def deberta(document: Document, options: TokenizerOptions, tokens: Tokens) -> Document:
    """Unigram of NFC text whose white space is one space; nothing else of SentencePiece's normal forms."""
    vocabulary, unknown = document["model"]["vocab"], [str(tokens["unk_token"]), 0.0]
    at = vocabulary.index(unknown) if unknown in vocabulary else options.values.get("unk_id", 1)
    if not isinstance(at, int) or isinstance(at, bool) or not 0 <= at < len(vocabulary):
        raise CheckpointError(
            f"{options.origin}: unk_id is {at!r:.60}; it must be a whole number below {len(vocabulary)}"
        )
    steps: list[Any] = [normalizers.Lowercase()] if options.flag("do_lower_case", False) else []
    space = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    steps += [space, normalizers.NFC(), normalizers.Strip(left=False, right=True)]
    scheme = "always" if options.flag("add_prefix_space", True) else "first"
    words: list[Any] = [pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)]
    if options.flag("split_by_punct", False):
        words.insert(0, pre_tokenizers.Punctuation(behavior="isolated"))
    return {
        "model": _unigram(document, at),
        "normalizer": _state(normalizers.Sequence(steps)),
        "pre_tokenizer": _state(pre_tokenizers.Sequence(words)),
    }


def around_cls_sep(token: Find, _: TokenizerOptions) -> Any:
    """The first token and the last, types of pairs."""
    first, last = token("cls_token"), token("sep_token")
    single, pair = f"{first[0]}:0 $A:0 {last[0]}:0", f" $B:1 {last[0]}:1"
    return processors.TemplateProcessing(single=single, pair=single + pair, special_tokens=[first, last])


def around_bos_eos(token: Find, _: TokenizerOptions) -> Any:
    """The same of other roles, without types."""
    first, last = token("bos_token"), token("eos_token")
    single = [first[0], "$A", last[0]]
    return processors.TemplateProcessing(
        single=single, pair=[*single, last[0], "$B", last[0]], special_tokens=[first, last]
    )


def behind_eos(token: Find, _: TokenizerOptions) -> Any:
    """The last token alone."""
    last = token("eos_token")
    return processors.TemplateProcessing(
        single=["$A", last[0]], pair=["$A", last[0], "$B", last[0]], special_tokens=[last]
    )


def around_cls_sep_of_roberta(token: Find, options: TokenizerOptions) -> Any:
    """The first token and the last, offsets without spaces."""
    return processors.RobertaProcessing(
        token("sep_token"),
        token("cls_token"),
        options.flag("trim_offsets", True),
        options.flag("add_prefix_space", False),
    )


def around_cls_sep_of_mpnet(token: Find, _: TokenizerOptions) -> Any:
    """The same, whatever the options say."""
    return processors.RobertaProcessing(token("sep_token"), token("cls_token"), True, False)
