"""A tokenizer that gives the same ids every time, each of which the encoder has a row for."""

from __future__ import annotations

import json
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models

from sestina_model._errors import CheckpointError, ModelError, UnsupportedCheckpointError
from sestina_model._growth import check_growth

__all__ = ["read_tokenizer", "settled_tokenizer", "sound_tokenizer"]

_PROBE = "a b c"
# Stands around what calls the library, which prints to standard error where it panics: a program whose own
# standard error is may have that hidden.
around_calls: Callable[[], AbstractContextManager[None]] = nullcontext


@contextmanager
def sound_tokenizer(what: object) -> Iterator[None]:
    """Whatever the tokenizers library raises inside the block becomes one line about `what`.

    It raises plain Exceptions, and where it panics a BaseException of a class that cannot be imported.

    Raises:
        CheckpointError: In the place of those.
    """
    try:
        with around_calls():
            yield
    except ModelError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__module__ != "pyo3_runtime":
            raise
        raise CheckpointError(f"{what} {' '.join(str(error).split())[:200]}") from error


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json, with the padding and truncation that may be baked into it switched off.

    Raises:
        CheckpointError: Where the file is absent or the tokenizers library cannot read it.
        UnsupportedCheckpointError: Where it keeps the end of a long text instead of its beginning.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not a tokenizer that can be read: {error}") from error
    _check_charsmaps(text, path)
    check_growth(text, path)
    with sound_tokenizer(f"{path} is not a tokenizer that can be read:"):
        tokenizer = Tokenizer.from_str(text)
    if tokenizer.truncation is not None and tokenizer.truncation["direction"] != "right":
        raise UnsupportedCheckpointError(
            f"{path}: truncation direction {tokenizer.truncation['direction']!r} is not supported; only "
            f"'right' is"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _check_charsmaps(text: str, path: Path) -> None:
    """Refuse a normalizer's table that says to be larger than it is.

    The library takes memory for what it says, and ends the process where there is not so much.
    """

    def check(members: dict[str, Any]) -> dict[str, Any]:
        try:
            table = a2b_base64(str(members.get("precompiled_charsmap") or ""))
        except ValueError:
            return members  # the library cannot read it either, and says so
        size = int.from_bytes(table[:4], "little")
        if len(table) >= 4 and (size > len(table) - 4 or size % 4):
            raise CheckpointError(
                f"{path}: precompiled_charsmap has {len(table)} bytes, and says that its trie has {size}; "
                "fetch the folder again"
            )
        return members

    if "_charsmap" in text or "\\u00" in text:  # its letters may be escaped
        with suppress(json.JSONDecodeError, RecursionError):  # what is no JSON is told below
            json.loads(text, object_hook=check, parse_int=float)  # of any number of digits


def _check_added(tokenizer: Tokenizer) -> None:
    """Refuse added tokens that normalized text cannot tell apart: which of them the library then finds is
    another one every time that it is loaded.
    """
    normalizer, seen = tokenizer.normalizer, dict[str, str]()
    if normalizer is None:
        return
    added = tokenizer.get_added_tokens_decoder().values()
    for content in sorted(token.content for token in added if token.normalized):
        other = seen.setdefault(normalizer.normalize_str(content), content)
        if other != content:
            raise CheckpointError(
                f"the tokenizer has the added tokens {other!r:.60} and {content!r:.60}, which normalized "
                f"text cannot tell apart, so that ids are a matter of chance; remove one, or state it "
                f"with normalized false"
            )


def settled_tokenizer(tokenizer: Tokenizer, vocab_size: int, max_tokens: int) -> Tokenizer:
    """The tokenizer, or where it pads, truncates or draws at random a copy of it that does not.

    Args:
        tokenizer: Any.
        vocab_size: Rows of the encoder's token table.
        max_tokens: The length limit, special tokens included.

    Raises:
        CheckpointError: Where it gives an id that the table does not have, or around a text more than the
            limit has room for, or fails on a short text.
    """
    with sound_tokenizer("the tokenizer fails on a short text:"):
        if tokenizer.encode_special_tokens:
            raise CheckpointError(
                "the tokenizer splits special tokens, which a tokenizer.json cannot hold; set "
                "encode_special_tokens to False"
            )
        model = tokenizer.model
        # Of these Unigram's are no part of a tokenizer.json, so that a copy has none.
        random = [getattr(model, name, None) for name in ("dropout", "alpha", "nbest_size")]
        if tokenizer.padding or tokenizer.truncation or random != [None] * len(random):
            document = json.loads(tokenizer.to_str()) | {"padding": None, "truncation": None}
            if isinstance(model, models.BPE):
                document["model"]["dropout"] = None
            tokenizer = Tokenizer.from_str(json.dumps(document))
        n_special = tokenizer.num_special_tokens_to_add(False)
        bare, whole = (tokenizer.encode(_PROBE, add_special_tokens=added) for added in (False, True))
        in_two_steps = tokenizer.post_process(bare, None, True).ids  # as every text is made
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        _check_added(tokenizer)
    if max_tokens < n_special:
        raise CheckpointError(
            f"max_tokens is {max_tokens}; this tokenizer adds {n_special} special tokens to every text, "
            f"so it must be at least {n_special}"
        )
    if whole.ids != in_two_steps or len(whole.ids) != len(bare.ids) + n_special:
        raise CheckpointError(
            f"the tokenizer makes {len(in_two_steps)} tokens of {len(bare.ids)} and {n_special} special "
            f"ones; its post-processor must hold the text once"
        )
    highest = max((*vocabulary.values(), *whole.ids), default=0)
    if highest >= vocab_size:
        token = next((token for token, id_ in vocabulary.items() if id_ == highest), None)
        raise CheckpointError(
            f"the tokenizer gives ids up to {highest}; this encoder has {vocab_size} rows in its token "
            f"table: they are not a pair{f' (id {highest} is {token!r:.60})' if token else ''}"
        )
    return tokenizer
