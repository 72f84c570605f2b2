"""The errors of exporting: leaves of Sestina's one root."""

from sestina import SestinaError

__all__ = ["ExportError", "GraphError", "ParityError", "QualityError"]


class ExportError(SestinaError, ValueError):
    """A source cannot be exported as asked, or a bundle cannot be written there."""


class GraphError(ExportError):
    """The exported graph does not have the form that its variant promises."""


class ParityError(ExportError):
    """A graph does not agree with PyTorch, or a folder's tokenizer with transformers."""


class QualityError(ExportError):
    """A quantised variant is further from PyTorch than its gate allows."""
