"""What may be exported, and what it is read from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from sestina_export._build import LEAST_POSITIONS
from sestina_export._conversion import converted_tokenizer
from sestina_export._errors import ExportError
from sestina_export._hub import fetch, is_model_id
from sestina_export._memory import in_memory
from sestina_model import checkpoint as checkpoints
from sestina_model._errors import CheckpointError, ModelError
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import HeadConfig
from sestina_model.encoder import TransformerEncoder
from sestina_model.head_config import Task
from sestina_model.pretrained import stated_task
from sestina_model.pretrained.tokenizer import MISSING
from sestina_model.sentence import SentenceEncoder

__all__ = ["Opened", "Source", "check_label", "opened"]

# A path or a model's id, a checkpoint, a module of ours, or a model of the libraries that `_memory` knows.
Source = str | os.PathLike[str] | Checkpoint | SentenceEncoder | TransformerEncoder | Any


@dataclass(frozen=True, slots=True)
class Opened:
    """A source as it was read.

    Attributes:
        checkpoint: What it holds, on the CPU.
        folder: Where it was read from; None where it was in memory as one of our own.
        tokenizer: One of transformers' that is there already, in the place of the folder's.
        provenance: Where it is from, for the manifest.
    """

    checkpoint: Checkpoint
    folder: str | os.PathLike[str] | None = None
    tokenizer: Any = None
    provenance: Mapping[str, str | None] = field(default_factory=dict)


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
def opened(
    source: Source,
    *,
    tokenizer: Any,
    head: HeadConfig | None,
    name: str | None,
    licence: str | None,
    revision: str | None,
    say: Callable[[str], None],
    shown: bool,
    task: Task | None = None,
) -> Iterator[Opened]:
    """Any source, read; see `export` for the arguments. What was written for it is gone after the block.

    Raises:
        ExportError: Where the arguments do not fit the source, or it is not one that can be exported.
        sestina_model.ModelError: Where a checkpoint folder cannot be read or is not supported.
    """
    if revision is not None and (not isinstance(revision, str) or not is_model_id(source)):
        raise ExportError(
            f"revision goes with the id of a model, such as OWNER/NAME; the source is {source!r:.100}"
        )
    with ExitStack() as stack:
        found = in_memory(source, tokenizer)
        if found is not None:
            _check_alone(None, head)
            say("saving the model to a temporary folder")
            folder = _temporary(stack) / "model"
            found.save(folder)
            with _called(folder, type(found.model).__name__):
                read = replace(_of_folder(folder, stack, say, task), tokenizer=found.tokenizer)
            name, licence = name or found.name, licence or found.licence
        elif isinstance(source, TransformerEncoder | SentenceEncoder):
            stack.enter_context(_in_eval_mode(source))
            read = Opened(_of_module(source, tokenizer, head))
        else:
            _check_alone(tokenizer, head)
            if isinstance(source, Checkpoint):
                read = Opened(source)
            elif is_model_id(source):
                say(f"fetching {source}")
                on_hub = fetch(str(source), revision, shown=shown)
                provenance = {"source": on_hub.model_id, "revision": on_hub.revision}
                read = replace(_of_folder(on_hub.folder, stack, say, task), provenance=provenance)
            else:
                read = _of_folder(source, stack, say, task)
        checkpoint = replace(
            read.checkpoint,
            name=name or read.checkpoint.name,
            licence=licence or read.checkpoint.licence,
        )
        _check_exportable(checkpoint.model)
        if task is not None and task != checkpoint.model.head.task:
            raise ExportError(
                f"task is {task!r}; this source is of the task {checkpoint.model.head.task!r}: leave it out"
            )
        check_label(checkpoint.name, "the checkpoint's name")
        check_label(checkpoint.licence, "the checkpoint's licence")
        yield replace(read, checkpoint=checkpoint)


def _temporary(stack: ExitStack) -> Path:
    """A folder of our own, until the stack is closed."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sestina-export-")))


def _of_folder(source: Source, stack: ExitStack, say: Callable[[str], None], task: Task | None) -> Opened:
    """A folder, with the tokenizer.json that it may lack made elsewhere; read for what it says it is for."""
    if not isinstance(source, str | os.PathLike):
        raise ExportError(
            f"source is {type(source).__name__}; it must be a folder, the id of a model, a Checkpoint, an "
            f"encoder of sestina_model, a SentenceTransformer, or a PreTrainedModel of transformers"
        )
    own = not Path(source).is_dir() or not checkpoints.is_pretrained(source)
    if own:
        return Opened(checkpoints.load(source), source)
    task = task or stated_task(Path(source))
    contract = checkpoints.pretrained_contract(source, task)
    assert contract is not None  # noqa: S101  as it is theirs
    try:
        return Opened(checkpoints.load(source, task=task), source)
    except CheckpointError as error:
        if MISSING not in str(error):
            raise
        made = converted_tokenizer(contract.transformer, _temporary(stack), say)
        if made is None:
            raise
    with _called(made, contract.transformer):
        return Opened(checkpoints.load(source, made, task), source)


@contextmanager
def _called(folder: Path, name: object) -> Iterator[None]:
    """What is wrong with a temporary folder is said of what it was made from."""
    try:
        yield
    except (ModelError, ExportError) as error:
        raise type(error)(str(error).replace(str(folder), str(name))) from error


def _of_module(
    source: TransformerEncoder | SentenceEncoder, tokenizer: Any, head: HeadConfig | None
) -> Checkpoint:
    """A module of ours, which is in eval mode."""
    if isinstance(source, TransformerEncoder):
        head = head or HeadConfig(max_tokens=source.config.max_positions)
        source = SentenceEncoder(source, head).eval()
    elif head is not None:
        raise ExportError("head goes with a TransformerEncoder; this source has a head of its own")
    if not isinstance(tokenizer, Tokenizer):
        raise ExportError(
            f"a module needs its tokenizer: pass tokenizer=tokenizers.Tokenizer.from_file(...)"
            f"{'' if tokenizer is None else f', not {type(tokenizer).__name__}'}"
        )
    _check_exportable(source)
    return Checkpoint(source, tokenizer, "encoder", None, None)


def _check_alone(tokenizer: object, head: object) -> None:
    if head is not None:
        raise ExportError("head goes with a TransformerEncoder; this source has a head of its own")
    if tokenizer is not None:
        raise ExportError("tokenizer goes with a module; this source has a tokenizer of its own")


@contextmanager
def _in_eval_mode(source: TransformerEncoder | SentenceEncoder) -> Iterator[None]:
    """A module is in eval mode inside the block, and each of its parts in the mode it had after it."""
    modules = list(source.modules())
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _check_exportable(model: SentenceEncoder) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.device.type != "cpu":
            raise ExportError(f"{name} is on {tensor.device}; the export runs on the CPU: call .cpu() first")
    positions = model.encoder.config.max_positions
    if positions < LEAST_POSITIONS:
        raise ExportError(
            f"max_positions is {positions}; an encoder must have at least {LEAST_POSITIONS} to be exported"
        )
