"""What a graph takes and gives: held to the contract when it is opened, and at every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sestina._bundle.manifest import TensorInfo, Variant
from sestina._errors import BundleFormatError, ProviderError

AXES = ("batch", "length")
START = (
    "pooled_from"  # (1,), of the type of the ids: an input of graphs that leave prompts out of the pooling
)
ATTENDED = (
    "attended"  # (1,), the same: of graphs whose texts may have tokens at their end that are not attended to
)
TYPES = "token_type_ids"  # of graphs that read pairs of texts: which of the two each token is of
_TYPES = {"float32": "tensor(float)", "int32": "tensor(int32)", "int64": "tensor(int64)"}
# By the shapes of a variant, the type of each input.
_INPUTS: Mapping[str, Mapping[str, str]] = {
    "dynamic": {"input_ids": "int64"},
    "static": {"input_ids": "int32", "attention_mask": "int32"},
}
_LONE = (START, ATTENDED)
_BIAS = ".bias"  # ends the name of what is added to scores: (1 or B, H or 1, S, S)
_RANKS = {
    "sentence_embedding": 2,
    "logits": 2,
    "token_logits": 3,
    "sparse_embedding": 2,
    "token_weights": 3,
    "token_embeddings": 3,
    "last_hidden_state": 3,
}
_WEIGHTS = ("sparse_embedding", "token_weights")


def check_graph(
    where: str,
    variant: Variant,
    inputs: Iterable[Any],
    outputs: Iterable[Any],
    *,
    length: int | None = None,
    inner: Sequence[str] = (),
) -> None:
    """Refuse a graph that is not what its manifest entry and the format say.

    Args:
        where: The graph's name in errors.
        variant: Its manifest entry.
        inputs: As onnxruntime has them: name, type and shape.
        outputs: The same.
        length: Of every text, where it was opened for one.
        inner: float32 values of its inside that it was given as outputs after its own.

    Raises:
        BundleFormatError: Where a name, a type, a rank or a fixed axis is another.
    """
    pairs = (
        ("input", variant.inputs, (), list(inputs)),
        ("output", variant.outputs, inner, list(outputs)),
    )
    for kind, stated, more, found in pairs:
        names = [tensor.name for tensor in found]
        if names != [*(tensor.name for tensor in stated), *more]:
            raise BundleFormatError(f"{where} has the {kind}s {names!s:.200}, unlike its manifest entry")
    wanted = _INPUTS[variant.shapes]
    stated_inputs = {tensor.name: tensor.dtype for tensor in variant.inputs}
    for more in (TYPES, START, ATTENDED):
        if more in stated_inputs:
            wanted = {**wanted, more: wanted["input_ids"]}
    if stated_inputs != wanted or not all(map(_is_input, variant.inputs)):
        raise BundleFormatError(
            f"{where} takes {_list(variant.inputs)}, as its manifest entry says; a graph of {variant.shapes} "
            f"shapes takes {_list(TensorInfo(name, dtype, _axes(name)) for name, dtype in wanted.items())}"
        )
    for tensor in variant.outputs:
        rank = _RANKS.get(tensor.name, 0)
        right = tensor.dtype == "float32" and len(tensor.shape) == rank and _are_open(tensor.shape, rank - 1)
        if rank and not right:
            raise BundleFormatError(
                f"{where} gives {_list([tensor])}, as its manifest entry says; it must be float32 of "
                f"{rank} axes, of which only the last is a number"
            )
    for kind, stated, _, found in pairs:
        for tensor, entry in zip(found, stated, strict=False):
            batched = kind == "input" and entry.name not in _LONE
            if batched and length is not None and list(tensor.shape) != [1, length]:
                raise BundleFormatError(
                    f"{where} has the input {tensor.name} of shape {tensor.shape!s:.80}; its axes must be "
                    "named batch and length"
                )
            if tensor.type != _TYPES.get(entry.dtype) or not _fits(tensor.shape, entry, length):
                raise BundleFormatError(
                    f"{where} has the {kind} {tensor.name} as {tensor.type} of shape "
                    f"{tensor.shape!s:.80}; its manifest entry says {_list([entry])}: export the bundle again"
                )


def check_left_out(where: str, variant: Variant, outputs: Iterable[str]) -> None:
    """Refuse a graph that gives more than its manifest entry says, in the part of it that is left out.

    Raises:
        BundleFormatError: Naming what.
    """
    stated = {tensor.name for tensor in variant.outputs}
    if more := [name for name in outputs if name not in stated]:
        raise BundleFormatError(f"{where} has the outputs {more!s:.200} besides, unlike its manifest entry")


def _axes(name: str) -> tuple[int | str, ...]:
    return (1,) if name in _LONE else AXES


def _is_input(tensor: TensorInfo) -> bool:
    """Whether an input has the axes of its name."""
    return tensor.shape == (1,) if tensor.name in _LONE else _are_open(tensor.shape, 2)


def _are_open(shape: Sequence[int | str], count: int) -> bool:
    """Whether it has so many axes at its beginning, none of which is fixed."""
    return len(shape) >= count and all(isinstance(axis, str) for axis in shape[:count])


def _fits(found: Sequence[int | str | None], stated: TensorInfo, length: int | None) -> bool:
    """Whether a shape of onnxruntime's can be the one stated; what it does not know shows at a run."""
    if len(found) != len(stated.shape):
        return False
    for axis, wanted in zip(found, stated.shape, strict=True):
        fixed = wanted if isinstance(wanted, int) else {"batch": 1, "length": length}.get(wanted)
        if isinstance(axis, int) and ((length is None and not isinstance(wanted, int)) or axis != fixed):
            return False
    return True


def _list(tensors: Iterable[TensorInfo]) -> str:
    shown = (f"{each.name} in {each.dtype} of shape {list(each.shape)}" for each in tensors)
    return f"{', '.join(shown):.300}"


def check_result(variant: Variant, output: str, result: Any, fed: tuple[int, ...]) -> None:
    """Refuse what a run gave where it is not (B, d) or (B, S, width) finite float32.

    Args:
        variant: The graph's manifest entry.
        output: Which output; inner values are (B, S, width) of any width, and may be infinite.
        result: What it gave.
        fed: (B, S), the shape of the ids.

    Raises:
        ProviderError: Where it is something else.
    """
    widths = [tensor.shape[-1] for tensor in variant.outputs if tensor.name == output]
    rank = _RANKS.get(output, 3)
    shape: tuple[int, ...] = getattr(result, "shape", ())
    right = len(shape) == rank and shape[:-1] == fed[: rank - 1] and (not widths or shape[-1] in widths)
    if not widths and output.endswith(_BIAS):
        right = len(shape) == 4 and shape[0] in (1, fed[0]) and shape[2:] == (fed[1], fed[1])
    if not right or result.dtype != np.float32:
        kind = getattr(result, "dtype", type(result).__name__)
        wanted = (*fed[: rank - 1], *(widths or ("its width",)))
        raise ProviderError(
            f"{variant.entry.file} gave {output} as {kind} of shape {shape}; it must be float32 of shape "
            f"{wanted}: export the bundle again, or load another variant"
        )
    if output in _WEIGHTS and result.min(initial=0) < 0:
        raise ProviderError(
            f"{variant.entry.file} gave a {output} below 0 for ids of shape {fed}: load another variant or "
            "provider, or export the bundle again"
        )
    if widths and not np.isfinite(result).all():
        raise ProviderError(
            f"{variant.entry.file} gave a {output} that is not finite for ids of shape {fed}: load another "
            "variant or provider, or export the bundle again"
        )
