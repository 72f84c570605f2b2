"""Variants as data: what is exported, for what, and what the graph must then look like.

To add a variant is to add a `VariantSpec`; the exporter has no other list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sestina._manifest import Precision, Target
from sestina_export._calibrate import calibrate
from sestina_export._errors import ExportError
from sestina_export._forms import Float32Form, Form, layer_linears
from sestina_export._int8_form import Int8Form
from sestina_export._passes import (
    ATTENTION,
    Pass,
    drop_inner_shapes,
    drop_metadata,
    name_attention_inputs,
    share_equal_nodes,
)
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import EncoderConfig

__all__ = ["CPU_FP32", "CPU_INT8", "VARIANTS", "VariantSpec", "choose_specs"]

FormMaker = Callable[[Checkpoint, Sequence[str]], Form]


def _float32(_: Checkpoint, __: Sequence[str]) -> Form:
    return Float32Form()


def _int8(checkpoint: Checkpoint, texts: Sequence[str]) -> Form:
    form = Int8Form(checkpoint.model.encoder.config, calibrate(checkpoint, texts))
    form.prepare(layer_linears(checkpoint.model))
    return form


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """One graph to make of an encoder.

    Attributes:
        target: What it is for.
        precision: The arithmetic of its matrix products.
        shapes: "dynamic": inputs (batch, length) of any size, all rows of one length, no mask.
        opset: Version of the ONNX operator set.
        form: Makes, from the checkpoint and calibration texts, how its parts are written.
        passes: Rewrites after the export, in order.
        tolerance: Largest absolute difference from PyTorch, for values up to 1 and in proportion above;
            None for a precision that is held to a quality gate instead.
    """

    target: Target
    precision: Precision
    shapes: Literal["dynamic"]
    opset: int
    form: FormMaker
    passes: tuple[Pass, ...]
    tolerance: float | None

    @property
    def file(self) -> str:
        """The name of the graph file in the bundle."""
        return f"{self.target}-{self.precision}.onnx"

    def expected_nodes(self, config: EncoderConfig, form: Form) -> Mapping[str, int]:
        """How often an operator must occur for every layer to have come out as intended."""
        n = config.n_layers
        return {
            **form.expected_nodes(config),
            "LayerNormalization": 2 * n + config.norm_embeddings + (config.norm == "pre"),
            {"relu": "Relu", "gelu": "Gelu"}[config.activation]: n,
            ATTENTION: n,
            "Softmax": 0,  # attention that was missed would show as one
        }


CPU_FP32 = VariantSpec(
    target="cpu",
    precision="fp32",
    shapes="dynamic",
    opset=20,
    form=_float32,
    passes=(drop_metadata, drop_inner_shapes, name_attention_inputs),
    tolerance=1e-5,
)

CPU_INT8 = VariantSpec(
    target="cpu",
    precision="int8",
    shapes="dynamic",
    opset=20,
    form=_int8,
    passes=(share_equal_nodes, drop_metadata, drop_inner_shapes, name_attention_inputs),
    tolerance=None,
)

VARIANTS: tuple[VariantSpec, ...] = (CPU_INT8, CPU_FP32)  # in order of preference


def choose_specs(precisions: Iterable[str] | None) -> tuple[VariantSpec, ...]:
    """The variants of some precisions, in order of preference; of all where None. Duplicates count once.

    Raises:
        ExportError: Where there is none of a precision, or none was asked for.
    """
    if precisions is None:
        return VARIANTS
    if isinstance(precisions, str):
        raise ExportError(f"precisions is a str; put it in a list: precisions=[{precisions!r}]")
    if not isinstance(precisions, Iterable):
        raise ExportError(f"precisions is {precisions!r}; it must be a list, such as precisions=['fp32']")
    asked = tuple(precisions)
    known = sorted({spec.precision for spec in VARIANTS})
    for precision in asked or (None,):
        if precision not in known:
            raise ExportError(f"precision is {precision!r}; it must be one of {', '.join(known)}")
    return tuple(spec for spec in VARIANTS if spec.precision in asked)
