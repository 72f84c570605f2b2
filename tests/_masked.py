"""A bundle with masked graphs of static shapes: one attention layer, written out node by node.

Its goldens come from numpy, on texts without padding, so that nothing of the graph checks itself.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from sestina._bundle.manifest import FileEntry, Manifest, Precision, Target, TensorInfo, TextContract, Variant
from sestina._bundle.manifest_reader import read

VOCABULARY, WIDTH, BUCKETS = 400, 32, (8, 16, 64)
Array = npt.NDArray[np.float32]


def weights() -> dict[str, Array]:
    generator = np.random.default_rng(5)
    shapes = {"table": (VOCABULARY, WIDTH), **dict.fromkeys(("q", "k", "v", "o"), (WIDTH, WIDTH))}
    return {
        name: (generator.standard_normal(shape) * WIDTH**-0.5).astype(np.float32)
        for name, shape in shapes.items()
    }


def reference(ids: tuple[int, ...]) -> tuple[Array, Array]:
    """(d,) and (S, d) of a text, in float64 and without padding."""
    w = {name: value.astype(np.float64) for name, value in weights().items()}
    e = w["table"][list(ids)]
    scores = (e @ w["q"]) @ (e @ w["k"]).T
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    states = np.tanh(scores / scores.sum(-1, keepdims=True) @ (e @ w["v"]) @ w["o"] + e)
    vector = states.mean(0)
    return (vector / np.linalg.norm(vector)).astype(np.float32), states.astype(np.float32)


def masked_graph(file: str = "", *, masks: bool = True, static: bool = True, states: bool = True) -> bytes:
    """The graph: masked and of static shapes, or for texts of one length.

    Args:
        file: What it says that it was made for, as the fakes tell graphs apart.
        masks: False leaves the mask out of the attention, as a faulty exporter would.
        static: False gives the form without a mask, with int64 ids.
        states: False leaves out `last_hidden_state`.
    """
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["e"]),
        *(helper.make_node("MatMul", ["e", name], [f"e{name}"]) for name in ("q", "k", "v")),
        helper.make_node("Transpose", ["ek"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["eq", "kt"], ["scores"]),
    ]
    constants = {
        "one": np.float32(1), "far": np.float32(-10000),
        "row": np.array([1], np.int64), "column": np.array([2], np.int64), "last": np.array([-1], np.int64),
    }  # fmt: skip
    if static:
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["one", "m"], ["absent"]),
            helper.make_node("Mul", ["absent", "far"], ["fars"]),
            helper.make_node("Unsqueeze", ["fars", "row"], ["bias"]),
            helper.make_node("Add", ["scores", "bias" if masks else "one"], ["kept"]),
        ]
    nodes += [
        helper.make_node("Softmax", ["kept" if static else "scores"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "ev"], ["c"]),
        helper.make_node("MatMul", ["c", "o"], ["co"]),
        helper.make_node("Add", ["co", "e"], ["r"]),
        helper.make_node("Tanh", ["r"], ["last_hidden_state"]),
    ]
    summed = "last_hidden_state"
    if static:
        nodes += [
            helper.make_node("Unsqueeze", ["m", "column"], ["m3"]),
            helper.make_node("Mul", ["last_hidden_state", "m3"], ["real"]),
        ]
        summed = "real"
    nodes += [  # normalised afterwards, so the sum serves as the mean
        helper.make_node("ReduceSum", [summed, "row"], ["s"], keepdims=0),
        helper.make_node("Mul", ["s", "s"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "last"], ["n2"], keepdims=1),
        helper.make_node("Sqrt", ["n2"], ["n"]),
        helper.make_node("Div", ["s", "n"], ["sentence_embedding"]),
    ]
    kind = TensorProto.INT32 if static else TensorProto.INT64
    inputs = ["input_ids", "attention_mask"] if static else ["input_ids"]
    outputs = {"sentence_embedding": ["batch", WIDTH], "last_hidden_state": ["batch", "length", WIDTH]}
    if not states:
        del outputs["last_hidden_state"]
    tensors = {**weights(), **constants}
    graph = helper.make_graph(
        nodes,
        "masked",
        [helper.make_tensor_value_info(name, kind, ["batch", "length"]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name=file
    )
    return bytes(model.SerializeToString())


def variant(
    file: str,
    content: bytes,
    target: Target,
    precision: Precision,
    *,
    static: bool = True,
    states: bool = True,
    tolerance: float = 1e-5,
    buckets: tuple[int, ...] = BUCKETS,
) -> Variant:
    """The manifest entry of such a graph."""
    dtype = "int32" if static else "int64"
    names = ("input_ids", "attention_mask") if static else ("input_ids",)
    outputs = (
        TensorInfo("sentence_embedding", "float32", ("batch", WIDTH)),
        TensorInfo("last_hidden_state", "float32", ("batch", "length", WIDTH)),
    )
    return Variant(
        entry=FileEntry(file, hashlib.sha256(content).hexdigest(), len(content)),
        target=target,
        precision=precision,
        shapes="static" if static else "dynamic",
        inputs=tuple(TensorInfo(name, dtype, ("batch", "length")) for name in names),
        outputs=outputs if states else outputs[:1],
        parity={"tolerance": tolerance, "run": "not run here", "reason": "made for a test"},
        buckets=buckets if static else (),
    )


def masked_bundle(
    source: Path, target: Path, *graphs: tuple[Variant, bytes], contract: TextContract | None = None
) -> Path:
    """A copy of the tiny bundle with these graphs instead of its own, and goldens to suit them."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.onnx"))
    manifest = read((target / "manifest.json").read_text(), "manifest.json")
    goldens = json.loads((target / "golden.json").read_text())["goldens"]
    vectors = np.stack([reference(tuple(golden["ids"]))[0] for golden in goldens])
    np.save(target / "golden.npy", vectors)
    for entry, content in graphs:
        (target / entry.entry.file).write_bytes(content)
    save(manifest._replace(variants=tuple(entry for entry, _ in graphs)), target)
    return target


def save(manifest: Manifest, bundle: Path) -> None:
    """Write the manifest, with the files as they are now."""

    def now(entry: FileEntry) -> FileEntry:
        content = (bundle / entry.file).read_bytes()
        return FileEntry(entry.file, hashlib.sha256(content).hexdigest(), len(content))

    manifest = manifest._replace(files=tuple(map(now, manifest.files)))
    (bundle / "manifest.json").write_text(manifest.to_json())


def portable(file: str = "portable-fp32.onnx", **options: bool) -> tuple[Variant, bytes]:
    """The masked graph as a variant for every provider that takes standard operators."""
    content = masked_graph(file, **options)
    return variant(file, content, "portable", "fp32", states=options.get("states", True)), content


def for_cpu(file: str = "cpu-fp32.onnx") -> tuple[Variant, bytes]:
    """The form without a mask, for the CPU."""
    content = masked_graph(file, static=False)
    return variant(file, content, "cpu", "fp32", static=False), content
