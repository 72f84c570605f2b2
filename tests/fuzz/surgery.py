"""Operations on a graph that leave it one: other outputs, other operators."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

_TYPES = ("FLOAT16", "DOUBLE", "BOOL", "INT32", "INT64", "BFLOAT16", "STRING", "FLOAT")
SHAPES = (
    "squeeze-0",
    "unsqueeze-0",
    "unsqueeze-2",
    "narrow",
    "wide",
    "flat",
    "scalar",
    "twice",
    "none",
    "transposed",
)
_VALUES = ("nan", "inf", "zero", "negative-zero", "huge")
_LOOPS = ("Loop", "Loop-endless", "Scan", "If", "SequenceMap")
# What no graph of ours has, and what can make a call endless.
_REFUSED = ("loop", "dtype", "shape", "name")


def drawn(rng: random.Random) -> list[Any]:
    """One operation."""
    kind = rng.choice(("dtype", "shape", "shape", "value", "loop", "name", "domain", "input"))
    if kind == "dtype":
        return [
            kind,
            rng.choice(("sentence_embedding", "sentence_embedding", "last_hidden_state")),
            rng.choice(_TYPES),
        ]
    if kind == "shape":
        return [
            kind,
            rng.choice(("sentence_embedding", "sentence_embedding", "last_hidden_state")),
            rng.choice(SHAPES),
        ]
    if kind == "value":
        return [kind, rng.choice(("sentence_embedding", "last_hidden_state")), rng.choice(_VALUES)]
    if kind == "loop":
        return [kind, rng.choice(_LOOPS)]
    if kind == "input":
        return [
            kind,
            rng.choice(("INT32", "FLOAT", "INT64", "STRING")),
            rng.choice(("rank-1", "rank-2", "rank-3", "fixed")),
        ]
    if kind == "name":
        return [kind, rng.choice(("swap", "", "x" * 5000, "a\nb", "é\0", "sentence_embedding"))]
    return [
        kind,
        rng.choice(("", "ai.onnx.ml", "com.microsoft", "nowhere", "com.microsoft.nchwc")),
        rng.randrange(-1, 40),
    ]


def refusable(steps: Sequence[Sequence[Any]]) -> bool:
    """Whether what was done must be refused: control flow, or an output that is not what the contract says."""
    for kind, *what in steps:
        if kind == "loop":
            return True
        if kind == "dtype" and what[0] == "sentence_embedding" and what[1] != "FLOAT":
            return True
    return False


def operated(content: bytes, steps: Sequence[Sequence[Any]]) -> bytes:
    """The graph after the operations."""
    import onnx

    model = onnx.load_model_from_string(content)
    for kind, *what in steps:
        {
            "dtype": _dtype, "shape": _shape, "value": _value, "loop": _loop, "name": _name, "domain": _domain, "input": _input,
        }[kind](onnx, model, *what)  # fmt: skip
    return bytes(model.SerializeToString())


def _through(onnx: Any, model: Any, output: str, nodes: list[Any]) -> Any:
    """Put nodes before an output: they take "inner" and give "outer". Returns: what the output says of itself."""
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["inner" if name == output else name for name in node.output]
        node.input[:] = ["inner" if name == output else name for name in node.input]
    for node in nodes:
        node.output[:] = [output if name == "outer" else name for name in node.output]
    graph.node.extend(nodes)
    # Another operation may have named it anew; what is said then counts for nothing.
    return next((value for value in graph.output if value.name == output), onnx.ValueInfoProto())


def _dtype(onnx: Any, model: Any, output: str, name: str) -> None:
    kind = getattr(onnx.TensorProto, name)
    said = _through(onnx, model, output, [onnx.helper.make_node("Cast", ["inner"], ["outer"], to=kind)])
    said.type.tensor_type.elem_type = kind


def _constant(onnx: Any, model: Any, name: str, values: Any) -> str:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values), name))
    return name


def _shape(onnx: Any, model: Any, output: str, how: str) -> None:
    make = onnx.helper.make_node
    nodes = {
        "squeeze-0": lambda: [
            make("Gather", ["inner", _constant(onnx, model, "at", np.int64(0))], ["outer"], axis=0)
        ],
        "unsqueeze-0": lambda: [make("Unsqueeze", ["inner", _constant(onnx, model, "at", [0])], ["outer"])],
        "unsqueeze-2": lambda: [make("Unsqueeze", ["inner", _constant(onnx, model, "at", [2])], ["outer"])],
        "narrow": lambda: [
            make("Gather", ["inner", _constant(onnx, model, "at", list(range(31)))], ["outer"], axis=-1)
        ],
        "wide": lambda: [make("Concat", ["inner", "inner"], ["outer"], axis=-1)],
        "flat": lambda: [make("Reshape", ["inner", _constant(onnx, model, "at", [-1])], ["outer"])],
        "scalar": lambda: [make("ReduceMax", ["inner"], ["outer"], keepdims=0)],
        "twice": lambda: [make("Concat", ["inner", "inner"], ["outer"], axis=0)],
        "none": lambda: [
            make("Gather", ["inner", _constant(onnx, model, "at", np.array([], np.int64))], ["outer"], axis=0)
        ],
        "transposed": lambda: [make("Transpose", ["inner"], ["outer"])],
    }[how]()
    said = _through(onnx, model, output, nodes)
    said.type.tensor_type.ClearField("shape")  # what it is shows only when it runs


def _value(onnx: Any, model: Any, output: str, how: str) -> None:
    numbers = {"nan": "nan", "inf": "inf", "zero": 0.0, "negative-zero": -0.0, "huge": 3e38}
    by = _constant(onnx, model, "by", np.float32(numbers[how]))
    _through(onnx, model, output, [onnx.helper.make_node("Mul", ["inner", by], ["outer"])])


def _loop(onnx: Any, model: Any, how: str) -> None:
    make, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    boolean, whole = onnx.TensorProto.BOOL, onnx.TensorProto.INT64
    output = "sentence_embedding"
    if how.startswith("Loop"):
        trips = 1 << 62 if how == "Loop-endless" else 1
        body = onnx.helper.make_graph(
            [make("Identity", ["go"], ["on"]), make("Identity", ["was"], ["is"])],
            "body",
            [info("trip", whole, []), info("go", boolean, []), info("was", 1, None)],
            [info("on", boolean, []), info("is", 1, None)],
        )
        inputs = [
            _constant(onnx, model, "trips", np.int64(trips)),
            _constant(onnx, model, "begin", np.bool_(True)),
            "inner",
        ]
        _through(onnx, model, output, [make("Loop", inputs, ["outer"], body=body)])
    elif how.startswith("If"):
        branch = onnx.helper.make_graph(
            [make("Identity", ["inner"], ["kept"])], "b", [], [info("kept", 1, None)]
        )
        condition = _constant(onnx, model, "sure", np.bool_(True))
        nodes = [make("If", [condition], ["outer"], then_branch=branch, else_branch=branch)]
        _through(onnx, model, output, nodes)
    elif how == "Scan":
        body = onnx.helper.make_graph(
            [make("Identity", ["row"], ["same"])], "b", [info("row", 1, None)], [info("same", 1, None)]
        )
        _through(onnx, model, output, [make("Scan", ["inner"], ["outer"], body=body, num_scan_inputs=1)])
    else:
        body = onnx.helper.make_graph(
            [make("Identity", ["x"], ["y"])], "b", [info("x", 1, None)], [info("y", 1, None)]
        )
        nodes = [
            make("SequenceConstruct", ["inner"], ["row"]),
            make("SequenceMap", ["row"], ["mapped"], body=body),
            make("ConcatFromSequence", ["mapped"], ["outer"], axis=0),
        ]
        _through(onnx, model, output, nodes)


def _name(onnx: Any, model: Any, name: str) -> None:
    outputs = model.graph.output
    if name == "swap":
        outputs[0].name, outputs[1].name = outputs[1].name, outputs[0].name
    else:
        model.graph.node[len(model.graph.node) // 2].name = name
        outputs[-1].name = name


def _domain(onnx: Any, model: Any, domain: str, version: int) -> None:
    model.opset_import.append(onnx.helper.make_opsetid(domain, version))
    model.graph.node[0].domain = domain


def _input(onnx: Any, model: Any, kind: str, rank: str) -> None:
    value = model.graph.input[0]
    shape = {"rank-1": ["n"], "rank-2": ["b", "s"], "rank-3": ["b", "s", 1], "fixed": [1, 4]}[rank]
    value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, getattr(onnx.TensorProto, kind), shape))
