"""DSPy: an embedder, and a retriever that embeds passages and questions with the prompts of each."""

from __future__ import annotations

import json
import os
from typing import Any

from sestina.integrations._bundle import same_space
from sestina.integrations._encoder import EncoderArgument, Kind, Source, checked_texts
from sestina.integrations._host import Host

with Host("dspy"):
    import dspy

_SPACE = "sestina.json"


class SestinaEmbedder(dspy.Embedder):
    """`dspy.Embedder` of a bundle. DSPy's cache on disk is not used unless it is asked for.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        kind: Which prompts of the bundle the texts get: those of a "document" or of a "query".
        space: The space that it must be of; None: not checked.
        dimensions: Keep only the first so many; None: all.
        batch_size: Texts that DSPy hands over at once.
        caching: Whether DSPy keeps the vectors.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        SestinaError: As `sestina.load`.
    """

    def __init__(
        self,
        encoder: EncoderArgument = None,
        *,
        kind: Kind = "document",
        space: str | None = None,
        dimensions: int | None = None,
        batch_size: int = 1024,
        caching: bool = False,
    ) -> None:
        self.source = Source(encoder, space=space, dimensions=dimensions)
        super().__init__(_Model(self.source, kind), batch_size=batch_size, caching=caching)


class _Model:
    """What DSPy calls. By its name DSPy's cache tells it from another."""

    def __init__(self, source: Source, kind: Kind) -> None:
        self._source, self._kind = source, kind
        self.__name__ = f"sestina {source.encoder.space} {source.dimensions} {kind}"

    def __call__(self, texts: list[str]) -> Any:
        return self._source.encode(checked_texts(texts, self._kind), self._kind)


class SestinaEmbeddings(dspy.Embeddings):
    """`dspy.Embeddings` of a bundle: passages get its prompts for documents, questions those for queries.

    What it saves keeps the space, and it refuses to load what is of another.

    Args:
        corpus: The passages.
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        options: Of `dspy.Embeddings`.

    Raises:
        TextTypeError, TextValueError: Where a passage is no text, or is empty; the message says which.
    """

    def __init__(self, corpus: list[str], encoder: EncoderArgument = None, **options: Any) -> None:
        super().__init__(corpus, SestinaEmbedder(encoder), **options)
        self.embedder = SestinaEmbedder(encoder, kind="query")

    def save(self, path: str) -> None:
        """As `dspy.Embeddings`, and the space."""
        super().save(path)
        with open(os.path.join(path, _SPACE), "w", encoding="utf-8") as file:
            json.dump({"space": self.embedder.source.space}, file)

    def load(self, path: str, embedder: Any = None) -> SestinaEmbeddings:
        """As `dspy.Embeddings`; its own embedder unless another is given.

        Raises:
            BundleIntegrityError: Where what was saved is of another space.
        """
        own = embedder or self.embedder
        kept = os.path.join(path, _SPACE)
        if os.path.exists(kept) and isinstance(own, SestinaEmbedder):
            with open(kept, encoding="utf-8") as file:
                source = own.source
                same_space(json.load(file)["space"], source.space, source.path or "the encoder in the box")
        super().load(path, own)
        return self

    @classmethod
    def from_saved(cls, path: str, embedder: Any = None) -> SestinaEmbeddings:
        """What was saved at `path`, without embedding its passages again.

        Args:
            path: Of the directory.
            embedder: The encoder as elsewhere, or an embedder of DSPy.
        """
        own = embedder if isinstance(embedder, dspy.Embedder) else SestinaEmbedder(embedder, kind="query")
        made: SestinaEmbeddings = super().from_saved(path, own)
        return made
