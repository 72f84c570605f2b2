"""What a manifest has besides where the task of its bundle is not embedding, read as strictly."""

from __future__ import annotations

from typing import Any, Protocol, get_args

from sestina._bundle.manifest import LABELLED, RESULTS, Activation, Manifest, is_unicode
from sestina._errors import BundleFormatError


class Reader(Protocol):
    """What reads members of a manifest, and names it and them in errors."""

    where: str

    def member(self, document: object, name: str, kind: type | tuple[type, ...]) -> Any:
        """A member of this type."""

    def choice(self, document: object, name: str, allowed: tuple[str, ...]) -> Any:
        """One of a few words."""

    def count(self, document: object, name: str, least: int) -> int:
        """A whole number."""


_TYPES = "token_type_ids"


def with_task(reader: Reader, manifest: Manifest, document: dict[str, Any]) -> Manifest:
    """The manifest with its task, and what its contract has for that.

    Raises:
        BundleFormatError: Where the task is not known, labels are missing, or a graph takes other inputs.
    """
    manifest = manifest._replace(task=reader.choice(document, "task", tuple(RESULTS)))
    if manifest.task in LABELLED:
        item = document["contract"]
        contract = manifest.contract._replace(
            labels=_labels(reader, item, manifest.contract.dimensions),
            activation=reader.choice(item, "activation", get_args(Activation)),
        )
        manifest = manifest._replace(contract=contract)
    if manifest.task == "sparse" and document["contract"].get("max_active") is not None:
        most = reader.count(document["contract"], "max_active", 1)
        manifest = manifest._replace(contract=manifest.contract._replace(max_active=most))
    for variant in manifest.variants:
        if manifest.token_types != any(each.name == _TYPES for each in variant.inputs):
            raise BundleFormatError(
                f"{reader.where}: {variant.entry.file} {'lacks' if manifest.token_types else 'takes'} the "
                f"input {_TYPES}; graphs of rerank whose encoder has n_token_types do, and no others"
            )
    return manifest


def _labels(reader: Reader, item: dict[str, Any], count: int) -> tuple[str, ...]:
    labels: list[Any] = reader.member(item, "labels", list)
    named = all(isinstance(label, str) for label in labels) and is_unicode(dict.fromkeys(labels, ""))
    if not named or len(set(labels)) != len(labels) or len(labels) != count:
        raise BundleFormatError(
            f"{reader.where}: labels are missing; there must be {count}, each another, in valid Unicode"
        )
    return tuple(labels)
