"""Which class of transformers 5 reads a folder's tokenizer, and what each class takes and builds, as data.

Most classes take the vocabulary alone and build the rest from their options. The others take all of it, and
add the tokens that the files beside it name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.pretrained import tokenizer_parts as parts
from sestina_model.pretrained.tokenizer_options import TokenizerOptions
from sestina_model.pretrained.tokenizer_parts import Document, Find, Tokens

__all__ = ["CLASSES", "TokenizerClass", "class_named"]

Token = AddedToken | str


@dataclass(frozen=True, slots=True)
class TokenizerClass:
    """One class.

    Attributes:
        model: The kind of vocabulary that it takes; None: it takes tokenizer.json whole.
        defaults: Special tokens where the folder names none; one that is None here is not taken from the
            padding of tokenizer.json either.
        parts: The model's settings, the normalizer and the pre-tokenizer that it builds, as tokenizer.json
            has them; in: the file's, the options, and the special tokens by role.
        post_processor: What it puts around a text, of its tokens by role and their ids; None: what the file
            puts there.
        keeps: Whether the file's goes before its own post-processor.
        token_types: Whether it gives token types, where the folder does not say.
        word: A special token that is named by its text alone, as the class has it: by role and text.
        extras: Special tokens without a role, where `extra_special_tokens` is not there at all; in: the
            options, and those of additional_special_tokens, or None.
        plain: Whether special tokens lose every option that they were named with.
    """

    model: str | None = None
    defaults: Mapping[str, str | None] | None = None
    parts: Callable[[Document, TokenizerOptions, Tokens], Document] | None = None
    post_processor: Callable[[Find, TokenizerOptions], Any] | None = None
    keeps: bool = False
    token_types: bool = False
    word: Callable[[str, str], Token] | None = None
    extras: Callable[[tuple[Token, ...] | None, TokenizerOptions], tuple[Token, ...]] | None = None
    plain: bool = False


def _in_normalized_text(role: str, token: str) -> Token:
    """Found in normalized text, as any added token is; the mask takes the spaces before it."""
    return AddedToken(token, lstrip=role == "mask_token")


def _only_mask(role: str, token: str) -> Token:
    return AddedToken(token, lstrip=True, special=True) if role == "mask_token" else token


def _not_used(named: tuple[Token, ...] | None, _: TokenizerOptions) -> tuple[Token, ...]:
    return ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED") if named is None else named


def _sentinels(named: tuple[Token, ...] | None, options: TokenizerOptions) -> tuple[Token, ...]:
    count = options.values.get("extra_ids", 100)
    if not isinstance(count, int) or isinstance(count, bool):
        raise CheckpointError(f"{options.origin}: extra_ids is {count!r:.60}; it must be a whole number")
    stated = [token for token in named or () if "<extra_id_" in str(token)]
    if stated and count > 0 and count != len(stated):
        raise CheckpointError(
            f"{options.origin}: extra_ids is {count}, and additional_special_tokens names {len(stated)} of "
            f"them; state as many"
        )
    return named or () if stated else (*(named or ()), *(f"<extra_id_{at}>" for at in range(count)))


_BRACKETS = {role: f"[{role[:3].upper()}]" for role in ("unk_token", "sep_token", "pad_token", "cls_token")}
_BRACKETS["mask_token"] = "[MASK]"
_BOTH_BRACKETS = {**_BRACKETS, "bos_token": "[CLS]", "eos_token": "[SEP]"}
_ANGLES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
_END_OF_TEXT = "<|endoftext|>"
_WHOLE = TokenizerClass()
_BERT = TokenizerClass("WordPiece", _BRACKETS, parts.wordpiece, parts.around_cls_sep, token_types=True)
_ROBERTA = TokenizerClass("BPE", _ANGLES, parts.byte_level, parts.around_cls_sep_of_roberta)

CLASSES: Mapping[str, TokenizerClass] = {
    "AlbertTokenizer": TokenizerClass(
        "Unigram",
        _BOTH_BRACKETS | {"unk_token": "<unk>", "pad_token": "<pad>"},
        parts.albert,
        parts.around_cls_sep,
        keeps=True,
    ),
    "BartTokenizer": _ROBERTA,
    "BertTokenizer": _BERT,
    "CamembertTokenizer": TokenizerClass(
        "Unigram", _ANGLES, parts.camembert, parts.around_bos_eos, word=_only_mask, extras=_not_used
    ),
    "DebertaV2Tokenizer": TokenizerClass(
        "Unigram", _BOTH_BRACKETS, parts.deberta, parts.around_cls_sep, token_types=True
    ),
    "DistilBertTokenizer": TokenizerClass("WordPiece", _BRACKETS, parts.wordpiece, parts.around_cls_sep),
    "ElectraTokenizer": _BERT,
    "GPT2Tokenizer": TokenizerClass(
        "BPE",
        {**dict.fromkeys(("unk_token", "bos_token", "eos_token"), _END_OF_TEXT), "pad_token": None},
        parts.byte_level,
    ),
    "GemmaTokenizer": TokenizerClass(
        "BPE",
        {
            **{role: f"<{role[:3]}>" for role in ("unk_token", "bos_token", "eos_token", "pad_token")},
            "mask_token": "<mask>",
        },
        parts.gemma,
    ),
    "LlamaTokenizer": TokenizerClass(
        "BPE", {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}, parts.llama
    ),
    "LongformerTokenizer": _ROBERTA,
    "MPNetTokenizer": TokenizerClass(
        "WordPiece",
        _ANGLES | {"unk_token": "[UNK]"},
        parts.wordpiece,
        parts.around_cls_sep_of_mpnet,
        word=_in_normalized_text,
    ),
    "MobileBertTokenizer": _BERT,
    "PreTrainedTokenizer": _WHOLE,
    "Qwen2Tokenizer": TokenizerClass(
        "BPE", dict.fromkeys(("unk_token", "eos_token", "pad_token"), _END_OF_TEXT), parts.qwen, plain=True
    ),
    "RobertaTokenizer": _ROBERTA,
    "SqueezeBertTokenizer": _BERT,
    "T5Tokenizer": TokenizerClass(
        "Unigram",
        {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
        parts.t5,
        parts.behind_eos,
        extras=_sentinels,
    ),
    "TokenizersBackend": _WHOLE,
    "XLMRobertaTokenizer": TokenizerClass("Unigram", _ANGLES, parts.xlm_roberta, parts.around_bos_eos),
}
# Model types for which transformers does not look at what a folder names: it is wrong too often, or any class
# but this one would be.
_WHATEVER_IS_NAMED = {
    "modernbert": "TokenizersBackend",
    "modernbert-decoder": "TokenizersBackend",
    "qwen2": "Qwen2Tokenizer",
    "umt5": "TokenizersBackend",
}
# What a config.json may have as its model_name, with the same effect: then the model type's own class holds.
_WRONGLY_NAMED = {
    "arctic", "camembertv2-base", "chatlm", "cohere_asr", "ernie4_5", "ernie4_5_moe", "fuyu",
    "h2ovl_chat", "hyperclovax", "hyperclovax_vision_v2", "hyperclovax_vlm", "internlm2", "internlm3",
    "iquestcoder", "jamba", "llava", "llava_next", "minicpm3", "minicpmv", "minimax_m2", "modernbert",
    "modernbert-decoder", "molmo", "molmo2", "nemotron", "nvfp4", "opencua", "openvla", "paddleocr_vl",
    "phi3", "phi3_v", "phimoe", "qwen2", "qwen3_5", "qwen3_5_moe", "qwen3_5_moe_text", "qwen4_exp",
    "siglip2", "smolvlm", "step3_vl", "vipllava",
}  # fmt: skip


def class_named(
    name: object, origin: object, config: Mapping[str, Any], own: str, *, byte_level: bool = False
) -> TokenizerClass:
    """The class of this name, with or without "Fast" at its end.

    Args:
        name: What the folder names; None: nothing.
        origin: Where, for errors.
        config: Its config.json.
        own: The class of its model type.
        byte_level: Whether tokenizer.json has ByteLevel in it, which Llama's class never has.

    Raises:
        UnsupportedCheckpointError: Where there are no rules for it.
    """
    named, model_type = config.get("model_name"), config.get("model_type")
    wrong = isinstance(named, str) and named in _WRONGLY_NAMED
    if name is None or (wrong and own in CLASSES):  # a type without a class of its own takes what is named
        name = own
    if isinstance(model_type, str):
        name = _WHATEVER_IS_NAMED.get(model_type, name)
    short = name.removesuffix("Fast") if isinstance(name, str) else None
    found = CLASSES.get(short) if short is not None else None
    if found is None:
        raise UnsupportedCheckpointError(
            f"{origin}: tokenizer_class {name!r:.60} is not supported; {', '.join(CLASSES)} are, and "
            f"PreTrainedTokenizerFast where tokenizer.json alone says everything"
        )
    return _WHOLE if short == "LlamaTokenizer" and byte_level and not wrong else found
