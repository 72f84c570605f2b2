"""A tokenizer's ids against transformers', where that is installed.

The rules by which a folder is read are Sestina's own, and the library that they follow may change or know a
folder better. What both make of a few hundred hard texts is therefore compared before anything is exported.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any

from sestina_export._errors import ParityError
from sestina_export._proof.fuzzed_texts import fuzzed_texts
from sestina_export._transformers import auto_tokenizer, installed, offline, quiet
from sestina_model import checkpoint as checkpoints
from sestina_model._errors import CheckpointError
from sestina_model._tokenizers import sound_tokenizer
from sestina_model.checkpoint import Checkpoint
from sestina_model.inputs import Text
from sestina_model.pretrained.tokenizer import lower_cased

__all__ = ["compare_tokenizer"]

_MOST_CHARACTERS = 10_000  # of a text of a pair
_SHOWN = 24  # ids of a text in an error


def compare_tokenizer(
    source: object, checkpoint: Checkpoint, say: Callable[[str], None], given: Any = None
) -> str | None:
    """Hold the ids of a checkpoint's tokenizer to those of transformers' for the same folder.

    Nothing is fetched, and no code that comes with the folder is run.

    Args:
        source: What is exported. Only a folder that transformers may read is compared.
        checkpoint: What Sestina read from it.
        say: Told what takes seconds, and why nothing could be compared.
        given: A tokenizer of transformers' that is there already, in the place of the folder's.

    Returns: the version of transformers; None where nothing was compared.

    Raises:
        ParityError: Naming a text, and the ids that either gives it.
    """
    if not isinstance(source, str | os.PathLike):
        return None
    contract = checkpoints.pretrained_contract(source, checkpoint.model.head.task)
    version = installed()
    if contract is None or version is None:
        return None
    say(f"comparing token ids with transformers {version}, which takes seconds to import")
    texts = fuzzed_texts(checkpoint.tokenizer, checkpoint.model.head.max_tokens)
    try:
        with quiet(), sound_tokenizer("the tokenizer:"):
            reference = _reference(os.fspath(contract.transformer), given, lower_case=contract.lower_case)
            with offline():
                encoded = reference(texts, truncation=True, max_length=checkpoint.model.head.max_tokens)
    except CheckpointError as error:
        say(f"transformers {version} cannot read this tokenizer, so no ids were compared ({error})")
        return None
    rows = checkpoint.model.encoder.config.vocab_size
    vocabulary: dict[str, int] = getattr(reference, "get_vocab", dict)()
    if beyond := sorted(token for token, id_ in vocabulary.items() if id_ >= rows):
        say(
            f"left out of the tokenizer: {len(beyond)} tokens that the table has no rows for, {beyond!r:.200}"
        )
    found = zip(texts, encoded["input_ids"], strict=True)
    # Of the others no encoder can make a vector.
    held = [(text, ids) for text, ids in found if max(ids, default=0) < rows]
    kept = [text for text, _ in held]
    if checkpoint.model.head.pairs:
        _hold_pairs(checkpoint, reference, kept, version)
    else:
        _hold(kept, [each.ids for each in checkpoint.encodings(kept)], [ids for _, ids in held], version)
    return version


def _hold_pairs(checkpoint: Checkpoint, reference: Any, texts: Sequence[str], version: str) -> None:
    """Each text with the next, and with one far away: short and long ones on either side.

    The longest of all, whose tokens by the million are cut to the same few, stay out of it.
    """
    texts = [text for text in texts if len(text) <= _MOST_CHARACTERS]
    pairs: list[Text] = [
        (text, texts[(at + step) % len(texts)])
        for step in (1, len(texts) // 2)
        for at, text in enumerate(texts)
    ]
    limit = checkpoint.model.head.max_tokens
    with quiet(), sound_tokenizer("the tokenizer:"), offline():
        encoded = reference(
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            truncation="longest_first",
            max_length=limit,
            return_token_type_ids=True,
        )
    ours = checkpoint.encodings(pairs)
    _hold(pairs, [each.ids for each in ours], encoded["input_ids"], version)
    if checkpoint.model.encoder.config.n_token_types is not None:
        _hold(pairs, [each.type_ids for each in ours], encoded["token_type_ids"], version)


def _reference(folder: str, given: Any = None, *, lower_case: bool) -> Any:
    """The tokenizer as sentence-transformers sets it up, and without what it draws at random."""
    # Of a model in memory the one that it has there, which is left as it is.
    known = hasattr(given, "backend_tokenizer")
    tokenizer = copy.deepcopy(given) if known else auto_tokenizer(folder)
    backend = tokenizer.backend_tokenizer
    if lower_case:
        backend.normalizer = lower_cased(backend.normalizer)
    if getattr(backend.model, "dropout", None):  # a bundle has none, and a comparison can have none
        backend.model.dropout = None
    return tokenizer


def _hold(
    texts: Sequence[Text], ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]], version: str
) -> None:
    rows = zip(texts, ours, theirs, strict=True)
    differing = [row for row in rows if list(row[1]) != list(row[2])]
    if differing:
        text, here, there = min(differing, key=lambda row: (len(str(row[0])), str(row[0])))
        raise ParityError(
            f"the tokenizer gives {text!r:.100} the ids {_listed(here)} where transformers {version} gives "
            f"{_listed(there)}; save the folder again with save_pretrained, or export it as a module with "
            f"tokenizer="
        )


def _listed(ids: Sequence[int]) -> str:
    more = "" if len(ids) <= _SHOWN else f", and {len(ids) - _SHOWN} more"
    return f"{list(ids[:_SHOWN])}{more}"
