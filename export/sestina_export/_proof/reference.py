"""A folder's tokenizer against the one that transformers makes of it, where that is installed.

The rules by which a folder is read are Sestina's own, and the library that they follow may change or know a
folder better. What both make of a few hundred hard texts is therefore compared before anything is exported.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from sestina_export._errors import ParityError
from sestina_export._proof.fuzzed_texts import fuzzed_texts
from sestina_model import checkpoint as checkpoints
from sestina_model._errors import CheckpointError
from sestina_model._tokenizers import sound_tokenizer
from sestina_model.checkpoint import Checkpoint
from sestina_model.pretrained.tokenizer import lower_cased

__all__ = ["compare_tokenizer"]

_OLDEST = 5  # before it the classes read a folder in another way
_SHOWN = 24  # ids of a text in an error


def compare_tokenizer(source: object, checkpoint: Checkpoint, say: Callable[[str], None]) -> str | None:
    """Hold the ids of a checkpoint's tokenizer to those of transformers' for the same folder.

    Nothing is fetched, and no code that comes with the folder is run.

    Args:
        source: What is exported. Only a folder that transformers may read is compared.
        checkpoint: What Sestina read from it.
        say: Told what takes seconds, and why nothing could be compared.

    Returns: the version of transformers; None where nothing was compared.

    Raises:
        ParityError: Naming a text, and the ids that either gives it.
    """
    if not isinstance(source, str | os.PathLike):
        return None
    contract = checkpoints.pretrained_contract(source)
    version = _installed()
    if contract is None or version is None:
        return None
    say(f"comparing token ids with transformers {version}, which takes seconds to import")
    texts = fuzzed_texts(checkpoint.tokenizer, checkpoint.model.head.max_tokens)
    try:
        with _quiet(), sound_tokenizer("the tokenizer:"):
            reference = _reference(os.fspath(contract.transformer), lower_case=contract.lower_case)
            with _offline():
                encoded = reference(texts, truncation=True, max_length=checkpoint.model.head.max_tokens)
    except CheckpointError as error:
        say(f"transformers {version} cannot read this tokenizer, so no ids were compared ({error})")
        return None
    _hold(texts, checkpoint.tokenize(texts), encoded["input_ids"], version)
    return version


def _installed() -> str | None:
    try:
        version = metadata.version("transformers")
    except metadata.PackageNotFoundError:
        return None
    major = version.split(".")[0]
    return version if major.isdigit() and int(major) >= _OLDEST else None


def _reference(folder: str, *, lower_case: bool) -> Any:
    """The tokenizer as sentence-transformers sets it up, and without what it draws at random."""
    from transformers import AutoTokenizer

    with _offline():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    backend = tokenizer.backend_tokenizer
    if lower_case:
        backend.normalizer = lower_cased(backend.normalizer)
    if getattr(backend.model, "dropout", None):  # a bundle has none, and a comparison can have none
        backend.model.dropout = None
    return tokenizer


def _hold(
    texts: Sequence[str], ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]], version: str
) -> None:
    rows = zip(texts, ours, theirs, strict=True)
    differing = [row for row in rows if list(row[1]) != list(row[2])]
    if differing:
        text, here, there = min(differing, key=lambda row: (len(row[0]), row[0]))
        raise ParityError(
            f"the tokenizer gives {text!r:.100} the ids {_listed(here)} where transformers {version} gives "
            f"{_listed(there)}; save the folder again with save_pretrained, or export it as a module with "
            f"tokenizer="
        )


def _listed(ids: Sequence[int]) -> str:
    more = "" if len(ids) <= _SHOWN else f", and {len(ids) - _SHOWN} more"
    return f"{list(ids[:_SHOWN])}{more}"


@contextmanager
def _offline() -> Iterator[None]:
    """Whatever in there wanted to open a connection after all is refused it."""
    constants = sys.modules.get("huggingface_hub.constants")
    before = getattr(constants, "HF_HUB_OFFLINE", None)
    try:
        if constants is not None:
            vars(constants)["HF_HUB_OFFLINE"] = True
        yield
    finally:
        if constants is not None:
            vars(constants)["HF_HUB_OFFLINE"] = before


@contextmanager
def _quiet() -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
