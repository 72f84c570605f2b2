"""scikit-learn: a transformer of texts to vectors, for pipelines."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np

import sestina
from sestina._arguments import one_of
from sestina.integrations._bundle import same_space
from sestina.integrations._encoder import EncoderArgument, Source
from sestina.integrations._host import Host

with Host("scikit-learn"):
    from sklearn.base import BaseEstimator, TransformerMixin


class SestinaTransformer(TransformerMixin, BaseEstimator):
    """Texts to vectors: a step of a pipeline, which learns nothing.

    It can be cloned, pickled and searched over. A pickle keeps the place of the bundle and the space that it
    was fitted with, and refuses another space. An empty text is a row of zeros.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        dimensions: Keep only the first so many; None: all.
        kind: Which prompts of the bundle the texts get: those of a "document" or of a "query".

    Attributes:
        space_: Fingerprint of the embedding space, once fitted.
        n_features_out_: d, the width of the vectors, once fitted.
    """

    def __init__(
        self,
        encoder: EncoderArgument = None,
        *,
        dimensions: int | None = None,
        kind: Literal["document", "query"] = "document",
    ) -> None:
        self.encoder = encoder
        self.dimensions = dimensions
        self.kind = kind

    def fit(self, X: Any, y: Any = None) -> SestinaTransformer:  # noqa: ARG002, N803  its names to scikit-learn
        """Load the encoder. Texts are not looked at.

        Raises:
            OptionError: Where an argument is not allowed.
            SestinaError: As `sestina.load`.
        """
        source = self._source()
        self.space_, self.n_features_out_ = source.encoder.space, source.dimensions
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """(n, d) float32, a row for each text of a sequence, a column, or a table of one column.

        Raises:
            TextTypeError: Where one is no text, the message has the row; where they are one `str`.
            BundleIntegrityError: Where the encoder is not of the space that this was fitted with.
            SestinaError: As `Encoder.encode`.
        """
        source = self._source()
        if hasattr(self, "space_"):
            same_space(self.space_, source.encoder.space, source.path or "the encoder in the box")
        return source.encode(_column(X), self.kind, empty="zero")

    def get_feature_names_out(self, input_features: Any = None) -> Any:  # noqa: ARG002
        """Names of the columns: sestina0, sestina1 and so on."""
        return np.array([f"sestina{at}" for at in range(self._source().dimensions)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in super().__getstate__().items() if name != "_kept"}
        if isinstance(self.encoder, str | os.PathLike):
            state["encoder"] = os.path.abspath(self.encoder)  # noqa: PTH100  it may be read elsewhere
        return state

    def _source(self) -> Source:
        """Kept as long as it is what the arguments say: `set_params` may change them."""
        asked = (self.encoder, self.dimensions)
        kept = self.__dict__.get("_kept")
        one_of("kind", self.kind, ("document", "query"))
        if kept is None or kept[0] is not asked[0] or kept[1] is not asked[1]:
            kept = self._kept = (*asked, Source(self.encoder, dimensions=self.dimensions))
        source: Source = kept[2]
        return source


def _column(given: Any) -> Any:
    """The only column of a table or of an array of two axes; whatever else it is, as it is."""
    if isinstance(given, str):
        raise sestina.TextTypeError("texts is str; it must be a sequence of str, or a column of them")
    shape = getattr(given, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] == 1:
        return given.iloc[:, 0] if hasattr(given, "iloc") else given[:, 0]
    return given
