"""What may be exported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tokenizers import Tokenizer

from sestina_export._build import LEAST_POSITIONS
from sestina_export._errors import ExportError
from sestina_model import checkpoint as checkpoints
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import HeadConfig
from sestina_model.encoder import TransformerEncoder
from sestina_model.sentence import SentenceEncoder

__all__ = ["Source", "as_checkpoint", "check_label", "in_eval_mode"]

Source = str | os.PathLike[str] | Checkpoint | SentenceEncoder | TransformerEncoder


def check_label(value: object, what: str) -> None:
    """Refuse a name or licence that a manifest cannot hold; None is none.

    Raises:
        ExportError: Where it is not a `str`, or not valid Unicode.
    """
    if value is None:
        return
    if not isinstance(value, str):
        raise ExportError(f"{what} is {type(value).__name__}; it must be str")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        raise ExportError(
            f"{what} has a lone surrogate U+{code:04X} at character {error.start}; it must be valid Unicode"
        ) from None


@contextmanager
def in_eval_mode(source: Source) -> Iterator[None]:
    """A module is in eval mode inside the block, and each of its parts in the mode it had after it."""
    modules = list(source.modules()) if isinstance(source, TransformerEncoder | SentenceEncoder) else []
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def as_checkpoint(
    source: Source,
    tokenizer: Tokenizer | None,
    head: HeadConfig | None,
    name: str | None,
    licence: str | None,
) -> Checkpoint:
    """Any source as a `Checkpoint` on the CPU; see `export` for the arguments. A module is in eval mode.

    Raises:
        ExportError: Where the arguments do not fit the source, or it is not one that can be exported.
        sestina_model.ModelError: Where a checkpoint folder cannot be read or is not supported.
    """
    if isinstance(source, TransformerEncoder):
        head = head or HeadConfig(max_tokens=source.config.max_positions)
        source = SentenceEncoder(source, head).eval()
    elif head is not None:
        raise ExportError("head goes with a TransformerEncoder; this source has a head of its own")
    if isinstance(source, SentenceEncoder):
        if tokenizer is None:
            raise ExportError(
                "a module needs its tokenizer: pass tokenizer=tokenizers.Tokenizer.from_file(...)"
            )
        _check_exportable(source)
        return Checkpoint(source, tokenizer, name or "encoder", licence, None)
    if tokenizer is not None:
        raise ExportError("tokenizer goes with a module; this source has a tokenizer of its own")
    found = source if isinstance(source, Checkpoint) else checkpoints.load(source)
    _check_exportable(found.model)
    checkpoint = replace(found, name=name or found.name, licence=licence or found.licence)
    check_label(checkpoint.name, "the checkpoint's name")
    check_label(checkpoint.licence, "the checkpoint's licence")
    return checkpoint


def _check_exportable(model: SentenceEncoder) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.device.type != "cpu":
            raise ExportError(f"{name} is on {tensor.device}; the export runs on the CPU: call .cpu() first")
    positions = model.encoder.config.max_positions
    if positions < LEAST_POSITIONS:
        raise ExportError(
            f"max_positions is {positions}; an encoder must have at least {LEAST_POSITIONS} to be exported"
        )
