"""A tokenizer as its class builds it, of a tokenizer.json and the tokens that the files beside it name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from tokenizers import AddedToken, Tokenizer

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.pretrained.tokenizer_classes import Token, TokenizerClass
from sestina_model.pretrained.tokenizer_options import EXTRA, OLD_EXTRA, ROLES, TokenizerOptions
from sestina_model.pretrained.tokenizer_parts import Document

__all__ = ["as_class"]


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
    tokens = _tokens(kind, options)
    if kind.extras is not None and EXTRA not in options.values:
        named = options.extra if options.values.get(OLD_EXTRA) is not None else None
        options = replace(options, extra=kind.extras(named, options))
    if kind.model is None or kind.parts is None:
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

    bare = {"added_tokens": [], "post_processor": None, **kind.parts(document, options, tokens)}
    tokenizer = Tokenizer.from_str(json.dumps(document | bare))
    _add_tokens(tokenizer, options, tokens)
    if kind.plain:
        special = [str(token) for token in (*tokens.values(), *options.extra) if token is not None]
        tokenizer.add_tokens([AddedToken(token, special=True) for token in special])
    around = document["post_processor"]
    if kind.post_processor is not None and not (kind.keeps and around is not None):
        tokenizer.post_processor = kind.post_processor(needed, options)
    elif around is not None:
        whole = json.loads(tokenizer.to_str()) | {"post_processor": around}
        tokenizer = Tokenizer.from_str(json.dumps(whole))
    return tokenizer


def _tokens(kind: TokenizerClass, options: TokenizerOptions) -> dict[str, Token | None]:
    """The special tokens by role: those of `ROLES`, then the folder's own."""
    defaults = kind.defaults or {}
    tokens: dict[str, Token | None] = {role: options.roles.get(role, defaults.get(role)) for role in ROLES}
    if kind.word is not None:
        tokens = {
            role: kind.word(role, token) if isinstance(token, str) else token
            for role, token in tokens.items()
        }
    return tokens | {role: token for role, token in options.roles.items() if role not in ROLES}


def _add_tokens(tokenizer: Tokenizer, options: TokenizerOptions, tokens: Mapping[str, Token | None]) -> None:
    """Add what the folder names and the tokenizer does not have. A token that is nowhere gets the next id."""
    has = tokenizer.get_added_tokens_decoder().values()
    same, special = {repr(token) for token in has}, [token for token in tokens.values() if token is not None]
    fresh: list[Token] = [token for _, token in sorted(options.added.items()) if repr(token) not in same]
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
