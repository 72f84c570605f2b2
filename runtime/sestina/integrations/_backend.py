"""What KeyBERT and BERTopic call a backend; each has a base class of its own for it."""

from __future__ import annotations

from typing import Any

from sestina.integrations._encoder import EncoderArgument, Source


class Backend:
    """Embeds documents and words. It is pickled with a model: its place and its space.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space that it must be of; None: not checked.
        dimensions: Keep only the first so many; None: all.
    """

    def __init__(
        self, encoder: EncoderArgument = None, *, space: str | None = None, dimensions: int | None = None
    ) -> None:
        super().__init__()  # of the host's class, which comes after this one
        self.embedding_model = Source(encoder, space=space, dimensions=dimensions)

    def embed(self, documents: Any, verbose: bool = False) -> Any:
        """(n, d) float32, a row for each document or word. An empty one has the zero vector.

        Raises:
            SestinaError: As `Encoder.encode`.
        """
        texts = [documents] if isinstance(documents, str) else documents
        return self.embedding_model.encode(texts, "document", empty="zero", progress=verbose)
