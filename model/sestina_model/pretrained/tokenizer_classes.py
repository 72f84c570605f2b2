"""What transformers 5 makes of a tokenizer.json under each class, as data and rules of our own.

Most classes take the vocabulary alone and build the rest from their options. The others take all of it, and
add the tokens that the files beside it name. Where a part comes out as it is in the file, it is left there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.pretrained.tokenizer_options import ROLES, TokenizerOptions

__all__ = ["CLASSES", "TokenizerClass", "as_class", "class_named"]

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TokenizerClass:
    """One class.

    Attributes:
        model: The kind of vocabulary that it takes; None: it takes tokenizer.json whole.
        defaults: Special tokens where the folder names none.
        parts: The model's settings, the normalizer and the pre-tokenizer that it builds, as tokenizer.json
            has them; in: the file's, and the options.
        post_processor: What it puts around a text, of its tokens by role and their ids.
        token_types: Whether it gives token types, where the folder does not say.
        as_words: Whether special tokens that are named without options are found in normalized text, as any
            added token is, and the mask takes the spaces before it.
    """

    model: str | None = None
    defaults: Mapping[str, str] | None = None
    parts: Callable[[Document, TokenizerOptions, str], Document] | None = None
    post_processor: Callable[[Callable[[str], tuple[str, int]], TokenizerOptions], Any] | None = None
    token_types: bool = False
    as_words: bool = False


def _state(part: Any) -> Document:
    state: Document = json.loads(part.__getstate__())
    return state


def _wordpiece_parts(document: Document, options: TokenizerOptions, unknown: str) -> Document:
    strip_accents = options.values.get("strip_accents")
    return {
        "model": {
            "type": "WordPiece",
            "vocab": document["model"]["vocab"],
            "unk_token": unknown,
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


def _byte_level_parts(document: Document, options: TokenizerOptions, _: str) -> Document:
    spaced = options.flag("add_prefix_space", False)
    settings = {"dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": ""}
    flags = {"fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    return {
        "model": {**document["model"], **settings, **flags},
        "normalizer": None,
        "pre_tokenizer": _state(pre_tokenizers.ByteLevel(add_prefix_space=spaced)),
    }


def _unigram_parts(document: Document, options: TokenizerOptions, _: str) -> Document:
    scheme = "always" if options.flag("add_prefix_space", True) else "never"
    found = document["normalizer"] or {}
    steps = found["normalizers"] if found.get("type") == "Sequence" else [found]
    words = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme)
    vocabulary = document["model"]["vocab"]
    return {
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": False},
        "normalizer": next((step for step in steps if step.get("type") == "Precompiled"), None),
        "pre_tokenizer": _state(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), words])),
    }


def _cls_sep(token: Callable[[str], tuple[str, int]], _: TokenizerOptions) -> Any:
    first, last = token("cls_token"), token("sep_token")
    single, pair = f"{first[0]}:0 $A:0 {last[0]}:0", f" $B:1 {last[0]}:1"
    return processors.TemplateProcessing(single=single, pair=single + pair, special_tokens=[first, last])


def _bos_eos(token: Callable[[str], tuple[str, int]], _: TokenizerOptions) -> Any:
    first, last = token("bos_token"), token("eos_token")
    single = [first[0], "$A", last[0]]
    return processors.TemplateProcessing(
        single=single, pair=[*single, last[0], "$B", last[0]], special_tokens=[first, last]
    )


def _cls_sep_of_roberta(token: Callable[[str], tuple[str, int]], options: TokenizerOptions) -> Any:
    return processors.RobertaProcessing(
        token("sep_token"),
        token("cls_token"),
        options.flag("trim_offsets", True),
        options.flag("add_prefix_space", False),
    )


def _cls_sep_of_mpnet(token: Callable[[str], tuple[str, int]], _: TokenizerOptions) -> Any:
    return processors.RobertaProcessing(token("sep_token"), token("cls_token"), True, False)


_BRACKETS = {role: f"[{role[:3].upper()}]" for role in ("unk_token", "sep_token", "pad_token", "cls_token")}
_BRACKETS["mask_token"] = "[MASK]"
_ANGLES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
_WHOLE = TokenizerClass()
_BERT = TokenizerClass("WordPiece", _BRACKETS, _wordpiece_parts, _cls_sep, token_types=True)
_ROBERTA = TokenizerClass("BPE", _ANGLES, _byte_level_parts, _cls_sep_of_roberta)
_MPNET_TOKENS = _ANGLES | {"unk_token": "[UNK]"}

CLASSES: Mapping[str, TokenizerClass] = {
    "BartTokenizer": _ROBERTA,
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": TokenizerClass("WordPiece", _BRACKETS, _wordpiece_parts, _cls_sep),
    "ElectraTokenizer": _BERT,
    "LongformerTokenizer": _ROBERTA,
    "MPNetTokenizer": TokenizerClass(
        "WordPiece", _MPNET_TOKENS, _wordpiece_parts, _cls_sep_of_mpnet, as_words=True
    ),
    "MobileBertTokenizer": _BERT,
    "PreTrainedTokenizer": _WHOLE,
    "RobertaTokenizer": _ROBERTA,
    "SqueezeBertTokenizer": _BERT,
    "TokenizersBackend": _WHOLE,
    "XLMRobertaTokenizer": TokenizerClass("Unigram", _ANGLES, _unigram_parts, _bos_eos),
}


def class_named(name: object, origin: object) -> TokenizerClass:
    """The class of this name, with or without "Fast" at its end.

    Raises:
        UnsupportedCheckpointError: Where there are no rules for it.
    """
    found = CLASSES.get(name.removesuffix("Fast")) if isinstance(name, str) else None
    if found is None:
        raise UnsupportedCheckpointError(
            f"{origin}: tokenizer_class {name!r:.60} is not supported; {', '.join(CLASSES)} are, and "
            f"PreTrainedTokenizerFast where tokenizer.json alone says everything"
        )
    return found


def as_class(document: Document, kind: TokenizerClass, options: TokenizerOptions) -> Tokenizer:
    """What a class makes of a tokenizer.json.

    Args:
        document: What the file holds, as the tokenizers library writes it.
        kind: The class.
        options: What the folder says.

    Raises:
        CheckpointError: Where a token that the class needs is null.
        UnsupportedCheckpointError: Where the class takes another kind of vocabulary.
    """
    defaults = kind.defaults or {}
    tokens = {role: options.roles.get(role, defaults.get(role)) for role in ROLES}
    if kind.as_words:
        tokens = {
            role: AddedToken(token, lstrip=role == "mask_token") if isinstance(token, str) else token
            for role, token in tokens.items()
        }
    tokens |= {role: token for role, token in options.roles.items() if role not in ROLES}
    if kind.model is None or kind.parts is None or kind.post_processor is None:
        tokenizer = Tokenizer.from_str(json.dumps(document))
        _add_tokens(tokenizer, options, tokens)
        return tokenizer
    found = document["model"]["type"]
    if found != kind.model:
        raise UnsupportedCheckpointError(
            f"{options.origin}: its tokenizer_class takes a {kind.model} vocabulary, and tokenizer.json has "
            f"{found}; name the class that it was made with, or PreTrainedTokenizerFast"
        )

    def needed(role: str) -> tuple[str, int]:
        token = tokens[role]
        id_ = None if token is None else tokenizer.token_to_id(str(token))
        if id_ is None:
            raise CheckpointError(f"{options.origin}: {role} is {token!r:.60}; its class needs that token")
        return str(token), id_

    unknown = tokens["unk_token"]
    if unknown is None:
        raise CheckpointError(f"{options.origin}: unk_token is null; its class needs that token")
    bare = {"added_tokens": [], "post_processor": None, **kind.parts(document, options, str(unknown))}
    tokenizer = Tokenizer.from_str(json.dumps(document | bare))
    _add_tokens(tokenizer, options, tokens)
    tokenizer.post_processor = kind.post_processor(needed, options)
    return tokenizer


def _add_tokens(
    tokenizer: Tokenizer, options: TokenizerOptions, tokens: Mapping[str, AddedToken | str | None]
) -> None:
    """Add what the folder names and the tokenizer does not have. A token that is nowhere gets the next id."""
    has = tokenizer.get_added_tokens_decoder().values()
    same, special = {repr(token) for token in has}, [token for token in tokens.values() if token is not None]
    fresh: list[AddedToken | str] = [
        token for _, token in sorted(options.added.items()) if repr(token) not in same
    ]
    contents = {token.content for token in has} | {str(token) for token in fresh}
    for token in (*special, *options.extra):
        if str(token) not in contents and token not in fresh:
            fresh.append(token)
    names = {str(token) for token in special}
    for at, token in enumerate(fresh):
        if isinstance(token, str):
            fresh[at] = AddedToken(token, special=True)
        elif str(token) in names:
            token.special = True
    tokenizer.add_tokens(fresh)
