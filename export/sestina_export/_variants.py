"""Variants as data: what is exported, for what, and what the graph must then look like.

To add a variant is to add a `VariantSpec`; the exporter has no other list of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sestina._manifest import Precision, Target
from sestina_export._attention import FUSED, AttentionForm
from sestina_export._passes import Pass, drop_metadata, keep_named_axes
from sestina_model.config import EncoderConfig

__all__ = ["CPU_FP32", "VARIANTS", "VariantSpec"]


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """One graph to make of an encoder.

    Attributes:
        target: What it is for.
        precision: The arithmetic of its matrix products.
        shapes: "dynamic": inputs (batch, length) of any size, all rows of one length, no mask.
        opset: Version of the ONNX operator set.
        attention: How the core of attention is written into the graph.
        passes: Rewrites after the export, in order.
        tolerance: Largest absolute difference from PyTorch, for values up to 1; in proportion above.
    """

    target: Target
    precision: Precision
    shapes: Literal["dynamic"]
    opset: int
    attention: AttentionForm
    passes: tuple[Pass, ...]
    tolerance: float

    @property
    def file(self) -> str:
        """The name of the graph file in the bundle."""
        return f"{self.target}-{self.precision}.onnx"

    def expected_nodes(self, config: EncoderConfig) -> Mapping[str, int]:
        """How often an operator must occur for every layer to have come out as intended.

        Args:
            config: The encoder that was exported.
        """
        n = config.n_layers
        norms = 2 * n + config.norm_embeddings + (config.norm == "pre")
        return {
            "MatMul": 6 * n,
            "LayerNormalization": norms,
            {"relu": "Relu", "gelu": "Gelu"}[config.activation]: n,
            self.attention.operator: n,
            "Softmax": 0,  # attention that was missed would show as one
        }


CPU_FP32 = VariantSpec(
    target="cpu",
    precision="fp32",
    shapes="dynamic",
    opset=20,
    attention=FUSED,
    passes=(drop_metadata, keep_named_axes),
    tolerance=1e-5,
)

VARIANTS: tuple[VariantSpec, ...] = (CPU_FP32,)
