"""`sestina providers`: what this machine has, what each would run of a bundle, and why not the others."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from sestina._cli import arguments, options, printing
from sestina._errors import OptionError

_EPILOG = """\
Each provider is looked for, with its device, and tried: the bundle's variants are opened on it, their nodes
counted and goldens run, in a process of its own that may crash or hang.

Examples:
  sestina providers
  sestina providers minilm.sestina
  sestina providers minilm.sestina --json | jq '.providers[] | select(.runs) | .name'

--markdown prints what Sestina knows of every provider, as the table of docs/providers.md.
"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "providers", "show what this machine can run on", _EPILOG)
    arguments.add_arguments(parser)
    parser.add_argument("--precision", default="auto", metavar="NAME", help="auto (default), fp32, ...")
    parser.add_argument(
        "--seconds", type=float, default=300.0, metavar="N", help="time for each provider (default: 300)"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--json", action="store_true", help="print one JSON document")
    group.add_argument("--markdown", action="store_true", help="print the table of docs/providers.md")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look for every provider, or try it, and print what was found."""
    if args.markdown:
        for line in markdown():
            printing.say(line)
        return 0
    arguments.take_bundle(args, 0, 0)
    args.bundle = str(options.bundle_path(args))
    if not 0 < args.seconds <= 86400:
        raise OptionError(f"--seconds is {args.seconds:g}; it must be above 0 and at most 86400")
    from sestina._onnxruntime import onnxruntime
    from sestina._providers.choice import check_precision

    check_precision(args.precision)
    found, auto = list(_found(args)), _auto(args)
    if args.json:
        version = str(onnxruntime().__version__)
        document = {"onnxruntime": version, "bundle": args.bundle, "providers": found, "auto": auto}
        printing.say_json(document)
        return 0
    for each in found:
        printing.say(f"{each['name']:<9} {_summary(each)}")
        shown = each["why_not"] if each.get("device") else each["why_not"][1:]
        for why in shown:
            printing.say(f"{'':<9}   {'not ' if each.get('runs') else ''}{why}")
    takes = f"takes {auto['provider']}, {auto['variant']}" if "provider" in auto else auto["why_not"][0]
    printing.say(f"{'auto':<9} {takes}")
    return 0


def _auto(args: argparse.Namespace) -> dict[str, Any]:
    from sestina._trial import try_auto

    printing.step("trying auto")
    return try_auto(args.precision, args.bundle, args.seconds)


def _found(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from sestina._bundle.bundle import Bundle
    from sestina._providers.table import PROVIDERS
    from sestina._trial import try_provider

    Bundle(args.bundle).check(None)  # said once, not by every provider
    for name, provider in PROVIDERS.items():
        printing.step(f"trying {name}")
        facts = {"name": name, "hardware": provider.hardware, "note": provider.note}
        if name == "cpu":
            yield {**facts, **_on_cpu(args)}
        else:
            yield {**facts, **try_provider(name, args.precision, args.bundle, args.seconds)}


def _on_cpu(args: argparse.Namespace) -> dict[str, Any]:
    from sestina._errors import ProviderError
    from sestina._loaders import load_any

    outcome: dict[str, Any] = {"here": True, "device": "CPU", "version": "", "why_not": []}
    try:
        with load_any(args.bundle, provider="cpu", precision=args.precision, strict=True) as encoder:
            report, verified = encoder.report(), encoder.verify()
    except (OptionError, ProviderError) as error:
        return {**outcome, "why_not": [str(error)]}
    if not verified.passed:
        why = f"its goldens are {verified.worst_error:.2g} from PyTorch's, or have other token ids"
        return {**outcome, "why_not": [why]}
    outcome["runs"] = {
        "variant": report.variant,
        "precision": report.precision,
        "share": report.share,
        "nodes": sum(sum(operators.values()) for operators in report.placement.values()),
        "partitions": report.partitions,
        "fell_back": report.fell_back,
        "probe_error": verified.worst_error,
        "tolerance": verified.tolerance,
        "first_run_ms": None,
    }
    return outcome


def _summary(found: dict[str, Any]) -> str:
    runs = found.get("runs")
    if not found.get("device"):
        return f"{'installed, but' if found['here'] else 'not here:'} {found['why_not'][0]}"
    device = f"{found['device']}{f' (version {version})' if (version := found['version']) else ''}"
    if runs is None:
        return f"here: {device}" + (", runs none of it:" if found["why_not"] else "")
    count = runs["partitions"]
    parts = "" if count > runs["share"] * runs["nodes"] - 1 > 0 else f" in {count} part{'s' * (count != 1)}"
    first = "" if runs["first_run_ms"] is None else f", first run {runs['first_run_ms']:.3g} ms"
    left = ", ".join(f"{count} {name}" for name, count in runs["fell_back"].items())
    return (
        f"runs {runs['variant']} on {device}: {runs['share']:.0%} of {runs['nodes']} nodes{parts}"
        f"{f' (the CPU has {left})' if left else ''}, goldens within {runs['probe_error']:.2g} of PyTorch "
        f"(tolerance {runs['tolerance']:.2g}){first}"
    )


def markdown() -> Iterator[str]:
    """The table of providers, from the data that everything else uses."""
    from sestina._providers.table import PROVIDERS

    yield "| provider | computes on | comes with | runs, best first | shapes | tried | note |"
    yield "|---|---|---|---|---|---|---|"
    for provider in PROVIDERS.values():
        wanted = ", ".join(f"{each.target} {'/'.join(each.precisions)}" for each in provider.wanted)
        yield (
            f"| `{provider.name}` | {provider.hardware} | {provider.install} | {wanted} | "
            f"{' or '.join(provider.shapes)} | {provider.proof} | {provider.note} |"
        )
