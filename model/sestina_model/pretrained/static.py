"""Static embeddings: a table of token vectors and their mean, as sentence-transformers and model2vec save it.

The table is an encoder of no layers and no positions. Tokens are those of the text alone, without special
ones; all of them count, as in sentence-transformers' StaticEmbedding.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from sestina_model._errors import CheckpointError, ConfigError, UnsupportedCheckpointError
from sestina_model._files import read_json_object
from sestina_model._tokenizers import read_tokenizer, sound_tokenizer
from sestina_model._weights import build_encoder, raw_tensors
from sestina_model.config import EncoderConfig
from sestina_model.encoder import TransformerEncoder
from sestina_model.pretrained.prefix import left_out

__all__ = ["MODEL_TYPE", "Static", "read_static"]

MODEL_TYPE = "model2vec"

_LONGEST = 2**15  # tokens of a text, where its tokenizer has no limit: a table has none
_TABLE, _VECTORS, _MAPPING, _WEIGHTS = "embedding.weight", "embeddings", "mapping", "weights"
_WHOLE = (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)


class Static(NamedTuple):
    """A table as an encoder, its tokenizer, and what else of its folder is to be known."""

    encoder: TransformerEncoder
    tokenizer: Tokenizer
    limit: int | None
    files: list[Path]
    notes: tuple[str, ...]


def read_static(folder: Path) -> Static:
    """Read the folder of a StaticEmbedding, or of a model2vec model.

    Raises:
        CheckpointError: Where a file is missing or damaged, or the table makes no sense.
        UnsupportedCheckpointError: Where its numbers are of a type that is not read.
    """
    tokenizer, limit = _tokenizer(folder / "tokenizer.json")
    file = folder / "model.safetensors"
    tensors = raw_tensors(file)
    table, read = _table(tensors, file)
    try:
        config = EncoderConfig(
            vocab_size=table.shape[0],
            d_model=table.shape[1],
            n_layers=0,
            n_heads=1,
            d_ff=1,
            positions="none",
            max_positions=_LONGEST if limit is None else limit,
            scale_embeddings=False,
            dropout=0.0,
        )
    except ConfigError as error:
        raise CheckpointError(f"{file}: {error}") from error
    encoder = build_encoder(config, {"tokens.weight": table}, folder)
    return Static(encoder, tokenizer, limit, [file], left_out(tensors.keys() - read, read, folder))


def _tokenizer(path: Path) -> tuple[Tokenizer, int | None]:
    """It without what it puts around a text, and the length limit that it holds."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; fetch the folder again")
    tokenizer = read_tokenizer(path)
    truncation = read_json_object(path).get("truncation")
    limit = truncation.get("max_length") if isinstance(truncation, dict) else None
    if limit == 0:
        raise CheckpointError(f"{path}: truncation max_length is 0; it must be at least 1")
    with sound_tokenizer(f"{path} cannot be set up:"):
        document = json.loads(tokenizer.to_str())
        if document["post_processor"] is not None:
            tokenizer = Tokenizer.from_str(json.dumps(document | {"post_processor": None}))
    return tokenizer, limit


def _table(tensors: dict[str, Tensor], file: Path) -> tuple[Tensor, set[str]]:
    """A row for each token id: float32, (vocab, D); and the names of what it is made of."""
    if _TABLE in tensors:
        names = {_TABLE}
        table = tensors[_TABLE]
    elif _VECTORS in tensors:  # model2vec: tokens may share a row, and have a weight each
        names = {_VECTORS, _MAPPING, _WEIGHTS} & tensors.keys()
        table = tensors[_VECTORS]
    else:
        raise CheckpointError(
            f"{file}: neither {_TABLE} nor {_VECTORS} is there; one of them is the table of token vectors"
        )
    if not table.is_floating_point():
        raise UnsupportedCheckpointError(
            f"{file}: the table is {str(table.dtype).removeprefix('torch.')}; floating-point numbers are "
            f"supported: use the model from before quantisation"
        )
    if table.dim() != 2 or not table.numel():
        raise CheckpointError(
            f"{file}: the table has the shape {list(table.shape)}; it must be a vector for each token"
        )
    if _MAPPING in names:
        table = table[_mapping(tensors[_MAPPING], len(table), file)]
    if _WEIGHTS in names:
        weights = tensors[_WEIGHTS]
        if weights.shape != (len(table),) or not weights.is_floating_point():
            raise CheckpointError(
                f"{file}: {_WEIGHTS} has the shape {list(weights.shape)}; it must be {len(table)} numbers"
            )
        table = table.to(torch.float32) * weights[:, None]
    table = table.to(torch.float32, copy=True).contiguous()
    if not bool(torch.isfinite(table).all()):
        raise CheckpointError(f"{file}: the table holds NaN or infinity; fetch or train the model again")
    return table, names


def _mapping(mapping: Tensor, rows: int, file: Path) -> Tensor:
    """The row of each token id, (vocab,) int64."""
    if mapping.dim() != 1 or mapping.dtype not in _WHOLE or not len(mapping):
        raise CheckpointError(
            f"{file}: {_MAPPING} is {list(mapping.shape)} of {str(mapping.dtype).removeprefix('torch.')}; it "
            f"must be one row number for each token"
        )
    mapping = mapping.to(torch.int64)
    if int(mapping.min()) < 0 or int(mapping.max()) >= rows:
        raise CheckpointError(f"{file}: {_MAPPING} names row {int(mapping.max())}; the table has {rows}")
    return mapping
