"""A Hugging Face folder's safetensors, single or sharded, renamed and cut to our own encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from sestina_model._errors import CheckpointError
from sestina_model._files import file_sha256, read_json_object
from sestina_model._weights import build_encoder, check_fit, encoder_shapes, read_tensors, tensor_names
from sestina_model.encoder import TransformerEncoder
from sestina_model.head_config import HeadConfig
from sestina_model.pretrained.families import Architecture, Source
from sestina_model.pretrained.prefix import find_prefix, left_out
from sestina_model.pretrained.sequence_heads import BASE, SequenceHead
from sestina_model.sentence import make_steps

__all__ = ["Read", "read_encoder", "read_with_head", "weight_files", "weights_sha256"]

_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder: one, or the shards that its index lists.

    Raises:
        CheckpointError: Where there are none, a shard is missing, or the weights are only pickled.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if index.is_file():
        listed = read_json_object(index).get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
            raise CheckpointError(f"{index}: weight_map must map every tensor to its file; fetch it again")
        names = sorted(set(listed.values()))
        if outside := [name for name in names if Path(name).name != name]:
            raise CheckpointError(f"{index} names files outside its folder: {', '.join(outside)}")
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise CheckpointError(f"{folder} lacks shards of its weights: {', '.join(missing)}; fetch them")
        return [folder / name for name in names]
    for name in _PICKLED:
        if (folder / name).is_file():
            raise CheckpointError(
                f"{folder / name} is pickled and pickles are never read, since they can execute code; "
                f'convert it: python -c "from transformers import AutoModel as M; '
                f'M.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"'
            )
    raise CheckpointError(f"{whole} is missing; fetch the folder again, with its weights")


def weights_sha256(files: list[Path]) -> str:
    """The SHA-256 of one file; of several, the SHA-256 of their sorted hex digests, joined."""
    digests = sorted(file_sha256(file) for file in files)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


class Read(NamedTuple):
    """What was read of weight files.

    Attributes:
        encoder: With its weights.
        steps: Those of a head's steps, as `SentenceEncoder.steps` has them.
        notes: What is to be said of the rest.
    """

    encoder: TransformerEncoder
    steps: dict[str, Tensor]
    notes: tuple[str, ...]


def read_encoder(files: list[Path], architecture: Architecture) -> tuple[TransformerEncoder, tuple[str, ...]]:
    """Our encoder with the weights of these files, and what is to be said of the rest of them.

    Raises:
        CheckpointError: As `read_with_head`.
    """
    encoder, _, notes = read_with_head(files, architecture, None)
    return encoder, notes


def read_with_head(files: list[Path], architecture: Architecture, head: SequenceHead | None) -> Read:
    """Our encoder with the weights of these files, and its head's.

    Raises:
        CheckpointError: Naming, as the folder does, every missing and misshapen tensor, or those that
            stand there twice.
    """
    origin = files[0].parent
    holders = _holders(files)
    config = architecture.config
    shapes = encoder_shapes(config)
    shapes.pop("token_types", None)  # told by the family, not by its names
    layouts = architecture.sources(list(shapes))
    asked = [{source.name for source in sources.values()} for _, sources in layouts]
    found = find_prefix(set(holders), asked, origin)
    names, sources = layouts[found.layout]
    token_types = architecture.token_types(names)
    expected = {source.name: _whole(source, shapes[name]) for name, source in sources.items()}
    if "positions" in shapes:
        rows, width = shapes["positions"]
        expected[sources["positions"].name] = (rows + architecture.skipped_positions, width)
    if token_types is not None:
        expected[token_types] = (architecture.n_token_types, config.embedding_width)

    wanted = {found.prefix + name for name in expected} & holders.keys()
    tensors = _read(files, holders, wanted, found.prefix)
    check_fit(expected, tensors, origin)

    types = None if token_types is None else tensors.pop(token_types)
    ours = _renamed(tensors, sources)
    if "positions" in ours:
        ours["positions"] = ours["positions"][architecture.skipped_positions :].clone()
    if types is not None and config.n_token_types is not None:
        ours["token_types"] = types
    elif types is not None:  # a text alone is all of type 0: one row, the same for every token
        ours["tokens.weight"] += types[0]
    table = found.prefix + sources["tokens.weight"].name
    steps = {} if head is None else _head(files, holders, found.prefix, head, config.d_model, table)
    read = wanted if head is None else wanted | set(_head_names(holders, found.prefix, head))
    return Read(build_encoder(config, ours, origin), steps, left_out(holders.keys() - read, read, origin))


def _head_names(holders: Mapping[str, tuple[Path, str]], prefix: str, head: SequenceHead) -> dict[str, str]:
    """The weights of a head that are there, and what they are called here."""
    root = prefix.removesuffix(".").rpartition(".")[0]
    names: dict[str, str] = {}
    for at, name in enumerate(head.names):
        theirs = name.replace(BASE, prefix) if BASE in name else f"{root}.{name}" if root else name
        part = "linear." if head.steps[at].kind == "dense" else ""
        names |= {f"{theirs}.{kind}": f"{at}.{part}{kind}" for kind in ("weight", "bias")}
    for name, ours in head.elsewhere.items():
        theirs = f"{root}.{name}" if root else name
        if next(each for each, mine in names.items() if mine == ours) not in holders:
            names[theirs] = ours
    return {theirs: ours for theirs, ours in names.items() if theirs in holders}


def _head(
    files: list[Path],
    holders: Mapping[str, tuple[Path, str]],
    prefix: str,
    head: SequenceHead,
    d_model: int,
    table: str,
) -> dict[str, Tensor]:
    """The weights of a head, each as it is asked for.

    Raises:
        CheckpointError: Naming every one that is missing or misshapen.
    """
    names = _head_names(holders, prefix, head)
    if head.tied is not None and head.tied not in names.values():
        names[table] = head.tied
    tensors = {names[name]: each for name, each in _read(files, holders, set(names), "").items()}
    with torch.device("meta"):
        blank = make_steps(HeadConfig(pooling=head.pooling, steps=head.steps), d_model)
    expected = {name: tuple(each.shape) for name, each in blank.state_dict().items()}
    for name in head.biasless:
        tensors.setdefault(name, torch.zeros(expected[name]))
    known = {ours: theirs for theirs, ours in names.items()}
    check_fit(
        {known.get(name, _theirs(name, head)): shape for name, shape in expected.items()},
        {known.get(name, _theirs(name, head)): each for name, each in tensors.items()},
        files[0].parent,
    )
    return tensors


def _theirs(name: str, head: SequenceHead) -> str:
    """What a weight of ours would be called there, for messages."""
    number, _, rest = name.partition(".")
    return f"{head.names[int(number)].replace(BASE, '')}.{rest.removeprefix('linear.')}"


def _holders(files: list[Path]) -> dict[str, tuple[Path, str]]:
    """Where each tensor is: its file, and its name there."""
    holders: dict[str, tuple[Path, str]] = {}
    for file in files:
        for name in tensor_names(file):
            if _modern(name) in holders:
                raise CheckpointError(f"{file}: {name} is there twice; save the checkpoint again")
            holders[_modern(name)] = file, name
    return holders


def _read(
    files: list[Path], holders: Mapping[str, tuple[Path, str]], wanted: set[str], prefix: str
) -> dict[str, Tensor]:
    named = {holders[name]: name.removeprefix(prefix) for name in wanted}
    tensors: dict[str, Tensor] = {}
    for file in files:
        mine = {name: ours for (holder, name), ours in named.items() if holder == file}
        tensors |= {mine[name]: tensor for name, tensor in read_tensors(file, only=mine).items()}
    return tensors


def _whole(source: Source, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of theirs, of which ours is perhaps a share."""
    return (shape[0] * source.parts, *shape[1:])


def _renamed(tensors: dict[str, Tensor], sources: Mapping[str, Source]) -> dict[str, Tensor]:
    """Ours of theirs, which are let go one by one: of a large encoder each copy counts."""
    names: dict[str, list[str]] = {}
    for name, source in sources.items():
        names.setdefault(source.name, []).append(name)
    ours: dict[str, Tensor] = {}
    for theirs, mine in names.items():
        tensor = tensors.pop(theirs)
        ours |= {name: _ours(tensor, sources[name]) for name in mine}
    return ours


def _ours(tensor: Tensor, source: Source) -> Tensor:
    if source.parts > 1:
        tensor = tensor.chunk(source.parts)[source.part].clone()
    return tensor + source.plus if source.plus else tensor


def _modern(name: str) -> str:
    """TensorFlow's LayerNorm names, which BERT's own first checkpoints still carry."""
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name
