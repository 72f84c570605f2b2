"""A PyTorch text encoder to a verified bundle.

>>> from sestina_export import export
>>> export("path/to/checkpoint", "minilm.sestina")
"""

try:
    import onnx as _onnx
    import onnxscript as _onnxscript
    import safetensors as _safetensors
    import torch as _torch
except ModuleNotFoundError as error:
    from sestina import MissingExtraError

    raise MissingExtraError(
        f'exporting needs {error.name}, which is not installed: pip install "sestina[export]"',
        name=error.name,
    ) from None

from sestina_export._check.check import PlacementCheck, check
from sestina_export._errors import ExportError, GraphError, ParityError, QualityError
from sestina_export._export import ExportResult, export
from sestina_export._proof.quality import QualityGate
from sestina_export._proof.task_gates import LabelGate, RankGate, SpanGate

__all__ = [
    "ExportError",
    "ExportResult",
    "GraphError",
    "LabelGate",
    "ParityError",
    "PlacementCheck",
    "QualityError",
    "QualityGate",
    "RankGate",
    "SpanGate",
    "check",
    "export",
]

del _onnx, _onnxscript, _safetensors, _torch
