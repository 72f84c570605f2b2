"""A Hugging Face folder's safetensors, single or sharded, renamed and cut to our own encoder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from sestina_model._errors import CheckpointError
from sestina_model._files import file_sha256, read_json_object
from sestina_model._weights import build_encoder, check_fit, encoder_shapes, read_tensors
from sestina_model.encoder import TransformerEncoder
from sestina_model.pretrained.families import Architecture

__all__ = ["read_encoder", "weight_files", "weights_sha256"]

# Task heads and buffers that sit beside the encoder in a checkpoint and take no part in hidden states.
_BESIDE = (
    "classifier.",
    "cls.",
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "lm_head.",
    "pooler.",
    "pre_classifier.",
    "qa_outputs.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "vocab_transform.",
)
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


def read_encoder(files: list[Path], architecture: Architecture) -> TransformerEncoder:
    """Our encoder with the weights of these files.

    Raises:
        CheckpointError: Naming, as the folder does, every missing, unexpected and misshapen tensor.
    """
    prefix = architecture.family.prefix
    tensors: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in read_tensors(
            file, skip=lambda name: name.removeprefix(prefix).startswith(_BESIDE)
        ).items():
            short = _modern(name.removeprefix(prefix))
            if short in tensors:
                raise CheckpointError(f"{file}: {name} is there twice; save the checkpoint again")
            tensors[short] = tensor

    config = architecture.config
    shapes = encoder_shapes(config)
    sources = {name: architecture.source_of(name) for name in shapes}
    expected = {sources[name]: shape for name, shape in shapes.items()}
    expected[sources["positions"]] = (
        config.position_rows + architecture.skipped_positions,
        config.d_model,
    )
    token_types = architecture.family.token_types
    if token_types is not None:
        expected[f"{token_types}.weight"] = (architecture.n_token_types, config.d_model)
    check_fit(expected, tensors, files[0].parent)

    ours = {name: tensors[source] for name, source in sources.items()}
    ours["positions"] = ours["positions"][architecture.skipped_positions :].clone()
    if token_types is not None:  # a text alone is all of type 0: one row, the same for every token
        ours["tokens.weight"] += tensors[f"{token_types}.weight"][0]
    return build_encoder(config, ours, files[0].parent)


def _modern(name: str) -> str:
    """TensorFlow's LayerNorm names, which BERT's own first checkpoints still carry."""
    if name.endswith("LayerNorm.gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith("LayerNorm.beta"):
        return name.removesuffix("beta") + "bias"
    return name
