"""Bundles whose weights are in files of their own: others rewritten, as the format has it or as it does not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

LEAST = 1 << 16  # bytes; smaller initializers stay in the graph
WIDE = {"d_model": 128, "d_ff": 512}  # so that most weights are larger

Say = Callable[[onnx.TensorProto, str, int, int], None]


def say(tensor: onnx.TensorProto, file: str, offset: int, length: int) -> None:
    """Where the values of an initializer are, as the format has it."""
    tensor.ClearField("raw_data")
    for key, value in (("location", file), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    tensor.data_location = onnx.TensorProto.EXTERNAL


def store(content: bytes, file: str, say: Say = say, gap: int = 0) -> tuple[bytes, bytes]:
    """A graph without its large weights, and the file that has them. `gap`: further bytes between them."""
    model, weights = onnx.load_model_from_string(content), bytearray()
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < LEAST:
            continue
        weights += bytes(-len(weights) % 64 + gap)
        offset, values = len(weights), tensor.raw_data
        weights += values
        say(tensor, file, offset, len(values))
    for _ in range(2):  # the gaps of an aligned graph are doc strings
        model.graph.ClearField("doc_string")
    return model.SerializeToString(), bytes(weights)


def stored_bundle(source: Path, target: Path, say: Say = say, gap: int = 0) -> Path:
    """A copy of a bundle, with the weights of all its graphs in files of their own."""
    shutil.copytree(source, target)
    document = json.loads((target / "manifest.json").read_text())
    document["format_version"] = 2
    for variant in document["variants"]:
        path = target / variant["file"]
        beside = path.with_suffix(".onnx_data")
        graph, weights = store(path.read_bytes(), beside.name, say, gap)
        path.write_bytes(graph)
        beside.write_bytes(weights)
        variant.update(listed(path), weights=[listed(beside)])
    (target / "manifest.json").write_text(json.dumps(document))
    return target


def listed(path: Path) -> dict[str, Any]:
    """A file as the manifest lists it."""
    content = path.read_bytes()
    return {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
