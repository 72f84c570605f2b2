"""What an encoder is given of a text, or of a pair of texts: token ids and types, cut to the limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from sestina_model._errors import CheckpointError
from sestina_model._tokenizers import sound_tokenizer
from sestina_model.head_config import HeadConfig

__all__ = [
    "Operands",
    "Query",
    "RoleRow",
    "Text",
    "check_pairs",
    "encode_texts",
    "longest_first",
    "operands",
    "read_roles",
    "role_operands",
]

Text = str | tuple[str, str]  # one text, or a query and what is held against it


class Query(str):
    """A text that is a query, where queries and documents are read apart; others are documents."""

    __slots__ = ()


class RoleRow(NamedTuple):
    """A query or a document as it is read.

    Attributes:
        ids: Of its prompt, its own, and those that fill it up.
        attended: How many of them, from the first, are attended to.
    """

    ids: list[int]
    attended: int


class Operands(NamedTuple):
    """One text alone, as `SentenceEncoder.forward` takes it by name."""

    ids: Tensor  # (1, S) int64
    types: Tensor | None  # (1, S) int64; None: all 0
    mask: Tensor | None = None  # (1, S) bool, what is attended to; None: all


def encode_texts(tokenizer: Tokenizer, texts: Sequence[Text], max_tokens: int) -> list[Encoding]:
    """What the tokenizer makes of each text, special tokens added, cut to the limit.

    The cut takes ordinary tokens from the end, so that a final [SEP] stays, as in the reference tokenizers;
    of a pair from the longer text first.

    Raises:
        CheckpointError: Where the tokenizer fails on a text.
    """
    pairs = [text if isinstance(text, tuple) else (text, None) for text in texts]
    parts = [part for pair in pairs for part in pair if part is not None]
    rows = []
    with sound_tokenizer("the tokenizer fails on a text:"):
        encoded = iter(tokenizer.encode_batch(parts, add_special_tokens=False))
        for _, text in pairs:
            first, second = next(encoded), None if text is None else next(encoded)
            room = max_tokens - tokenizer.num_special_tokens_to_add(second is not None)
            if second is None:
                first.truncate(room)
            else:
                lengths = longest_first(len(first.ids), len(second.ids), room)
                first.truncate(lengths[0])
                second.truncate(lengths[1])
            rows.append(tokenizer.post_process(first, second, True))
    return rows


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of either text of a pair are kept, as the tokenizers library cuts "longest_first".

    One is cut where the other leaves it more than half, else both to a half; of an odd number the longer
    text has one more.
    """
    if first + second <= room:
        return first, second
    less, more = sorted((first, second))
    more = max(less, room - less)
    if less + more > room:
        less, more = room // 2, room - room // 2
    return (less, more) if first <= second else (more, less)


def operands(encoding: Encoding, head: HeadConfig, device: torch.device | None = None) -> Operands:
    """What of an encoding the model reads."""
    types = torch.tensor([encoding.type_ids], device=device) if head.pairs else None
    return Operands(torch.tensor([encoding.ids], device=device), types)


def read_roles(tokenizer: Tokenizer, texts: Sequence[Text], head: HeadConfig) -> list[RoleRow]:
    """What is read of queries and documents, of a head that reads these apart.

    Each has its prompt before it, is cut to its own limit, and where it is short filled up. A text without
    tokens stays as it is.

    Raises:
        CheckpointError: Where the tokenizer fails on a text.
    """
    late = head.late_interaction
    assert late is not None  # noqa: S101  callers look
    rows: list[RoleRow] = [RoleRow([], 0)] * len(texts)
    for name, role in (("query", late.query), ("document", late.document)):
        places = [at for at, text in enumerate(texts) if isinstance(text, Query) == (name == "query")]
        prompt = head.prompts.get(name, "")
        prompted = [f"{prompt}{texts[at]}" for at in places]
        for at, encoding in zip(places, encode_texts(tokenizer, prompted, role.max_tokens), strict=True):
            ids, expansion = list(encoding.ids), role.expansion
            attended = len(ids)
            if expansion is not None and 0 < attended < expansion.length:
                ids += [expansion.token] * (expansion.length - attended)
                attended = len(ids) if expansion.attended else attended
            rows[at] = RoleRow(ids, attended)
    return rows


def role_operands(row: RoleRow, device: torch.device | None = None) -> Operands:
    """What of a query or a document the model reads."""
    count = len(row.ids)
    mask = None if row.attended == count else torch.arange(count, device=device)[None] < row.attended
    return Operands(torch.tensor([row.ids], device=device), None, mask)


def check_pairs(tokenizer: Tokenizer, head: HeadConfig, n_token_types: int | None) -> None:
    """Refuse a tokenizer that does not put a pair together as it is read.

    Raises:
        CheckpointError: Saying what is wrong with it.
    """
    with sound_tokenizer("the tokenizer fails on a short pair of texts:"):
        whole = tokenizer.encode("a b", "c")
        parts = [tokenizer.encode(text, add_special_tokens=False) for text in ("a b", "c")]
        (ours,) = encode_texts(tokenizer, [("a b", "c")], max(head.max_tokens, 1 << 16))
        n_special = tokenizer.num_special_tokens_to_add(True)
    told = [at for at, each in enumerate(whole.sequence_ids) if each is not None]
    sequences = [whole.sequence_ids[at] for at in told]
    once = len(whole.ids) == len(told) + n_special
    in_order = once and [whole.ids[at] for at in told] == [*parts[0].ids, *parts[1].ids]
    types_alike = n_token_types is None or whole.type_ids == ours.type_ids
    wanted = [0] * len(parts[0].ids) + [1] * len(parts[1].ids)
    if whole.ids != ours.ids or not types_alike or not in_order or sequences != wanted:
        raise CheckpointError(
            "the tokenizer's post-processor does not hold both texts of a pair once, in their order; save it "
            "with one that does"
        )
    if head.max_tokens < n_special + 2:
        raise CheckpointError(
            f"max_tokens is {head.max_tokens}; this tokenizer adds {n_special} special tokens to a pair of "
            f"texts, so it must be at least {n_special + 2}"
        )
    if n_token_types is not None and max(ours.type_ids) >= n_token_types:
        raise CheckpointError(
            f"the tokenizer gives token types up to {max(ours.type_ids)}; this encoder has {n_token_types}"
        )
