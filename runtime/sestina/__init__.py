"""Text to vectors from a Sestina bundle, without PyTorch.

>>> import sestina
>>> encoder = sestina.load("minilm.sestina")
>>> encoder.encode(["a text", "another"]).shape
(2, 384)
"""

from sestina._encoder import Encoder
from sestina._errors import (
    BundleError,
    BundleFormatError,
    BundleIntegrityError,
    BundleNotFoundError,
    BundlePermissionError,
    ClosedError,
    ForkError,
    InputError,
    MissingExtraError,
    OptionError,
    OutputError,
    ProviderError,
    SestinaError,
    TextTypeError,
    TextValueError,
    TruncationError,
    TruncationWarning,
)
from sestina._goldens import GoldenResult, Verification
from sestina._load import load
from sestina._report import Report
from sestina._text import Tokens

__version__ = "0.1.0"

__all__ = [
    "BundleError",
    "BundleFormatError",
    "BundleIntegrityError",
    "BundleNotFoundError",
    "BundlePermissionError",
    "ClosedError",
    "Encoder",
    "ForkError",
    "GoldenResult",
    "InputError",
    "MissingExtraError",
    "OptionError",
    "OutputError",
    "ProviderError",
    "Report",
    "SestinaError",
    "TextTypeError",
    "TextValueError",
    "Tokens",
    "TruncationError",
    "TruncationWarning",
    "Verification",
    "load",
]
