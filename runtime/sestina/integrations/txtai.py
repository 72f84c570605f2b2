"""txtai: the vectors of an index, as a method with prompts and a checked space, or as a plain function."""

from __future__ import annotations

from typing import Any

from sestina.integrations._bundle import same_space
from sestina.integrations._encoder import Source, checked_texts
from sestina.integrations._host import Host

with Host("txtai"):
    from txtai.vectors import Vectors


def transform(texts: Any) -> Any:
    """Vectors by the encoder in the box: `Embeddings(method="external", transform=transform)`.

    Raises:
        TextTypeError, TextValueError: Where one is no text, or is empty; the message says which.
    """
    return _BOX.encode(checked_texts(texts, "document"), "document")


_BOX = Source()


class SestinaVectors(Vectors):
    """`Embeddings(method="sestina.integrations.txtai.SestinaVectors", path="minilm.sestina")`.

    Documents and queries get the prompts that the bundle has for each; without a path it is the encoder in
    the box. A saved index keeps the space, and refuses another one when it is loaded and used.

    Args:
        config: Of the index; `path` and `space` are read.
        scoring: txtai's.
        models: txtai's.
    """

    def __init__(self, config: Any, scoring: Any, models: Any) -> None:
        super().__init__(config, scoring, models)
        # Here, where an error would become "unable to resolve", nothing is refused.
        if config.get("space") is None:
            config["space"] = self.model.encoder.space
        self.space = config["space"]

    def loadmodel(self, path: Any) -> Any:
        """The encoder of a path, once a process."""
        return Source(path)

    def encode(self, data: Any, category: str | None = None) -> Any:
        """(n, d) float32.

        Raises:
            TextTypeError, TextValueError: Where one is no text, or is empty; the message says which.
            BundleIntegrityError: Where the bundle is not of the space of the index.
        """
        source: Source = self.model
        same_space(self.space, source.encoder.space, source.path or "the encoder in the box")
        kind = "query" if category == "query" else "document"
        return source.encode(checked_texts(data, kind), kind)  # type: ignore[arg-type]
