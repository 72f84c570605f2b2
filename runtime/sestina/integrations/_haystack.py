"""What our components of Haystack share: being kept in a pipeline, and its documents as texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sestina
from sestina.integrations._bundle import BundleSource
from sestina.integrations._host import Host

with Host("haystack-ai"):
    from haystack import Document, default_from_dict


class Kept:
    """A component that a pipeline keeps by the place of its bundle and the space."""

    _source: BundleSource

    def warm_up(self) -> None:
        """Load the bundle, which the first run would do.

        Raises:
            BundleIntegrityError: Where the bundle is of another space.
            OptionError: Where it is of another task, or an option is not for it.
            SestinaError: As `sestina.load`.
        """
        _ = self._source.loaded

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """It again, from what a pipeline has kept."""
        return default_from_dict(cls, data)


def texts_of(documents: Sequence[Any], fields: Sequence[str], separator: str) -> list[str]:
    """What is read of documents.

    Args:
        documents: Of Haystack.
        fields: Names of metadata that stand before the content, where a document has them.
        separator: Between these and the content.

    Raises:
        TextTypeError: Where one is no document; the message says which.
    """
    texts = []
    for each in checked_documents(documents):
        before = [str(each.meta[name]) for name in fields if each.meta.get(name) is not None]
        texts.append(separator.join([*before, each.content or ""]))
    return texts


def each_once(documents: Sequence[Any]) -> list[Any]:
    """Of documents of one id, as several retrievers find them, the one with the highest score.

    Raises:
        TextTypeError: Where one is no document; the message says which.
    """
    found: dict[str, Any] = {}
    for each in checked_documents(documents):
        before = found.setdefault(each.id, each)
        if _score(each) > _score(before):
            found[each.id] = each
    return list(found.values())


def checked_documents(documents: Sequence[Any]) -> Sequence[Any]:
    """Documents, none of them anything else.

    Raises:
        TextTypeError: Where one is no document; the message says which.
    """
    for at, each in enumerate(documents):
        if not isinstance(each, Document):
            raise sestina.TextTypeError(
                f"document {at} is {type(each).__name__}; it must be a Document of Haystack"
            )
    return documents


def _score(document: Any) -> float:
    return -math.inf if document.score is None else float(document.score)
