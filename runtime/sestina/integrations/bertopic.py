"""BERTopic: a backend that embeds documents and words."""

from __future__ import annotations

from typing import Any

from sestina.integrations._encoder import EncoderArgument, Source
from sestina.integrations._host import Host

with Host("bertopic"):
    from bertopic.backend import BaseEmbedder


class SestinaBackend(BaseEmbedder):
    """`BERTopic(embedding_model=SestinaBackend())`. It is pickled with a model: its place and its space.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space that it must be of; None: not checked.
        dimensions: Keep only the first so many; None: all.
    """

    def __init__(
        self, encoder: EncoderArgument = None, *, space: str | None = None, dimensions: int | None = None
    ) -> None:
        super().__init__()
        self.embedding_model = Source(encoder, space=space, dimensions=dimensions)

    def embed(self, documents: Any, verbose: bool = False) -> Any:
        """(n, d) float32, a row for each document or word.

        Raises:
            SestinaError: As `Encoder.encode`.
        """
        texts = [documents] if isinstance(documents, str) else documents
        return self.embedding_model.encode(texts, "document", empty="zero", progress=verbose)
