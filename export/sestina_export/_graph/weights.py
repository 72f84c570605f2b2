"""Weights beside the graph, in a file of their own, where with them it would be larger than protobuf allows.

They go there straight from PyTorch's memory, before there is a protobuf message; what is rewritten, checked
and serialised from then on is a graph of some kilobytes.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir

from sestina._bundle.mapped import ALIGNMENT, DTYPES, LEAST_MAPPED

__all__ = ["checkable", "fits", "is_large", "store", "weights_bytes", "weights_path"]

LARGEST_INLINE = (1 << 31) - 1  # bytes of a graph with its weights: what protobuf can serialise
_MOST_COPIED = 1 << 28  # bytes of weights; what is larger is checked without them
_ROOM = 1 << 24  # bytes, for everything of a graph but its weights
_EXTERNAL = onnx.TensorProto.EXTERNAL


def weights_path(graph: Path) -> Path:
    """Where the weights of a graph go, by the name that such files have elsewhere: NAME.onnx_data."""
    return graph.with_name(f"{graph.stem}.onnx_data")


def fits(size: int) -> bool:
    """Whether a graph of so many bytes, with its weights, can be one message of protobuf."""
    return size <= LARGEST_INLINE


def is_large(model: onnx_ir.Model) -> bool:
    """Whether a graph is too large to hold its weights."""
    values = [value.const_value for value in model.graph.initializers.values()]
    return not fits(sum(each.nbytes for each in values if each is not None) + _ROOM)


def store(model: onnx_ir.Model, path: Path) -> None:
    """Write the values of the large initializers to a file, and leave in the model where they are.

    Each begins at a multiple of 64 bytes, as the format asks. No more than one of them is copied at a time.

    Raises:
        OSError: Where the file cannot be written.
    """
    with path.open("wb") as file:
        for name, value in model.graph.initializers.items():
            tensor = value.const_value
            if not isinstance(tensor, onnx_ir.Tensor):  # None; or a string, of which there is none
                continue
            if tensor.nbytes < LEAST_MAPPED or int(tensor.dtype) not in DTYPES:
                continue
            file.write(bytes(-file.tell() % ALIGNMENT))
            at = file.tell()
            tensor.tofile(file)
            if file.tell() != at + tensor.nbytes:
                raise OSError(f"{path} took {file.tell() - at} of {tensor.nbytes} bytes")
            value.const_value = onnx_ir.ExternalTensor(
                path.name,
                at,
                tensor.nbytes,
                tensor.dtype,
                shape=onnx_ir.Shape(tensor.shape.numpy()),
                name=name,
                base_dir=path.parent,
            )


def weights_bytes(graph: onnx.ModelProto) -> int:
    """The bytes of a graph's weights that it holds itself."""
    return sum(len(tensor.raw_data) for tensor in graph.graph.initializer)


def checkable(graph: onnx.ModelProto) -> onnx.ModelProto:
    """What tools that serialise a graph can take: itself, or the same with its large weights as inputs.

    They cannot take one that is too large for protobuf, hold two copies of it meanwhile, and look for weights
    in files of their own.
    """
    tensors = graph.graph.initializer
    inline = all(tensor.data_location != _EXTERNAL for tensor in tensors)
    if inline and weights_bytes(graph) <= min(_MOST_COPIED, LARGEST_INLINE - _ROOM):
        return graph
    outline = onnx.ModelProto()
    _copy(graph, outline, "graph")
    _copy(graph.graph, outline.graph, "initializer")
    for tensor in tensors:
        if tensor.data_location == _EXTERNAL or len(tensor.raw_data) >= LEAST_MAPPED:
            outline.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
        else:
            outline.graph.initializer.append(tensor)
    return outline


def _copy(source: onnx.ModelProto | onnx.GraphProto, to: onnx.ModelProto | onnx.GraphProto, but: str) -> None:
    """All fields of a message but one."""
    for field, value in source.ListFields():
        if field.name == but:
            continue
        if field.is_repeated:
            getattr(to, field.name).extend(value)
        elif field.message_type is not None:
            getattr(to, field.name).CopyFrom(value)
        else:
            setattr(to, field.name, value)
