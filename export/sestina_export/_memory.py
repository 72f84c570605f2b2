"""A model of sentence-transformers or transformers as it is in memory, laid down as the folder that it saves.

Neither library is imported: where an object is one of theirs, they are there already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sestina_export._errors import ExportError
from sestina_export._transformers import quiet

__all__ = ["InMemory", "in_memory"]


@dataclass(frozen=True, slots=True)
class InMemory:
    """One such model.

    Attributes:
        model: The object itself.
        tokenizer: Its tokenizer, one of transformers'.
        sentences: Whether it is a model of sentence-transformers, which says how a text becomes a vector.
    """

    model: Any
    tokenizer: Any
    sentences: bool

    @property
    def name(self) -> str:
        """What people call it: its id on the hub, or where it was loaded from."""
        card = getattr(self.model, "model_card_data", None)
        first = self.model[0] if self.sentences else self.model
        inner = getattr(first, "auto_model", first)
        for found in (getattr(card, "model_id", None), getattr(inner, "name_or_path", None)):
            if isinstance(found, str) and (name := found.rstrip("/\\").replace("\\", "/").rpartition("/")[2]):
                return name
        return "encoder"

    @property
    def licence(self) -> str | None:
        """What its model card says, where it says so itself; see also README.md of what `save` writes."""
        found = getattr(getattr(self.model, "model_card_data", None), "license", None)
        return found if isinstance(found, str) else None

    def save(self, folder: Path) -> None:
        """Write what a `save_pretrained` writes, safetensors only. The object stays as it is.

        Raises:
            ExportError: Where it cannot be saved.
        """
        try:
            with quiet(), _as_before(self.model):
                if self.sentences:
                    # Not its own card: to make that may ask the hub.
                    self.model.save_pretrained(str(folder), create_model_card=False)
                    _keep_card(self.model, folder)
                else:
                    self.model.save_pretrained(str(folder))
                    self.tokenizer.save_pretrained(str(folder))
        except Exception as error:  # whatever another library raises
            raise ExportError(
                f"this {type(self.model).__name__} cannot be saved ({type(error).__name__}: {error}); it is "
                f"exported as what its save_pretrained writes"
            ) from error


def in_memory(source: object, tokenizer: object) -> InMemory | None:
    """What an object is, where it is one of either library's; None where it is neither.

    Raises:
        ExportError: Where a tokenizer is missing or too much, or the model has adapters.
    """
    source = _unwrapped(source)
    if not isinstance(source, torch.nn.Module):
        return None
    _check_adapters(source)
    of_sentences = ("SentenceTransformer", "CrossEncoder", "SparseEncoder")
    if any(_is(source, "sentence_transformers", name) for name in of_sentences):
        name = type(source).__name__
        if tokenizer is not None:
            raise ExportError(f"tokenizer goes with a module; a {name} has a tokenizer of its own")
        backend = getattr(next(iter(source.children()), None), "backend", "torch")
        if backend != "torch":
            raise ExportError(
                f"this {name} has the backend {backend!r}, and so no weights; load it with 'torch'"
            )
        return InMemory(source, getattr(source, "tokenizer", None), True)
    if not _is(source, "transformers.modeling_utils", "PreTrainedModel"):
        return None
    if not _is(tokenizer, "transformers.tokenization_utils_base", "PreTrainedTokenizerBase"):
        raise ExportError(
            f"a {type(source).__name__} needs its tokenizer, one of transformers': pass "
            f"tokenizer=AutoTokenizer.from_pretrained(...), not {type(tokenizer).__name__}"
        )
    return InMemory(source, tokenizer, False)


def _is(value: object, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _unwrapped(source: object) -> object:
    """What torch.compile and the data-parallel wrappers hold."""
    while isinstance(source, torch.nn.Module):
        wrapped = isinstance(source, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel)
        inner = source.module if wrapped else getattr(source, "_orig_mod", None)
        if not isinstance(inner, torch.nn.Module):
            break
        source = inner
    return source


def _check_adapters(model: torch.nn.Module) -> None:
    """Adapters are layers beside the model's own, which it saves without the model."""
    for name, module in model.named_modules():
        of_peft = type(module).__module__.split(".")[0] == "peft"
        if of_peft or getattr(module, "_hf_peft_config_loaded", False):
            raise ExportError(
                f"{name or type(model).__name__} has adapters of PEFT ({type(module).__name__}), which are "
                f"not supported; merge them into the model first: merge_and_unload()"
            )


@contextmanager
def _as_before(model: torch.nn.Module) -> Iterator[None]:
    """To save a model writes into its configuration: what was there is put back."""
    kept = [
        (config, dict(vars(config)))
        for module in model.modules()
        if hasattr(config := getattr(module, "config", None), "to_dict")
    ]
    try:
        yield
    finally:
        for config, values in kept:
            vars(config).clear()
            vars(config).update(values)


def _keep_card(model: Any, folder: Path) -> None:
    """The card that it was loaded with, where sentence-transformers keeps that: it states the licence."""
    text = getattr(model, "_model_card_text", None)
    tags = getattr(getattr(model, "model_card_data", None), "tags", None) or []
    if isinstance(text, str) and "generated_from_trainer" not in tags:
        (folder / "README.md").write_text(text, encoding="utf-8")
