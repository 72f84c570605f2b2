"""The two heads that BGE-M3's folders have beside the encoder: `sparse_linear.pt` and `colbert_linear.pt`.

They are pickles, which torch reads with `weights_only`: of one that would run anything, or that holds
anything but tensors, nothing is made. sentence-transformers knows the dense part alone.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sestina_model._errors import CheckpointError
from sestina_model._weights import all_finite
from sestina_model.token_outputs import MULTI_VECTOR, SPARSE, TokenOutputs

__all__ = ["FILES", "TokenHeads", "read_token_heads"]

FILES = {SPARSE: "sparse_linear.pt", MULTI_VECTOR: "colbert_linear.pt"}
_MOST_BYTES = 1 << 30
_MOST_WIDTH = 1 << 16
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


class TokenHeads(NamedTuple):
    """What there is of them.

    Attributes:
        outputs: As data; None: there are none.
        tensors: As `TokenMaps.state_dict` has them.
        files: What was read.
    """

    outputs: TokenOutputs | None = None
    tensors: Mapping[str, Tensor] = MappingProxyType({})
    files: tuple[Path, ...] = ()


def read_token_heads(folder: Path, d_model: int, special: tuple[int, ...]) -> TokenHeads:
    """The heads of a folder, of either of which the file may be missing.

    Args:
        folder: The folder.
        d_model: The width of a state.
        special: Ids of the tokens that begin and end a text, fill it up and stand for what is unknown: these
            weigh nothing. The first token has no vector.

    Raises:
        CheckpointError: Naming the file, the member and what it must be.
    """
    paths = {name: folder / file for name, file in FILES.items() if (folder / file).is_file()}
    if not paths:
        return TokenHeads()
    tensors: dict[str, Tensor] = {}
    for name, path in paths.items():
        width = 1 if name == SPARSE else None
        linear = name.replace("-", "_")
        for part, tensor in _linear(path, d_model, width).items():
            tensors[f"{linear}.{part}"] = tensor
    vectors = MULTI_VECTOR in paths
    outputs = TokenOutputs(
        sparse=SPARSE in paths,
        skip=tuple(sorted(set(special))) if SPARSE in paths else (),
        multi_vector=len(tensors["multi_vector.bias"]) if vectors else None,
        first=int(vectors),
    )
    return TokenHeads(outputs, tensors, tuple(paths.values()))


def _linear(path: Path, d_model: int, width: int | None) -> dict[str, Tensor]:
    """Weight (width, d_model) and bias (width,) in float32; width None: as many as there are."""
    found = _unpickled(path)
    names = sorted(map(str, found)) if isinstance(found, dict) else None
    if not isinstance(found, dict) or names != ["bias", "weight"]:
        held = f"the keys {', '.join(names)}" if names is not None else f"a {type(found).__name__}"
        raise CheckpointError(
            f"{path} holds {held:.120}; it must hold weight and bias, the state_dict of a linear map"
        )
    for name, each in found.items():
        if not _is_plain(each, path):
            raise CheckpointError(f"{path}: {name} is {_shown(each)}; it must be a whole tensor of floats")
    shape = tuple(found["weight"].shape)
    rows = width or (shape[0] if len(shape) == 2 else 0)
    if not 1 <= rows <= _MOST_WIDTH or shape != (rows, d_model):
        wanted = str(width) if width else f"1 to {_MOST_WIDTH}"
        raise CheckpointError(
            f"{path}: weight has the shape {[*shape]!s:.60}; it must be [{wanted}, {d_model}], as states are"
        )
    if tuple(found["bias"].shape) != (rows,):
        raise CheckpointError(
            f"{path}: bias has the shape {[*found['bias'].shape]!s:.60}; it must be [{rows}], as weight has"
        )
    tensors = {name: found[name].detach().to(torch.float32, copy=True) for name in ("weight", "bias")}
    for name, tensor in tensors.items():
        if not all_finite(tensor):
            raise CheckpointError(f"{path}: {name} holds NaN or infinity; fetch or train it again")
    return tensors


def _unpickled(path: Path) -> Any:
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise CheckpointError(f"{path} has {size} bytes; a linear map has at most {_MOST_BYTES}")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inflated = sum(each.file_size for each in archive.infolist())
            if inflated > size:  # torch stores: what is packed may have any size once it is not
                raise CheckpointError(
                    f"{path} holds {inflated} bytes in {size}; torch.save packs nothing: fetch it again"
                )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # whatever a damaged or hostile pickle raises
        raise CheckpointError(
            f"{path} is no state_dict that torch reads with weights_only ({type(error).__name__}): fetch it "
            "again, save it as torch.save(linear.state_dict(), ...), or take it away; nothing of it was run"
        ) from error


def _is_plain(value: object, path: Path) -> bool:
    """Whether it is a tensor of floats that has no more numbers than its file: views may repeat a few."""
    return (
        isinstance(value, Tensor)
        and not value.is_nested
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and value.dtype in _FLOATS
        and value.numel() * value.element_size() <= path.stat().st_size
    )


def _shown(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__:.60}"
    if value.is_nested:  # which has no shape
        return "a nested tensor"
    kind = str(value.dtype).removeprefix("torch.")
    return f"a tensor of {kind} of shape {[*value.shape]!s:.60} on {value.device}"
