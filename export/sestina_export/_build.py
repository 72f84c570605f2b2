"""An encoder becomes an ONNX graph, and the graph is held to its variant's promise."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch

from sestina._bundle.manifest import TensorInfo
from sestina._session.inner_values import attention_inputs
from sestina_export._errors import GraphError
from sestina_export._forms.base import TRACED_LENGTH, Form, longest, written_as
from sestina_export._forms.counts import Counts
from sestina_export._forms.head import head_nodes_of
from sestina_export._forms.one_token import pooled_token
from sestina_export._graph.body import body_nodes
from sestina_export._graph.interface import INPUT, MASK, TYPES, axes_of, inputs_of, outputs_of
from sestina_export._graph.interface import OUTPUTS as OUTPUTS
from sestina_export._graph.passes import name_attention_inputs, whole_attentions
from sestina_export._graph.weights import checkable, fits, is_large, store, weights_bytes
from sestina_export._variants import VariantSpec
from sestina_model.config import EncoderConfig
from sestina_model.sentence import SentenceEncoder

__all__ = ["LEAST_POSITIONS", "build_graph", "interface", "traced_shape"]

_TRACED_BATCH = 3  # parity is measured at no batch of this size
LEAST_POSITIONS = 2  # torch.export makes a constant of a length that can only be 1
_DTYPES = {"FLOAT": "float32", "INT32": "int32", "INT64": "int64"}
_TORCH = {"int32": torch.int32, "int64": torch.int64}
_STANDARD = ("", "ai.onnx")
_ARGUMENTS = {INPUT: "ids", MASK: "mask", TYPES: "types"}  # of the modules that are traced


def build_graph(
    model: SentenceEncoder,
    spec: VariantSpec,
    form: Form,
    provenance: Mapping[str, str | None],
    weights: Path | None = None,
) -> onnx.ModelProto:
    """Export, rewrite and check one variant's graph.

    Args:
        model: In eval mode, float32.
        spec: The variant.
        form: How the parts of the encoder are written, from `spec.form`.
        provenance: Written into the model's metadata under `sestina.` names.
        weights: Where the weights go that are too large to be part of the graph; it is written then alone.
            None: nowhere, and such a graph is an error.

    Returns: A model with the inputs of `spec.shapes` (see docs/format.md) and the outputs
        of `outputs_of`.

    Raises:
        GraphError: Where the graph is not what the variant promises.
    """
    config = model.encoder.config
    inputs = inputs_of(spec.shapes, model)
    shape = traced_shape(config)
    operands = {
        name: torch.zeros((1,) if axes_of(name) == (1,) else shape, dtype=_TORCH[dtype])
        for name, dtype in inputs.items()
    }
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=longest(model))}
    with written_as(form, model) as traced, _quiet_exporter():
        program = torch.onnx.export(
            traced,
            tuple(each for name, each in operands.items() if name != TYPES),
            kwargs={"types": operands[TYPES]} if TYPES in operands else None,
            dynamo=True,
            opset_version=spec.opset_of(config),
            input_names=list(inputs),
            output_names=list(outputs_of(model.head)),
            dynamic_shapes=_dynamic(inputs, axes),
            external_data=False,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise GraphError(f"{spec.file}: torch.onnx.export gave no program")
    if weights is not None and is_large(program.model) and not form.rewrites_weights:
        store(program.model, weights)
    graph = program.model_proto
    del program  # and what it made of the weights
    form.finish(graph)
    for rewrite in spec.passes:
        rewrite(graph)
    graph.producer_name = "sestina"
    graph.producer_version = provenance["sestina"] or ""
    onnx.helper.set_model_props(graph, {f"sestina.{name}": str(value) for name, value in provenance.items()})
    _check(graph, model, spec, form)
    return graph


def _dynamic(inputs: Iterable[str], axes: Any) -> Any:
    """The dynamic axes of the arguments that are traced: by their place, or by name where one is by name."""
    if TYPES not in inputs:
        return tuple(None if axes_of(name) == (1,) else axes for name in inputs)
    return {_ARGUMENTS[name]: axes for name in inputs}


def traced_shape(config: EncoderConfig) -> tuple[int, int]:
    """(batch, length) of the ids that are traced, at most as long as the encoder reads."""
    return _TRACED_BATCH, min(TRACED_LENGTH, config.max_positions)


def interface(graph: onnx.ModelProto) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """The graph's inputs and outputs as the manifest states them."""

    def tensors(values: Iterator[onnx.ValueInfoProto]) -> tuple[TensorInfo, ...]:
        return tuple(
            TensorInfo(
                value.name,
                _DTYPES[onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)],
                tuple(
                    axis.dim_value if axis.HasField("dim_value") else axis.dim_param
                    for axis in value.type.tensor_type.shape.dim
                ),
            )
            for value in values
        )

    return tensors(iter(graph.graph.input)), tensors(iter(graph.graph.output))


def _check(graph: onnx.ModelProto, model: SentenceEncoder, spec: VariantSpec, form: Form) -> None:
    outline = checkable(graph)
    size = outline.ByteSize() + weights_bytes(graph) - weights_bytes(outline)
    if not fits(size):
        raise GraphError(
            f"{spec.file} would have {size} bytes, and with its weights inside it must have less than 2 GiB: "
            f"this encoder is too large for {spec.target} in {spec.precision}"
        )
    try:
        onnx.checker.check_model(outline, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(f"{spec.file} does not pass onnx.checker: {error}") from error
    d_model = model.encoder.config.d_model
    stated = interface(graph)
    result, states, *further = outputs_of(model.head)
    widths = [linear.out_features for linear in (model.token_maps.linear(name) for name in model.token_maps)]
    token = ("length",) if model.head.by_token else ()
    wanted = (
        tuple(
            TensorInfo(name, dtype, axes_of(name)) for name, dtype in inputs_of(spec.shapes, model).items()
        ),
        (
            TensorInfo(result, "float32", ("batch", *token, model.dimensions)),
            TensorInfo(states, "float32", ("batch", "length", d_model)),
            *(
                TensorInfo(name, "float32", ("batch", "length", width))
                for name, width in zip(further, widths, strict=True)
            ),
        ),
    )
    if stated != wanted:
        raise GraphError(f"{spec.file} has the interface {stated}; it must be {wanted}")
    own = sorted({node.op_type for node in graph.graph.node if node.domain not in _STANDARD})
    if own and spec.shapes == "static":
        raise GraphError(f"{spec.file} has {', '.join(own)}, which only onnxruntime's own providers run")
    counts = counts_of(model, spec)
    # Where the last layer stands there once more its second run is part of no hidden state.
    nodes = body_nodes(graph.graph, result, states) if counts.again else body_nodes(graph.graph)
    found = Counter(node.op_type for node in nodes)
    if counts.again:
        found.subtract(head_nodes_of(model))
    for operator, count in spec.expected_nodes(counts, form).items():
        if found[operator] != count:
            raise GraphError(
                f"{spec.file} has {found[operator]} {operator} nodes where its "
                f"{model.encoder.config.n_layers} layers must give {count}"
            )
    if name_attention_inputs in spec.passes:
        _check_attention_inputs(graph, counts, spec.file)


def counts_of(model: SentenceEncoder, spec: VariantSpec) -> Counts:
    """The parts that a variant's graph must have."""
    return Counts(model.encoder.config, again=spec.shapes == "dynamic" and pooled_token(model) is not None)


def _check_attention_inputs(graph: onnx.ModelProto, counts: Counts, where: str) -> None:
    """Each layer's query and key, and nothing else, must have the name by which the runtime asks for it."""
    fed = [tuple(node.input[:2]) for node in whole_attentions(graph)]
    wanted = [attention_inputs(layer) for layer in range(counts.config.n_layers)]
    if fed != wanted:
        raise GraphError(f"{where} feeds its attention with {fed}; it must be with {wanted}")


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns of its own deprecations and of packages that text encoders do not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
