"""The tokenizer.json that a folder lacks, made by transformers' own conversion and put elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sestina_export._errors import ExportError
from sestina_export._transformers import auto_tokenizer, installed, quiet
from sestina_model._errors import CheckpointError
from sestina_model._tokenizers import sound_tokenizer

__all__ = ["converted_tokenizer"]

TOKENIZER = "tokenizer.json"


def converted_tokenizer(folder: Path, into: Path, say: Callable[[str], None]) -> Path | None:
    """Make the tokenizer.json of a folder that has the vocabulary alone.

    Args:
        folder: Where vocab.txt, a sentencepiece model, or vocab.json and merges.txt are. Nothing is written
            there.
        into: An empty folder.
        say: Told what takes seconds.

    Returns: `into`, with tokenizer.json and the files beside it; None where the folder has a tokenizer.json,
        or transformers is not installed.

    Raises:
        ExportError: Where transformers cannot make it, or the folder lacks what its class reads.
    """
    version = installed()
    if version is None or (folder / TOKENIZER).exists() or not folder.is_dir():
        return None
    say(f"making {TOKENIZER} with transformers {version}, which takes seconds to import")
    try:
        with quiet(), sound_tokenizer(f"transformers {version}:"):
            tokenizer = auto_tokenizer(os.fspath(folder))
            wanted = _unread(tokenizer, folder)
            if not wanted:
                tokenizer.save_pretrained(into)
    except CheckpointError as error:
        raise ExportError(
            f"{folder / TOKENIZER} is missing, and cannot be made from what is there ({error}); fetch the "
            f"folder again, or pip install sentencepiece protobuf where its vocabulary is a .model"
        ) from error
    if wanted:
        raise ExportError(
            f"{folder / TOKENIZER} is missing, and so is {' and '.join(wanted)}, of which "
            f"{type(tokenizer).__name__} would make it; fetch the folder again"
        )
    if not (into / TOKENIZER).is_file():
        raise ExportError(
            f"{folder / TOKENIZER} is missing, and {type(tokenizer).__name__} cannot be written as one; a "
            f"tokenizer of the tokenizers library is needed"
        )
    return into


def _unread(tokenizer: Any, folder: Path) -> list[str]:
    """The files that a class needs and did not find: it makes do without."""
    names = getattr(tokenizer, "vocab_files_names", {})
    read = getattr(tokenizer, "vocab_file", None) or getattr(tokenizer, "init_kwargs", {}).get("vocab_file")
    wanted = [] if read else [names.get("vocab_file", "tokenizer.model")]
    if "merges_file" in names and not (folder / names["merges_file"]).is_file():
        wanted.append(names["merges_file"])
    return wanted
