"""Variants as data: what is exported, for what, and what the graph must then look like.

To add a variant is to add a `VariantSpec`; the exporter has no other list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sestina._bundle.manifest import Precision, Target
from sestina_export._errors import ExportError
from sestina_export._forms.base import Float32Form, Form
from sestina_export._forms.counts import Counts
from sestina_export._forms.float16 import Float16Form
from sestina_export._forms.linears import layer_linears
from sestina_export._forms.portable import PortableForm
from sestina_export._graph.buckets import LEAST
from sestina_export._graph.passes import (
    Pass,
    drop_inner_shapes,
    drop_metadata,
    name_attention_inputs,
    share_equal_nodes,
)
from sestina_export._proof.quality import QualityGate
from sestina_export._quantise.a16w8 import LEAST_ON_HTP, A16W8Form
from sestina_export._quantise.calibrate import calibrate
from sestina_export._quantise.int8 import Int8Form
from sestina_export._quantise.offenders import finer
from sestina_model.checkpoint import Checkpoint
from sestina_model.config import EncoderConfig
from sestina_model.inputs import Text

__all__ = [
    "CPU_FP32",
    "CPU_INT8",
    "DEFAULT_TARGETS",
    "VARIANTS",
    "FormMaker",
    "VariantSpec",
    "choose_specs",
]

FormMaker = Callable[[Checkpoint, Sequence[Text]], Form]
Finer = Callable[[Any, Checkpoint, Sequence[Text]], Form | None]
DEFAULT_TARGETS = ("cpu",)


def _float32(_: Checkpoint, __: Sequence[Text]) -> Form:
    return Float32Form()


def _int8(checkpoint: Checkpoint, texts: Sequence[Text]) -> Form:
    model = checkpoint.model
    return Int8Form(model.encoder.config, calibrate(checkpoint, texts), layer_linears(model))


def _float16(_: Checkpoint, __: Sequence[Text]) -> Form:
    return Float16Form(Float32Form())


def _portable(checkpoint: Checkpoint, _: Sequence[Text]) -> Form:
    return PortableForm(checkpoint.model.encoder.config)


def _portable_float16(checkpoint: Checkpoint, _: Sequence[Text]) -> Form:
    return Float16Form(PortableForm(checkpoint.model.encoder.config))


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """One graph to make of an encoder.

    Attributes:
        target: What it is for.
        precision: The arithmetic of its matrix products.
        shapes: "dynamic": inputs (batch, length) of any size, all rows of one length, no mask. "static":
            padded to one of a few lengths, with a mask, in standard operators alone.
        opset: Version of the ONNX operator set, at least.
        form: Makes, from the checkpoint and calibration texts, how its parts are written.
        finer: Makes, of a form whose graph missed its gate, one nearer to PyTorch; None where there is none.
        passes: Rewrites after the export, in order.
        tolerance: Largest absolute difference from PyTorch, for values up to 1 and in proportion above;
            None where the goldens are measured and set it.
        float16_tolerance: The same where a provider computes the graph in float16; None: none does.
        gate: What its vectors are held to on text held back, where the caller does not say; None for a
            precision that is held to its tolerance at every shape instead.
        provider: What onnxruntime calls the provider that it is for.
        least_bucket: Of static shapes: the shortest length, in tokens.
        container: Of the file: an ONNX model, or onnxruntime's own format for small builds of it.
    """

    target: Target
    precision: Precision
    shapes: Literal["dynamic", "static"]
    opset: int
    form: FormMaker
    passes: tuple[Pass, ...]
    tolerance: float | None
    float16_tolerance: float | None = None
    gate: QualityGate | None = None
    provider: str = "CPUExecutionProvider"
    least_bucket: int = LEAST
    finer: Finer | None = None
    container: Literal["onnx", "ort"] = "onnx"

    @property
    def file(self) -> str:
        """The name of the graph file in the bundle."""
        return f"{self.target}-{self.precision}.{self.container}"

    def opset_of(self, config: EncoderConfig) -> int:
        """The version of the operator set for an encoder: RMSNormalization came with 23."""
        rms = config.norm_kind == "rms" or config.query_key_norm
        return max(self.opset, _RMS_OPSET) if rms and self.shapes == "dynamic" else self.opset

    def expected_nodes(self, counts: Counts, form: Form) -> Mapping[str, int]:
        """How often an operator must occur for every layer to have come out as intended."""
        return {**counts.activations(), **form.expected_nodes(counts)}


_RMS_OPSET = 23
_CLEAN: tuple[Pass, ...] = (drop_metadata, drop_inner_shapes)
_SHARED: tuple[Pass, ...] = (share_equal_nodes, *_CLEAN)
_FLOAT16_TOLERANCE = 5e-3
_FLOAT16_GATE = QualityGate(mean=0.9999, first_percentile=0.9995, worst=0.999)

CPU_FP32 = VariantSpec(
    target="cpu",
    precision="fp32",
    shapes="dynamic",
    opset=20,
    form=_float32,
    passes=(*_CLEAN, name_attention_inputs),
    tolerance=1e-5,
)

CPU_INT8 = VariantSpec(
    target="cpu",
    precision="int8",
    shapes="dynamic",
    opset=20,
    form=_int8,
    finer=finer,
    passes=(*_SHARED, name_attention_inputs),
    tolerance=None,
    gate=QualityGate(),
)

VARIANTS: tuple[VariantSpec, ...] = (  # in order of preference within a target
    CPU_INT8,
    CPU_FP32,
    VariantSpec(
        target="portable",
        precision="fp32",
        shapes="static",
        opset=20,
        form=_portable,
        passes=_SHARED,
        tolerance=1e-5,
        float16_tolerance=_FLOAT16_TOLERANCE,
    ),
    VariantSpec(
        target="cuda",
        precision="fp16",
        shapes="dynamic",
        opset=20,
        form=_float16,
        passes=_CLEAN,
        tolerance=_FLOAT16_TOLERANCE,
        gate=_FLOAT16_GATE,
        provider="CUDAExecutionProvider",
    ),
    VariantSpec(
        target="qnn",
        precision="a16w8",
        shapes="static",
        opset=21,  # the first in which QuantizeLinear gives uint16
        form=A16W8Form,
        passes=_SHARED,
        tolerance=None,
        gate=QualityGate(mean=0.998, first_percentile=0.995, worst=0.99),
        provider="QNNExecutionProvider",
        least_bucket=LEAST_ON_HTP,
    ),
    VariantSpec(
        target="webgpu",
        precision="fp16",
        shapes="static",
        opset=20,
        form=_portable_float16,
        passes=_SHARED,
        tolerance=_FLOAT16_TOLERANCE,
        gate=_FLOAT16_GATE,
        provider="WebGpuExecutionProvider",
    ),
    VariantSpec(
        target="mobile-cpu",
        precision="int8",
        shapes="dynamic",
        opset=20,
        form=_int8,
        finer=finer,
        passes=_SHARED,
        tolerance=None,
        gate=QualityGate(),
        container="ort",
    ),
)


def choose_specs(
    precisions: Iterable[str] | None, targets: Iterable[str] | None = None
) -> tuple[VariantSpec, ...]:
    """The variants of some precisions for some targets, in order of preference. Duplicates count once.

    Args:
        precisions: None: every one that the targets have.
        targets: None: `DEFAULT_TARGETS`.

    Raises:
        ExportError: Where there is no variant of a target or precision, or none was asked for.
    """
    known = list(dict.fromkeys(spec.target for spec in VARIANTS))
    wanted = DEFAULT_TARGETS if targets is None else _listed(targets, "target", known, "cpu")
    specs = tuple(spec for spec in VARIANTS if spec.target in wanted)
    if precisions is None:
        return specs
    asked = _listed(precisions, "precision", sorted({spec.precision for spec in specs}), "fp32")
    chosen = tuple(spec for spec in specs if spec.precision in asked)
    for target in wanted:
        if target not in {spec.target for spec in chosen}:
            have = ", ".join(spec.precision for spec in specs if spec.target == target)
            raise ExportError(f"target {target} has no variant in {', '.join(asked)}; it has {have}")
    return chosen


def _listed(asked: Iterable[str], what: str, known: Sequence[str], example: str) -> tuple[str, ...]:
    """What was asked for, every member of it known."""
    if isinstance(asked, str):
        raise ExportError(f"{what}s is a str; put it in a list: {what}s=[{asked!r}]")
    if not isinstance(asked, Iterable):
        raise ExportError(f"{what}s is {asked!r}; it must be a list, such as {what}s=[{example!r}]")
    members = tuple(asked)
    for member in members or (None,):
        if member not in known:
            raise ExportError(f"{what} is {member!r}; it must be one of {', '.join(known)}")
    return members
