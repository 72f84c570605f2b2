"""What a graph takes and gives: held to the contract at load, and every result at its run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import sestina
from _fakes import Behaviour, FakeOnnxruntime, forget_packages, install, plugin_package
from _masked import WIDTH, for_cpu, masked_bundle, masked_graph, portable, variant
from sestina._providers.table import PROVIDERS
from sestina._session.interface import check_result

VECTOR, STATES = "sentence_embedding", "last_hidden_state"
Shape = list[int | str] | None


def rewired(
    bundle: Path,
    path: Path,
    output: str,
    nodes: list[onnx.NodeProto],
    kind: int,
    shape: Shape,
    stated: dict[str, Any] | None = None,
) -> Path:
    """The masked bundle's CPU graph with nodes between an inner "own" and an output, declared as given.

    Args:
        stated: `dtype` and `shape` of the output in the manifest; else it says what it should.
    """
    entry, content = for_cpu()
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = ["own" if value == output else value for value in values]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name)
        for name, value in {
            "axis": np.array([1]), "nan": np.float32(np.nan), "half": np.array([0, 0, 16]),
            "starts": np.array([0]), "ends": np.array([16]), "last": np.array([-1]), "one_row": np.array([0]),
        }.items()
        if name not in {each.name for each in model.graph.initializer}
    )  # fmt: skip
    for value in model.graph.output:
        if value.name == output:
            value.CopyFrom(helper.make_tensor_value_info(output, kind, shape))
    outputs = tuple(
        tensor._replace(**(stated or {})) if tensor.name == output else tensor for tensor in entry.outputs
    )
    content = model.SerializeToString()
    whole = variant(entry.entry.file, content, "cpu", "fp32", static=False)._replace(outputs=outputs)
    return masked_bundle(bundle, path, (whole, content))


def cast(output: str, kind: int) -> list[onnx.NodeProto]:
    return [helper.make_node("Cast", ["own"], [output], to=kind)]


def refusal(path: Path) -> str:
    with pytest.raises(sestina.BundleFormatError) as caught:
        sestina.load(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path / 'cpu-fp32.onnx'} ")


KINDS = {"float16": TensorProto.FLOAT16, "double": TensorProto.DOUBLE, "bool": TensorProto.BOOL,
         "int32": TensorProto.INT32, "string": TensorProto.STRING}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output, shape", [(VECTOR, ["batch", WIDTH]), (STATES, ["batch", "length", WIDTH])])
def test_outputs_of_another_type(kind: str, output: str, shape: Shape, bundle: Path, tmp_path: Path) -> None:
    path = rewired(bundle, tmp_path / "b.sestina", output, cast(output, KINDS[kind]), KINDS[kind], shape)
    assert refusal(path).startswith(f"has the output {output} as tensor({kind}) of shape [")


def slice_of(output: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Slice", ["own", "starts", "ends", "last"], [output])]


def more_axes(output: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Unsqueeze", ["own", "axis"], [output])]


@pytest.mark.parametrize("output", [VECTOR, STATES])
@pytest.mark.parametrize("nodes, shape", [(slice_of, [16]), (more_axes, [1, WIDTH])])
def test_outputs_of_another_width_or_rank(
    output: str, nodes: Callable[[str], list[onnx.NodeProto]], shape: list[int], bundle: Path, tmp_path: Path
) -> None:
    before: list[int | str] = ["batch"] if output == VECTOR else ["batch", "length"]
    path = rewired(
        bundle, tmp_path / "b.sestina", output, nodes(output), TensorProto.FLOAT, [*before, *shape]
    )
    assert refusal(path).startswith(f"has the output {output} as tensor(float) of shape ['batch', ")


@pytest.mark.parametrize(
    "dtype, shape",
    [("float16", None), ("int64", None), ("float32", ("length", WIDTH)), ("float32", (1, "length", WIDTH))],
)
def test_hidden_states_that_the_manifest_has_otherwise(
    dtype: str, shape: tuple[int | str, ...] | None, bundle: Path, tmp_path: Path
) -> None:
    """It may not say what the format does not, right as it may be about the graph."""
    path = rewired(
        bundle, tmp_path / "b.sestina", STATES, [helper.make_node("Identity", ["own"], [STATES])],
        TensorProto.FLOAT, ["batch", "length", WIDTH],
        {"dtype": dtype, "shape": shape or ("batch", "length", WIDTH)},
    )  # fmt: skip
    said = refusal(path)
    assert said.startswith(f"gives last_hidden_state in {dtype} of shape [")
    assert said.endswith(
        "as its manifest entry says; it must be float32 of 3 axes, of which only the last is a number"
    )


def test_hidden_states_of_another_width_than_the_encoder(bundle: Path, tmp_path: Path) -> None:
    path = rewired(
        bundle, tmp_path / "b.sestina", STATES, slice_of(STATES), TensorProto.FLOAT,
        ["batch", "length", 16], {"shape": ("batch", "length", 16)},
    )  # fmt: skip
    with pytest.raises(sestina.BundleFormatError, match=f"last_hidden_state of {WIDTH} dimensions"):
        sestina.load(path)


@pytest.mark.parametrize(
    "kind, shape, said",
    [
        (TensorProto.INT32, ["batch", "length"], "has the input input_ids as tensor(int32) of shape ["),
        (TensorProto.INT64, ["length"], "has the input input_ids as tensor(int64) of shape ['length']"),
        (TensorProto.INT64, ["batch", "length", 1], "has the input input_ids as tensor(int64) of shape ["),
        (TensorProto.INT64, [1, "length"], "has the input input_ids as tensor(int64) of shape [1, 'length']"),
        (TensorProto.INT64, ["batch", 16], "has the input input_ids as tensor(int64) of shape ['batch', 16]"),
    ],
)
def test_inputs_of_another_type_or_shape(
    kind: int, shape: Shape, said: str, bundle: Path, tmp_path: Path
) -> None:
    """Of a graph that makes something of whatever it is given."""
    entry, _ = for_cpu()
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("Reshape", ["rows", "flat"], [STATES]),
            helper.make_node("ReduceSum", [STATES, "axis"], [VECTOR], keepdims=0),
        ],
        "any",
        [helper.make_tensor_value_info("input_ids", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (VECTOR, STATES)],
        [
            numpy_helper.from_array(np.ones((400, WIDTH), np.float32), "table"),
            numpy_helper.from_array(np.array([1, -1, WIDTH]), "flat"),
            numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )
    opsets = [helper.make_opsetid("", 18)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    path = masked_bundle(
        bundle,
        tmp_path / "b.sestina",
        (variant(entry.entry.file, content, "cpu", "fp32", static=False), content),
    )
    assert refusal(path).startswith(said)


@pytest.mark.parametrize("static, dtype", [(False, "int32"), (False, "float32"), (True, "int64")])
def test_inputs_that_no_reader_feeds(static: bool, dtype: str, bundle: Path, tmp_path: Path) -> None:
    """The manifest and the graph agree, on what the format does not have."""
    file = "cpu-fp32.onnx"
    content = masked_graph(static=static)
    entry = variant(file, content, "portable" if static else "cpu", "fp32", static=static)
    entry = entry._replace(inputs=tuple(tensor._replace(dtype=dtype) for tensor in entry.inputs))
    path = masked_bundle(bundle, tmp_path / "b.sestina", (entry, content))
    wanted = "int32" if static else "int64"
    said = refusal(path)
    assert said.startswith(f"takes input_ids in {dtype} of shape ['batch', 'length']")
    assert f"takes input_ids in {wanted} of shape ['batch', 'length']" in said


@pytest.mark.parametrize("shape", [(1, "length"), ("batch",), ("batch", 16)])
def test_inputs_of_a_fixed_size(shape: tuple[int | str, ...], bundle: Path, tmp_path: Path) -> None:
    entry, content = for_cpu()
    entry = entry._replace(inputs=(entry.inputs[0]._replace(shape=shape),))
    path = masked_bundle(bundle, tmp_path / "b.sestina", (entry, content))
    assert refusal(path).startswith(f"takes input_ids in int64 of shape {list(shape)}, as its manifest")


# What shows only at a run: axes that the graph leaves open.
RUNS: dict[str, tuple[list[onnx.NodeProto], Shape, str]] = {
    "width": (
        [helper.make_node("Compress", ["own", "kept"], [VECTOR], axis=1)], ["batch", "some"],
        "gave sentence_embedding as float32 of shape (1, 16); it must be float32 of shape (1, 32)",
    ),
    "no text": (
        [helper.make_node("Compress", ["own", "none"], [VECTOR], axis=0)], ["batch", WIDTH],
        "gave sentence_embedding as float32 of shape (0, 32); it must be float32 of shape (1, 32)",
    ),
    "nan": (
        [helper.make_node("Mul", ["own", "nan"], [VECTOR])], ["batch", WIDTH],
        "gave a sentence_embedding that is not finite for ids of shape (1, ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_result_that_is_not_what_was_promised(name: str, bundle: Path, tmp_path: Path) -> None:
    """For one text, for several, and in `verify`: never a wrong vector, nor an error that is not ours."""
    nodes, shape, said = RUNS[name]
    constants = {"kept": np.arange(WIDTH) < 16, "none": np.array([False])}
    values = [
        helper.make_node("Constant", [], [key], value=numpy_helper.from_array(value))
        for key, value in constants.items()
    ]
    path = rewired(bundle, tmp_path / "b.sestina", VECTOR, [*values, *nodes], TensorProto.FLOAT, shape)
    calls: list[Callable[[sestina.Encoder], Any]] = [
        lambda encoder: encoder.encode("a"),
        lambda encoder: encoder.encode(["a", "the model", "a sestina"]),
        lambda encoder: list(encoder.stream(["a", "the model"])),
        lambda encoder: encoder.similarity("a", "b"),
        lambda encoder: encoder.verify(),
    ]
    for threads in (1, 2):
        for call in calls:
            with sestina.load(path, threads=threads) as encoder:
                with pytest.raises(sestina.ProviderError) as caught:
                    call(encoder)
                assert "\n" not in str(caught.value)
                assert str(caught.value).startswith("cpu-fp32.onnx gave ")
                if call in calls[:1]:
                    assert str(caught.value).startswith(f"cpu-fp32.onnx {said}")


@pytest.mark.parametrize("output", ["sparse_embedding", "token_weights"])
def test_weights_below_0_are_refused(output: str) -> None:
    """They were taken for none: a graph that turns them round gave empty rows."""
    entry, _ = for_cpu()
    fed, shape = ((2, 3), (2, 3, 1)) if output == "token_weights" else ((2, 3), (2, 7))
    good = np.zeros(shape, dtype=np.float32)
    tensor = entry.outputs[0]._replace(name=output, shape=("batch", *shape[1:]))
    weighing = entry._replace(outputs=(tensor,))
    check_result(weighing, output, good, fed)
    good.flat[-1] = -0.5
    with pytest.raises(
        sestina.ProviderError, match=rf"gave a {output} below 0 for ids of shape \(2, 3\): load"
    ):
        check_result(weighing, output, good, fed)


def test_hidden_states_that_are_not_finite(bundle: Path, tmp_path: Path) -> None:
    nodes = [helper.make_node("Mul", ["own", "nan"], [STATES])]
    path = rewired(
        bundle, tmp_path / "b.sestina", STATES, nodes, TensorProto.FLOAT, ["batch", "length", WIDTH]
    )
    with sestina.load(path) as encoder:
        with pytest.raises(sestina.ProviderError, match="gave a last_hidden_state that is not finite"):
            encoder.hidden_states(["a", "b"])
        assert encoder.encode("a").shape == (WIDTH,)  # which is not made of them here


def test_a_run_that_fails_is_ours(bundle: Path, tmp_path: Path) -> None:
    """More memory than there is, in onnxruntime's own words but one line."""
    nodes = [
        helper.make_node("Constant", [], ["huge"], value=numpy_helper.from_array(np.array([1 << 40, 1 << 20]))),
        helper.make_node("ConstantOfShape", ["huge"], ["space"]),
        helper.make_node("ReduceMax", ["space"], ["most"], keepdims=0),
        helper.make_node("Add", ["own", "most"], [VECTOR]),
    ]  # fmt: skip
    path = rewired(bundle, tmp_path / "b.sestina", VECTOR, nodes, TensorProto.FLOAT, ["batch", WIDTH])
    with sestina.load(path) as encoder:
        for texts in ("a", ["a", "b"]):
            with pytest.raises(sestina.ProviderError, match=r"^cpu-fp32\.onnx failed on \(") as caught:
                encoder.encode(texts)
            assert "\n" not in str(caught.value)


SPOILED: dict[str, Callable[[Any], Any]] = {
    "half": lambda value: value.astype(np.float16),
    "shape": lambda value: value[..., :16],
    "none": lambda value: None,
    "list": lambda value: value.tolist(),
    "infinite": lambda value: np.full_like(value, np.inf),
}


@pytest.mark.parametrize("way", SPOILED)
def test_what_a_provider_gives(
    way: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its probe: passed over, and why. Later: an error."""
    ep = PROVIDERS["qnn"].ep
    plugin_package(monkeypatch, tmp_path / "packages", "onnxruntime_qnn", ep)
    forget_packages(monkeypatch, "onnxruntime_ep_openvino", "onnxruntime_ep_webgpu")
    fake = install(monkeypatch, FakeOnnxruntime(**{ep: Behaviour(spoil=SPOILED[way])}))
    content = masked_graph("qnn-a16w8.onnx")
    path = masked_bundle(
        bundle,
        tmp_path / "b.sestina",
        (variant("qnn-a16w8.onnx", content, "qnn", "a16w8"), content),
        portable(),
    )
    with pytest.raises(sestina.ProviderError, match=r"qnn-a16w8\.onnx gave "):
        sestina.load(path, provider="qnn", strict=True)
    fake.plugins[ep] = replace(fake.plugins[ep], spoil=None)
    with sestina.load(path, provider="qnn") as encoder:
        assert encoder.encode("a").dtype == np.float32
