"""An encoder with everything its meaning depends on: weights, tokenizer, text contract, name, licence.

Our own layout is a folder of three files, none of which can execute anything:

    encoder.safetensors   the weights of `TransformerEncoder`, float32 or float16, by our own names
    sestina.json          format version, encoder and head configuration, name, licence
    tokenizer.json        as the tokenizers library writes it, without padding or truncation
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from tokenizers import Encoding, Tokenizer

from sestina_model import pretrained
from sestina_model._errors import CheckpointError, ConfigError
from sestina_model._files import file_sha256, read_json_object
from sestina_model._folders import folder_in_place
from sestina_model._state import build_model, halved, state_of
from sestina_model._target import checkpoint_contents
from sestina_model._tokenizers import read_tokenizer, settled_tokenizer
from sestina_model._weights import all_finite, read_tensors
from sestina_model.config import EncoderConfig, HeadConfig
from sestina_model.head_config import Task
from sestina_model.inputs import (
    Operands,
    Text,
    check_pairs,
    encode_texts,
    operands,
    read_roles,
    role_operands,
)
from sestina_model.pretrained.sentence_transformers import Contract, read_contract
from sestina_model.sentence import SentenceEncoder

__all__ = ["FORMAT_VERSION", "Checkpoint", "is_pretrained", "load", "pretrained_contract", "save"]

FORMAT_VERSION = 1

_WEIGHTS, _CONFIG, _TOKENIZER = "encoder.safetensors", "sestina.json", "tokenizer.json"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A sentence encoder and its tokenizer, ready to compute the reference vectors of a text.

    Attributes:
        model: In eval mode, float32.
        tokenizer: Neither pads nor truncates, since `model.head.max_tokens` rules, and draws nothing at
            random (BPE's dropout). One that does is copied with all of it switched off.
        name: What people call the model.
        licence: The licence of the weights, as its source states it.
        source_sha256: Hex SHA-256 of the weight file read; of several shards, the SHA-256 of their
            sorted hex digests, joined. None for a model that was never saved.
        notes: What of the source is left out, a line each.

    Raises:
        CheckpointError: Where the model trains, is not float32 or holds values that are not finite, or the
            tokenizer does not fit it.
    """

    model: SentenceEncoder
    tokenizer: Tokenizer
    name: str
    licence: str | None
    source_sha256: str | None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.model.training:
            raise CheckpointError("the model is in training mode; call model.eval() first")
        for name, parameter in self.model.named_parameters():
            if parameter.dtype != torch.float32:
                raise CheckpointError(f"{name} is {parameter.dtype}; it must be float32: call model.float()")
        for name, tensor in chain(self.model.named_parameters(), self.model.named_buffers()):
            if tensor.is_meta:
                raise CheckpointError(f"{name} is on the meta device, without values; load its weights first")
            if not all_finite(tensor):
                raise CheckpointError(f"{name} holds NaN or infinity; load or train the model again")
        rows, limit = self.model.encoder.config.vocab_size, self.model.head.max_tokens
        object.__setattr__(self, "tokenizer", settled_tokenizer(self.tokenizer, rows, limit))
        if self.model.head.pairs:
            check_pairs(self.tokenizer, self.model.head, self.model.encoder.config.n_token_types)

    @property
    def dimensions(self) -> int:
        """The width of a sentence vector, d."""
        return self.model.dimensions

    def tokenize(self, texts: Sequence[Text]) -> list[list[int]]:
        """Token ids of each text, or pair of texts, special tokens added, cut to `max_tokens`.

        Where queries and documents are read apart, each as it is read.
        """
        if self.model.head.late_interaction is not None:
            return [row.ids for row in read_roles(self.tokenizer, texts, self.model.head)]
        return [encoding.ids for encoding in self.encodings(texts)]

    def encodings(self, texts: Sequence[Text]) -> list[Encoding]:
        """What the tokenizer makes of each, special tokens added, cut to `max_tokens` as `inputs` says.

        Raises:
            CheckpointError: Where the tokenizer fails on a text.
        """
        if isinstance(texts, str):
            raise TypeError("texts is a str; it must be a sequence of str, such as [text]")
        return encode_texts(self.tokenizer, texts, self.model.head.max_tokens)

    def operands(self, texts: Sequence[Text]) -> list[Operands | None]:
        """What the model is given of each text alone; None for one without tokens."""
        head, device = self.model.head, self.model.encoder.tokens.weight.device
        if head.late_interaction is not None:
            rows = read_roles(self.tokenizer, texts, head)
            return [role_operands(row, device) if row.ids else None for row in rows]
        return [operands(each, head, device) if each.ids else None for each in self.encodings(texts)]

    def rows(self, texts: Sequence[Text]) -> list[list[Any]]:
        """What a graph reads of each text: its ids, or where the encoder is told types [id, type] of each."""
        if self.model.head.late_interaction is not None:
            return [*self.tokenize(texts)]
        encodings = self.encodings(texts)
        if self.model.encoder.config.n_token_types is None:
            return [encoding.ids for encoding in encodings]
        return [[[*pair] for pair in zip(each.ids, each.type_ids, strict=True)] for each in encodings]

    def pooled_from(self, prompt: str) -> int:
        """The first token that is pooled of a text with this prompt: 0 where the prompt's are pooled too.

        As sentence-transformers counts them: those of the prompt alone, but for a special one at its end.
        """
        if not prompt or self.model.head.include_prompt:
            return 0
        (ids,) = self.tokenize([prompt])
        added = self.tokenizer.get_added_tokens_decoder()
        return len(ids) - (bool(ids) and ids[-1] in added and added[ids[-1]].special)

    def encode(self, texts: Sequence[Text], prompt: str = "") -> npt.NDArray[np.float32]:
        """The reference vectors or logits, (n, d) float32: each text computed alone, without padding.

        Of tasks by token those of all tokens of the texts, one after the other.

        A text without a single token, which only tokenizers without special tokens can give, has the
        zero vector. The `prompt` is put before each text, whatever the head's default is.
        """
        if isinstance(texts, str):
            raise TypeError("texts is a str; it must be a sequence of str, such as [text]")
        rows = self.operands([prompt + text if prompt and isinstance(text, str) else text for text in texts])
        by_token = self.model.head.by_token
        vectors = [np.zeros((0 if by_token else 1, self.dimensions), dtype=np.float32) for _ in rows]
        pooled_from = torch.tensor([self.pooled_from(prompt)], device=self.model.encoder.tokens.weight.device)
        with torch.inference_mode():
            for at, row in enumerate(rows):
                if row is not None:
                    given = self.model(row.ids, row.mask, pooled_from, row.types).sentence_embedding
                    vectors[at] = (given[0] if by_token else given).cpu().numpy()
        return np.concatenate(vectors) if rows else np.zeros((0, self.dimensions), dtype=np.float32)


def save(checkpoint: Checkpoint, path: str | os.PathLike[str], *, half: bool = False) -> None:
    """Write a checkpoint folder; the same checkpoint always gives the same bytes.

    It is written next to `path` and renamed into place: a killed save leaves the old checkpoint or
    none. Only an older checkpoint of this layout that holds nothing else, or an empty folder, is ever
    replaced.

    Args:
        checkpoint: What to write.
        path: The folder.
        half: Whether to round the weights to float16, in half the size.

    Raises:
        CheckpointError: Where `path` holds something else, or cannot be written, or a weight is beyond
            float16.
    """
    target = Path(os.path.realpath(path))
    contents = checkpoint_contents(target, (_WEIGHTS, _TOKENIZER, _CONFIG))
    if os.path.lexists(target):
        contents(target)
    model = checkpoint.model
    config = {
        "format": FORMAT_VERSION,
        "name": checkpoint.name,
        "licence": checkpoint.licence,
        "encoder": model.encoder.config.to_dict(),
        "head": model.head.to_dict(),
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state_of(model).items()}
    if half:
        tensors = {name: halved(name, tensor) for name, tensor in tensors.items()}
    try:
        with folder_in_place(target, contents) as fresh:
            save_file(tensors, fresh / _WEIGHTS)
            _write(fresh / _CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
            # safetensors makes its file readable to the owner alone; a checkpoint is as open as its folder.
            (fresh / _WEIGHTS).chmod((fresh / _CONFIG).stat().st_mode)
            _write(fresh / _TOKENIZER, checkpoint.tokenizer.to_str(pretty=True) + "\n")
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{target} cannot be written: {reason}") from error


def load(path: str | os.PathLike[str], tokenizer: Path | None = None, task: Task = "embedding") -> Checkpoint:
    """Read a checkpoint folder: our own layout, or Hugging Face's and sentence-transformers'.

    Args:
        path: The folder.
        tokenizer: Where the files of its tokenizer are, for a layout that is not our own; None: in it.
        task: What is read of a layout that is not our own: of all but "embedding" its model's head, too.

    Raises:
        CheckpointError: Where the folder is absent, incomplete or damaged; every tensor that is missing,
            unexpected or misshapen is named at once.
        UnsupportedCheckpointError: Where the model needs what Sestina's encoder does not have.
    """
    folder = Path(path)
    if not folder.exists():
        raise CheckpointError(f"{folder} does not exist; name a folder that holds a checkpoint")
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; name the folder that holds it")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise CheckpointError(f"{folder} cannot be read: permission denied; allow reading it")
    if (folder / _CONFIG).is_file():
        return _load_own(folder)
    if pretrained.recognises(folder):
        source = pretrained.read(folder, tokenizer, task)
        return Checkpoint(
            model=SentenceEncoder(source.encoder, source.head, source.steps, source.token_maps).eval(),
            tokenizer=source.tokenizer,
            name=source.name,
            licence=source.licence,
            source_sha256=source.sha256,
            notes=source.notes,
        )
    raise CheckpointError(
        f"{folder} holds neither {_CONFIG} (a Sestina checkpoint) nor {pretrained.CONFIG} "
        f"(a Hugging Face checkpoint); name the folder with one of them"
    )


def pretrained_contract(path: str | os.PathLike[str], task: Task = "embedding") -> Contract | None:
    """The text contract of a folder as others lay it out; None: `load` reads it as our own, or not at all."""
    return read_contract(Path(path), task) if is_pretrained(path) else None


def is_pretrained(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is laid out as others do, and not as our own."""
    folder = Path(path)
    return not (folder / _CONFIG).is_file() and pretrained.recognises(folder)


def _load_own(folder: Path) -> Checkpoint:
    values = read_json_object(folder / _CONFIG)
    version = values.get("format")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder / _CONFIG} has format {version!r}; this version of Sestina reads {FORMAT_VERSION}: "
            f"update sestina, or save the checkpoint again"
        )
    name, licence = values.get("name"), values.get("licence")
    if not isinstance(name, str) or not isinstance(licence, str | None):
        raise CheckpointError(f"{folder / _CONFIG}: name must be a string, and licence a string or null")
    try:
        config = EncoderConfig.from_dict(_section(values, "encoder"))
        head = HeadConfig.from_dict(_section(values, "head"))
        model = build_model(config, head, read_tensors(folder / _WEIGHTS), folder / _WEIGHTS)
    except ConfigError as error:
        raise CheckpointError(f"{folder / _CONFIG}: {error}") from error
    return Checkpoint(
        model=model,
        tokenizer=read_tokenizer(folder / _TOKENIZER),
        name=name,
        licence=licence,
        source_sha256=file_sha256(folder / _WEIGHTS),
    )


def _section(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = values.get(key)
    if not isinstance(section, Mapping):
        raise ConfigError(f"{key} is {section!r}; it must be an object")
    return section


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
