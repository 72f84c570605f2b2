"""`sestina inspect`: what a bundle says of itself, once its checksums hold."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sestina._bundle.bundle import Bundle
from sestina._bundle.late_interaction import Role
from sestina._bundle.manifest import Manifest, TextContract, Variant
from sestina._cli import arguments, options, printing
from sestina._cli.export import load_exporter

_EPILOG = """\
Every file is checked against its size and SHA-256 first.

Example:
  sestina inspect minilm.sestina
  sestina inspect minilm.sestina --json | jq -r .space
  sestina inspect phone.sestina --check coreml --check qnn

Vectors of two bundles are comparable where their space is equal.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "inspect", "show what a bundle is", _EPILOG)
    arguments.add_arguments(parser)
    parser.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="NAME",
        help="say what a mobile provider will take of it: coreml or nnapi by onnxruntime's usability "
        "checker, qnn on the simulator of onnxruntime-qnn (needs the export extra)",
    )
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the bundle and print its manifest."""
    arguments.take_bundle(args, 0, 0)
    bundle = Bundle(options.bundle_path(args))
    bundle.check(None)
    manifest = bundle.manifest
    checks = _checks(str(bundle.path), args.check)
    if args.json:
        document = _document(str(bundle.path), manifest)
        if args.check:
            document["checks"] = [dataclasses.asdict(each) for each in checks]
        printing.say_json(document)
        return 0
    contract = manifest.contract
    printing.say(manifest.name)
    _table(
        {
            "path": bundle.path,
            "space": manifest.space,
            **_result(manifest),
            **({"prompts": _prompts(contract)} if contract.prompts else {}),
            "licence": manifest.licence or "not stated",
            "size": printing.size(_total(manifest)),
        }
    )
    printing.say("variants")
    _table({variant.entry.file: _summary(variant) for variant in manifest.variants})
    printing.say("files")
    _table({entry.file: printing.size(entry.bytes) for entry in manifest.files})
    printing.say("provenance")
    _table(manifest.provenance)
    for provider in dict.fromkeys(each.provider for each in checks):
        mine = [each for each in checks if each.provider == provider]
        printing.say(f"{provider}, {mine[0].how}: {mine[0].note}")
        _table({f"{each.file} at {each.length} tokens": _taken(each) for each in mine})
    return 0


def _result(manifest: Manifest) -> dict[str, object]:
    """What comes of a text, or of a pair of texts."""
    contract = manifest.contract
    limit = f"{contract.max_tokens} tokens"
    if manifest.task == "embedding":
        return {
            "dimensions": contract.dimensions,
            "limit": limit,
            "pooling": _pooling(contract),
            "similarity": contract.similarity,
            **_further(contract),
        }
    if manifest.task == "sparse":
        kept = (
            {} if contract.max_active is None else {"weights": f"the {contract.max_active} largest of a text"}
        )
        return {
            "task": manifest.task,
            "dimensions": contract.dimensions,
            **kept,
            "limit": limit,
            "similarity": contract.similarity,
        }
    late = contract.late_interaction
    if late is not None:
        return {
            "task": manifest.task,
            "dimensions": f"{contract.dimensions} of each token",
            "query": _role(late.query),
            "document": _role(late.document),
            "similarity": late.similarity,
        }
    return {
        "task": manifest.task,
        "labels": ", ".join(contract.labels),
        "activation": contract.activation,
        "limit": f"{limit} of a query and a document together" if manifest.task == "rerank" else limit,
    }


def _further(contract: TextContract) -> dict[str, object]:
    """What there is of tokens besides."""
    results, rows = contract.results, dict[str, object]()
    if results is not None and results.sparse is not None:
        rows["sparse"] = f"a weight of each of {results.sparse.dimensions} tokens"
    if results is not None and results.multi_vector is not None:
        vectors = results.multi_vector
        rows["multi-vector"] = f"{vectors.dimensions} dimensions of each token; {vectors.similarity}"
    return rows


def _role(role: Role) -> str:
    """How queries or documents are read."""
    parts = [f"{role.max_tokens} tokens"]
    if role.expansion is not None:
        how = "" if role.expansion.attended else ", which are not attended to"
        parts.append(f"filled up to {role.expansion.length} with the token {role.expansion.token}{how}")
    if role.skip:
        parts.append(f"without the vectors of {len(role.skip)} tokens")
    return "; ".join(parts)


def _pooling(contract: TextContract) -> str:
    rest = "" if contract.include_prompt else ", without the tokens of prompts"
    return f"{contract.pooling}, {'normalised' if contract.normalize else 'not normalised'}{rest}"


def _prompts(contract: TextContract) -> str:
    """All in one line, as Python writes their texts."""
    return ", ".join(
        f"{name}: {text!r}{' (default)' if name == contract.default_prompt else ''}"
        for name, text in contract.prompts.items()
    )


def _checks(bundle: str, providers: Sequence[str]) -> list[Any]:
    """What the exporter finds of each provider. It alone has the tools, so it is loaded where asked for."""
    if not providers:
        return []
    exporter, _ = load_exporter()
    return [each for provider in dict.fromkeys(providers) for each in exporter.check(bundle, provider)]


def _taken(check: Any) -> str:
    pieces = "1 partition" if check.partitions == 1 else f"{check.partitions} partitions"
    rest = ", ".join(f"{count} {operator}" for operator, count in check.not_taken.items())
    return f"{check.taken} of {check.nodes} nodes in {pieces}" + (f"; not {rest}" if rest else "")


def _document(path: str, manifest: Manifest) -> dict[str, Any]:
    variants = [
        {
            "file": variant.entry.file,
            "target": variant.target,
            "precision": variant.precision,
            "shapes": variant.shapes,
            "bytes": variant.entry.bytes,
            "sha256": variant.entry.sha256,
            "weights": [entry._asdict() for entry in variant.weights],
            "tolerance": variant.tolerance,
            "parity": dict(variant.parity),
        }
        for variant in manifest.variants
    ]
    return {
        "path": path,
        "name": manifest.name,
        "space": manifest.space,
        **_contract(manifest),
        "prompts": dict(manifest.contract.prompts),
        "licence": manifest.licence,
        "bytes": _total(manifest),
        "encoder": dict(manifest.encoder),
        "variants": variants,
        "files": [entry._asdict() for entry in manifest.files],
        "provenance": dict(manifest.provenance),
    }


def _contract(manifest: Manifest) -> dict[str, Any]:
    """As the manifest has it: what only other tasks have is absent where a bundle embeds."""
    contract = manifest.contract._asdict()
    for name in ("late_interaction", "results"):
        if contract[name] is not None:
            contract[name] = contract[name].to_dict()
    further = () if contract["results"] is None else ("results",)
    own = {"embedding": further, "sparse": ("max_active",), "multi-vector": ("late_interaction",)}.get(
        manifest.task, ("labels", "activation")
    )
    others = {"labels", "activation", "max_active", "late_interaction", "results"} - {*own}
    if manifest.task == "multi-vector":
        others |= {"pooling", "similarity"}  # which say nothing there
    task = {} if manifest.task == "embedding" else {"task": manifest.task}
    return {**task, **{name: value for name, value in contract.items() if name not in others}}


def _summary(variant: Variant) -> str:
    parts = [variant.precision, f"for {variant.target}", variant.shapes, printing.size(variant.bytes)]
    return ", ".join([*parts, printing.agreement(variant.parity)])


def _total(manifest: Manifest) -> int:
    return sum(entry.bytes for entry in manifest.all_files)


def _table(rows: Mapping[str, object]) -> None:
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        shown = "none" if value is None else printing.one_line(str(value))
        printing.say(f"  {printing.one_line(name):<{width}}  {shown}")
