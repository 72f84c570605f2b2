"""What may be exported, and where to."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from sestina._manifest import MANIFEST
from sestina_export._errors import ExportError
from sestina_model import checkpoint as checkpoints
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import HeadConfig
from sestina_model.encoder import TransformerEncoder
from sestina_model.sentence import SentenceEncoder

__all__ = ["Source", "as_checkpoint", "usable_target"]

Source = str | os.PathLike[str] | Checkpoint | SentenceEncoder | TransformerEncoder


def as_checkpoint(
    source: Source,
    tokenizer: Tokenizer | None,
    head: HeadConfig | None,
    name: str | None,
    licence: str | None,
) -> Checkpoint:
    """Any source as a `Checkpoint`; see `export` for the arguments.

    Raises:
        ExportError: Where the arguments do not fit the source.
        sestina_model.ModelError: Where a checkpoint folder cannot be read or is not supported.
    """
    if isinstance(source, TransformerEncoder):
        head = head or HeadConfig(max_tokens=source.config.max_positions)
        source = SentenceEncoder(source.eval(), head).eval()
    elif head is not None:
        raise ExportError("head goes with a TransformerEncoder; this source has a head of its own")
    if isinstance(source, SentenceEncoder):
        if tokenizer is None:
            raise ExportError(
                "a module needs its tokenizer: pass tokenizer=tokenizers.Tokenizer.from_file(...)"
            )
        return Checkpoint(source.eval(), tokenizer, name or "encoder", licence, None)
    if tokenizer is not None:
        raise ExportError("tokenizer goes with a module; this source has a tokenizer of its own")
    found = source if isinstance(source, Checkpoint) else checkpoints.load(source)
    return replace(found, name=name or found.name, licence=licence or found.licence)


def usable_target(out: Path, overwrite: bool) -> Path:
    """`out`, if a bundle may be put there.

    Raises:
        ExportError: Before any work is done.
    """
    target = out.absolute()
    if target.exists():
        if not (target / MANIFEST).is_file():
            raise ExportError(f"{out} exists and is not a bundle: name a directory that does not exist yet")
        if not overwrite:
            raise ExportError(f"{out} exists: name another directory, or pass overwrite=True (--overwrite)")
    parent = target.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ExportError(f"{out} cannot be written: {parent} is not a directory that this user may write to")
    return target
