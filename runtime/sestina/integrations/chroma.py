"""Chroma: the embedding function of a collection.

Import this module before a collection is opened that was made with it: Chroma finds functions by name.
"""

from __future__ import annotations

import sys
from typing import Any

import sestina
from sestina.integrations._bundle import same_space
from sestina.integrations._encoder import EncoderArgument, Kind, Source, checked_texts
from sestina.integrations._host import Host

with Host("chromadb"):
    from chromadb.api.models.CollectionCommon import CollectionCommon
    from chromadb.api.types import EmbeddingFunction
    from chromadb.utils.embedding_functions import register_embedding_function

_NAME = "sestina"


@register_embedding_function
class SestinaEmbeddingFunction(EmbeddingFunction):
    """Embeddings of a bundle, registered as "sestina".

    Documents and queries get the prompts that the bundle has for each. A collection keeps the place of the
    bundle and the space. Where it is opened again, by what it kept or with a function that is given, another
    space is refused. Distances are cosine unless the collection says otherwise.

    Args:
        encoder: The path of a bundle, an `Encoder`, or None for the encoder in the box.
        space: The space of the vectors that a collection has already; None: not checked.
        dimensions: Keep only the first so many; None: all.

    Raises:
        BundleIntegrityError: Where the bundle is of another space.
        OptionError: Where `dimensions` is not allowed.
        SestinaError: As `sestina.load`.
    """

    def __init__(
        self, encoder: EncoderArgument = None, *, space: str | None = None, dimensions: int | None = None
    ) -> None:
        self._source = Source(encoder, space=space, dimensions=dimensions)
        _ = self._source.encoder  # what is wrong with it is said now

    def __call__(self, input: Any) -> Any:  # noqa: A002  its name to Chroma
        """A vector for each document.

        Raises:
            TextTypeError, TextValueError: Where one is no text, or is empty; the message says which.
            BundleIntegrityError: Where the collection has vectors of another space.
        """
        return self._vectors(input, "document")

    def embed_query(self, input: Any) -> Any:  # noqa: A002
        """A vector for each query; raises as a call does."""
        return self._vectors(input, "query")

    @staticmethod
    def name() -> str:
        """By which Chroma finds it."""
        return _NAME

    def default_space(self) -> Any:
        """The distance of a collection that states none."""
        return "cosine"

    def supported_spaces(self) -> Any:
        """Distances that a collection may state."""
        return ["cosine", "ip", "l2"]

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> SestinaEmbeddingFunction:
        """It again, from what a collection has kept.

        Raises:
            BundleIntegrityError: Where another model lies in its place.
        """
        encoder, options = config.get("encoder"), {name: config.get(name) for name in ("space", "dimensions")}
        return SestinaEmbeddingFunction(encoder, **options)

    def get_config(self) -> dict[str, Any]:
        """What a collection keeps of it."""
        source = self._source
        return {"encoder": source.path, "space": source.space, "dimensions": source.dimensions_asked}

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Another place of the bundle is fine, another space is not."""
        self._refuse_another(old_config, new_config)

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Hold that this is what `get_config` gives."""
        unknown = sorted(set(config) - {"encoder", "space", "dimensions"})
        if unknown:
            raise sestina.OptionError(
                f"{unknown[0]!r} is no option of it; they are encoder, space, dimensions"
            )

    def _vectors(self, texts: Any, kind: Kind) -> list[Any]:
        kept = _kept_by_collection()
        if kept is not None:
            self._refuse_another(kept, self.get_config())
        return list(self._source.encode(checked_texts(texts, kind), kind))

    def _refuse_another(self, old: dict[str, Any], new: dict[str, Any]) -> None:
        if old.get("space") is not None:
            same_space(old["space"], new["space"], new["encoder"] or "the encoder in the box")
        had, have = (each.get("dimensions") or self._source.encoder.dimensions for each in (old, new))
        if had != have:
            raise sestina.BundleIntegrityError(
                f"dimensions is {have}, and the collection was filled with {had}: use as many"
            )


def _kept_by_collection() -> dict[str, Any] | None:
    """What the collection that asks for vectors has kept of its function, where it is one of these.

    Chroma compares the names of a collection's function and of one that is given, no more, and tells a
    function nothing of the collection: so it is looked up who calls.
    """
    frame = sys._getframe(1)
    for _ in range(8):
        if frame.f_back is None:
            return None
        frame = frame.f_back
        collection = frame.f_locals.get("self")
        if isinstance(collection, CollectionCommon):
            stated = (collection.configuration_json or {}).get("embedding_function") or {}
            return stated.get("config") if stated.get("name") == _NAME else None
    return None
