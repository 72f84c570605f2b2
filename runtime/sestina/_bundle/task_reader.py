"""What a manifest has besides where the task of its bundle is not embedding, read as strictly."""

from __future__ import annotations

from typing import Any, Protocol, get_args

from sestina._bundle.late_interaction import LateInteraction
from sestina._bundle.manifest import LABELLED, RESULTS, Activation, Manifest
from sestina._bundle.unicode import is_unicode
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


_TYPES, _ATTENDED = "token_type_ids", "attended"
_SIMILARITIES = ("maxsim", "meanmaxsim")
_MOST = (1 << 31) - 1


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
    late = None
    if manifest.task == "multi-vector":
        late = _late(reader, document["contract"], manifest)
        manifest = manifest._replace(contract=manifest.contract._replace(late_interaction=late))
    for variant in manifest.variants:
        apart = late is not None and late.attends_apart and variant.shapes == "dynamic"
        if apart != any(each.name == _ATTENDED for each in variant.inputs):
            raise BundleFormatError(
                f"{reader.where}: {variant.entry.file} {'lacks' if apart else 'takes'} the input "
                f"{_ATTENDED}; graphs of dynamic shapes whose queries have tokens that are not attended to "
                "do, and no others"
            )
        if manifest.token_types != any(each.name == _TYPES for each in variant.inputs):
            raise BundleFormatError(
                f"{reader.where}: {variant.entry.file} {'lacks' if manifest.token_types else 'takes'} the "
                f"input {_TYPES}; graphs of rerank whose encoder has n_token_types do, and no others"
            )
    return manifest


def _late(reader: Reader, item: dict[str, Any], manifest: Manifest) -> LateInteraction:
    late: dict[str, Any] = reader.member(item, "late_interaction", dict)
    reader.choice(late, "similarity", _SIMILARITIES)
    for name in ("query", "document"):
        role: dict[str, Any] = reader.member(late, name, dict)
        limit = reader.count(role, "max_tokens", 1)
        skip: list[Any] = reader.member(role, "skip", list)
        if limit > manifest.contract.max_tokens:
            raise BundleFormatError(
                f"{reader.where}: the max_tokens of a {name} is {limit}, above the contract's "
                f"{manifest.contract.max_tokens}"
            )
        if not all(type(each) is int and 0 <= each <= _MOST for each in skip) or len(set(skip)) != len(skip):
            raise BundleFormatError(f"{reader.where}: skip of a {name} must be different ids")
        if role.get("expansion") is None:
            continue
        expansion: dict[str, Any] = reader.member(role, "expansion", dict)
        length = reader.count(expansion, "length", 1)
        reader.count(expansion, "token", 0)
        reader.member(expansion, "attended", bool)
        if name == "document" or length > limit:
            raise BundleFormatError(
                f"{reader.where}: only a query has an expansion, whose length is at most its max_tokens"
            )
    if manifest.contract.default_prompt is not None or not manifest.contract.include_prompt:
        raise BundleFormatError(
            f"{reader.where}: a bundle of the task multi-vector has no default_prompt, and include_prompt "
            "is true"
        )
    if others := set(manifest.contract.prompts) - {"query", "document"}:
        raise BundleFormatError(
            f"{reader.where}: prompts has {min(others)!r:.60}; the task multi-vector has query and document"
        )
    return LateInteraction.from_dict(late)


def _labels(reader: Reader, item: dict[str, Any], count: int) -> tuple[str, ...]:
    labels: list[Any] = reader.member(item, "labels", list)
    named = all(isinstance(label, str) for label in labels) and is_unicode(dict.fromkeys(labels, ""))
    if not named or len(set(labels)) != len(labels) or len(labels) != count:
        raise BundleFormatError(
            f"{reader.where}: labels are missing; there must be {count}, each another, in valid Unicode"
        )
    return tuple(labels)
