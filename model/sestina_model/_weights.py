"""Weights from safetensors files, and the strict fit between weights and a configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.config import EncoderConfig
from sestina_model.encoder import TransformerEncoder

__all__ = [
    "all_finite",
    "build_encoder",
    "check_fit",
    "encoder_shapes",
    "raw_tensors",
    "read_tensors",
    "tensor_names",
]

_T = TypeVar("_T")

_PIECE = 1 << 22  # elements that are looked at at once
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)  # each converts to float32 without loss


def read_tensors(path: Path, *, only: Collection[str] | None = None) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file as float32: all, or those of some names.

    Raises:
        CheckpointError: Where the file is absent, truncated or corrupt, or a weight is not finite.
        UnsupportedCheckpointError: Where a tensor is of a type that float32 does not hold.
    """
    return _opened(
        path,
        lambda file: {
            name: _as_float32(file.get_tensor(name), name, path)
            for name in sorted(file.keys())
            if only is None or name in only
        },
    )


def raw_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file as they are; copies, as those of `read_tensors`.

    Raises:
        CheckpointError: Where the file is absent, truncated or corrupt.
    """
    return _opened(path, lambda file: {name: file.get_tensor(name).clone() for name in sorted(file.keys())})


def tensor_names(path: Path) -> list[str]:
    """The names of the tensors of a safetensors file, sorted.

    Raises:
        CheckpointError: As `read_tensors` does of the file.
    """
    return _opened(path, lambda file: sorted(file.keys()))


def _opened(path: Path, read: Callable[[Any], _T]) -> _T:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; fetch or save the folder again")
    try:
        with safe_open(path, framework="pt") as file:
            return read(file)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}); fetch the folder again"
        ) from error


def _as_float32(tensor: Tensor, name: str, path: Path) -> Tensor:
    if tensor.dtype not in _FLOATS:
        raise UnsupportedCheckpointError(
            f"{path}: {name} is {str(tensor.dtype).removeprefix('torch.')}; float32, float16 and bfloat16 "
            f"are supported: use the checkpoint from before quantisation"
        )
    # A copy, since safe_open maps the file: a later write to the file must not reach the model.
    tensor = tensor.to(torch.float32, copy=True)
    if not all_finite(tensor):
        raise CheckpointError(f"{path}: {name} holds NaN or infinity; fetch or train the checkpoint again")
    return tensor


def all_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or infinite, piece by piece, as what is computed of a table is as large."""
    pieces = torch.split(tensor.detach().flatten(), _PIECE)
    return all(bool(torch.isfinite(piece).all()) for piece in pieces)


def encoder_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of an encoder of this configuration."""
    return {name: tuple(tensor.shape) for name, tensor in _blank(config).state_dict().items()}


def check_fit(expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Hold weights to the names and shapes that a configuration asks for.

    Raises:
        CheckpointError: Naming every missing, unexpected and misshapen tensor at once.
    """
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    faults = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "misshapen": [
            f"{name} {list(found[name])} instead of {list(expected[name])}"
            for name in sorted(expected.keys() & found.keys())
            if found[name] != expected[name]
        ],
    }
    if any(faults.values()):
        listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in faults.items() if names)
        raise CheckpointError(f"{origin}: the weights do not fit the configuration; {listed}")


def build_encoder(config: EncoderConfig, tensors: Mapping[str, Tensor], origin: Path) -> TransformerEncoder:
    """The encoder of this configuration with exactly these weights, in eval mode.

    Raises:
        CheckpointError: As `check_fit` does.
    """
    encoder = _blank(config)
    check_fit(encoder_shapes(config), tensors, origin)
    encoder.load_state_dict(dict(tensors), assign=True)
    encoder.compute()
    return encoder.eval()


def _blank(config: EncoderConfig) -> TransformerEncoder:
    with torch.device("meta"):  # names and shapes only: no memory, and no random draw to throw away
        return TransformerEncoder(config)
