"""Text to vectors from a Sestina bundle, without PyTorch.

>>> import sestina
>>> encoder = sestina.load("minilm.sestina")
>>> encoder.encode(["a text", "another"]).shape
(2, 384)
"""

from sestina._errors import (
    BundleError,
    BundleFormatError,
    BundleIntegrityError,
    BundleNotFoundError,
    BundlePermissionError,
    ClosedError,
    EmptyTextError,
    EmptyTextWarning,
    ForkError,
    InputError,
    MissingExtraError,
    OptionError,
    OutputError,
    ProviderError,
    ProviderWarning,
    SestinaError,
    TextTypeError,
    TextValueError,
    TruncationError,
    TruncationWarning,
    UnknownAttributeError,
    UsageError,
)
from sestina._process import native as _native  # at once: what registers first is called last at the end

TYPE_CHECKING = False  # type checkers read it as true; importing `typing` for it would cost 10 ms
if TYPE_CHECKING:
    from sestina._asked import Ranked
    from sestina._async import AsyncEncoder
    from sestina._bundle.goldens import GoldenResult, Verification
    from sestina._classifier import Classifier, Label
    from sestina._encoder import Encoder
    from sestina._explain.explanation import Explanation
    from sestina._load import load
    from sestina._loaders import (
        load_classifier,
        load_multi_vector_encoder,
        load_reranker,
        load_sparse_encoder,
        load_tagger,
    )
    from sestina._multi_vector_encoder import MultiVectorEncoder
    from sestina._report import Report
    from sestina._reranker import Reranker
    from sestina._search import Corpus, Matches, search
    from sestina._several import Outputs
    from sestina._sparse_encoder import SparseEncoder
    from sestina._sparse_vectors import SparseVector, SparseVectors, TokenWeight
    from sestina._tagger import Span, Tagger
    from sestina._text.tokenizer import Tokens
else:
    # What needs numpy is imported when it is first used, so that `import sestina` and `sestina --help`
    # cost nothing.
    _LAZY = {
        "AsyncEncoder": "_async",
        "Classifier": "_classifier",
        "Corpus": "_search",
        "Encoder": "_encoder",
        "Explanation": "_explain.explanation",
        "GoldenResult": "_bundle.goldens",
        "Label": "_classifier",
        "Matches": "_search",
        "MultiVectorEncoder": "_multi_vector_encoder",
        "Outputs": "_several",
        "Ranked": "_asked",
        "Report": "_report",
        "Reranker": "_reranker",
        "Span": "_tagger",
        "SparseEncoder": "_sparse_encoder",
        "SparseVector": "_sparse_vectors",
        "SparseVectors": "_sparse_vectors",
        "Tagger": "_tagger",
        "TokenWeight": "_sparse_vectors",
        "Tokens": "_text.tokenizer",
        "Verification": "_bundle.goldens",
        "load": "_load",
        "load_classifier": "_loaders",
        "load_multi_vector_encoder": "_loaders",
        "load_reranker": "_loaders",
        "load_sparse_encoder": "_loaders",
        "load_tagger": "_loaders",
        "search": "_search",
    }

    def __getattr__(name: str) -> object:
        if name not in _LAZY:
            if not name.startswith("_"):
                with _native.opening:
                    from sestina._familiar import MODULE

                if name in MODULE:
                    raise UnknownAttributeError(f"sestina has no {name}: {MODULE[name]}", name=name)
            raise AttributeError(f"module 'sestina' has no attribute {name!r}")
        with _native.opening:
            from importlib import import_module

            value = globals()[name] = getattr(import_module(f"sestina.{_LAZY[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__version__ = "0.1.0"

__all__ = [
    "AsyncEncoder",
    "BundleError",
    "BundleFormatError",
    "BundleIntegrityError",
    "BundleNotFoundError",
    "BundlePermissionError",
    "Classifier",
    "ClosedError",
    "Corpus",
    "EmptyTextError",
    "EmptyTextWarning",
    "Encoder",
    "Explanation",
    "ForkError",
    "GoldenResult",
    "InputError",
    "Label",
    "Matches",
    "MissingExtraError",
    "MultiVectorEncoder",
    "OptionError",
    "OutputError",
    "Outputs",
    "ProviderError",
    "ProviderWarning",
    "Ranked",
    "Report",
    "Reranker",
    "SestinaError",
    "Span",
    "SparseEncoder",
    "SparseVector",
    "SparseVectors",
    "Tagger",
    "TextTypeError",
    "TextValueError",
    "TokenWeight",
    "Tokens",
    "TruncationError",
    "TruncationWarning",
    "UnknownAttributeError",
    "UsageError",
    "Verification",
    "load",
    "load_classifier",
    "load_multi_vector_encoder",
    "load_reranker",
    "load_sparse_encoder",
    "load_tagger",
    "search",
]
