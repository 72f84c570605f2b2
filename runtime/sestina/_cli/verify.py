"""`sestina verify`: does this machine reproduce what PyTorch made?"""

from __future__ import annotations

import argparse

from sestina._cli import arguments, options, printing

_EPILOG = """\
Every bundle carries goldens: texts with the token ids and vectors that PyTorch gave them. This encodes them
here, with the provider and precision that you would use, and compares.

Example:
  sestina verify minilm.sestina && echo "fit to ship"

Exit code 0 if all agree, 1 if any does not.
"""

_FAILED = 1


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "verify", "check a bundle's goldens on this machine", _EPILOG)
    arguments.add_arguments(parser)
    options.add_json(parser, "print one JSON document, with every golden")
    options.add_runtime(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify and print the outcome."""
    arguments.take_bundle(args, 0, 0)
    with options.open_any(args) as encoder:
        report = encoder.report()
        outcome = encoder.verify()
    failed = [golden for golden in outcome.goldens if not golden.passed]
    if args.json:
        printing.say_json(
            {
                "bundle": report.bundle,
                "name": report.name,
                "variant": report.variant,
                "provider": report.provider,
                "precision": report.precision,
                "half_precision": report.half_precision,
                "passed": outcome.passed,
                "passed_count": len(outcome.goldens) - len(failed),
                "failed_count": len(failed),
                "worst_error": outcome.worst_error,
                "tolerance": outcome.tolerance,
                "goldens": [
                    {
                        "name": golden.name,
                        "passed": golden.passed,
                        "ids_equal": golden.ids_equal,
                        "error": golden.error,
                    }
                    for golden in outcome.goldens
                ],
            }
        )
    else:
        for golden in failed:
            what = "" if golden.ids_equal else "other token ids, "
            printing.say(f"failed: {golden.name} ({what}error {golden.error:.2g})")
        precision = f"{report.precision} in half precision" if report.half_precision else report.precision
        passed = len(outcome.goldens) - len(failed)
        printing.say(
            f"{'passed' if outcome.passed else 'FAILED'}: {passed} goldens passed, {len(failed)} failed; "
            f"worst error {outcome.worst_error:.2g}, tolerance {outcome.tolerance:.2g} "
            f"({report.variant}, {precision} on {report.provider})"
        )
    return 0 if outcome.passed else _FAILED
