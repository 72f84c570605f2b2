"""One provider tried in a process of its own: a driver that crashes or hangs is reported, not suffered.

`python -m sestina._trial NAME PRECISION [BUNDLE]` tries and prints one line of JSON; `try_provider` and
`try_auto` run that and make an outcome of whatever happens.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from sestina._errors import ProviderError, SestinaError
from sestina._providers.attached_provider import attach, is_here
from sestina._providers.request import AUTO, ProviderRequest
from sestina._providers.table import PROVIDERS

_MARK = "sestina-trial: "  # drivers print to standard output too


def try_provider(name: str, precision: str, bundle: str | None, seconds: float) -> dict[str, Any]:
    """What a provider does on this machine.

    Args:
        name: The provider.
        precision: As `load` takes it.
        bundle: What to run; None: only look for the provider and its device.
        seconds: How long the trial may take.

    Returns: {"here": bool, "why_not": [str]} and, where a device was found, "device" and "version"; where it
        runs the bundle, also "runs" with what was measured.
    """
    provider = PROVIDERS[name]
    if not is_here(provider):
        try:
            attach(ProviderRequest(provider, MappingProxyType({})))
        except ProviderError as error:
            return {"here": False, "why_not": [str(error)]}
    return _spawn([name, precision, *([bundle] if bundle else [])], seconds)


def try_auto(precision: str, bundle: str, seconds: float) -> dict[str, Any]:
    """What `provider="auto"` comes to on this machine.

    Returns: {"provider", "variant", "precision"}, or {"why_not": [str]}.
    """
    return _spawn([AUTO, precision, bundle], seconds)


def _spawn(arguments: Sequence[str], seconds: float) -> dict[str, Any]:
    here: dict[str, Any] = {"here": True}
    if not sys.executable:  # in an application that embeds Python
        return {**here, "why_not": ["there is no Python here to try it with"]}
    command = [sys.executable, "-m", "sestina._trial", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            command, capture_output=True, timeout=seconds, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return {**here, "why_not": [f"its trial took longer than {seconds:g} s and was ended"]}
    except OSError as error:
        return {**here, "why_not": [f"its trial cannot be started: {error.strerror or error}"]}
    for line in reversed(done.stdout.decode(errors="replace").splitlines()):
        if line.startswith(_MARK):
            outcome: dict[str, Any] = json.loads(line.removeprefix(_MARK))
            return outcome
    return {**here, "why_not": [_ended(done.returncode, done.stderr)]}


def _ended(code: int, errors: bytes) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return f"its driver crashed in a trial ({name})"
    last = [line for line in errors.decode(errors="replace").splitlines() if line.strip()][-1:]
    return f"its trial ended with code {code}{': ' if last else ''}{''.join(last)[:300]}"


def _try(name: str, precision: str, path: str | None) -> dict[str, Any]:
    """The trial itself."""
    if name == AUTO:
        return _auto(precision, path or "")
    asked = ProviderRequest(PROVIDERS[name], MappingProxyType({}))
    try:
        attachment = attach(asked)
    except ProviderError as error:
        return {"here": True, "why_not": [str(error)]}
    outcome: dict[str, Any] = {"here": True, "device": attachment.device, "version": attachment.version}
    if path is None:
        return {**outcome, "why_not": []}
    from sestina._bundle.bundle import Bundle
    from sestina._bundle.goldens import read_goldens
    from sestina._process.threads import usable_cores
    from sestina._selection.candidate_session import Terms
    from sestina._selection.selection import attempt

    bundle = Bundle(path)
    terms = Terms(usable_cores(), strict=False, goldens=tuple(read_goldens(bundle)), contexts=None)
    accepted, reasons = attempt(bundle, asked, precision, lambda: terms, automatic=False)
    outcome["why_not"] = [reason.removeprefix(f"{name}: ") for reason in reasons]
    if accepted is None:
        return outcome
    placement = accepted.run.placement()
    outcome["runs"] = {
        "variant": accepted.choice.variant.entry.file,
        "precision": accepted.choice.variant.precision,
        "share": placement.share,
        "nodes": sum(sum(operators.values()) for operators in placement.nodes.values()),
        "partitions": placement.partitions,
        "fell_back": placement.fell_back,
        "probe_error": accepted.probe.error,
        "tolerance": accepted.tolerance,
        "first_run_ms": accepted.probe.first_run_ms,
    }
    return outcome


def _auto(precision: str, path: str) -> dict[str, Any]:
    from sestina._loaders import load_any

    with load_any(path, precision=precision) as encoder:
        report = encoder.report()
    return {"provider": report.provider, "variant": report.variant, "precision": report.precision}


def main(argv: Sequence[str]) -> int:
    """Try what the arguments say, and print it."""
    name, precision, *rest = argv
    try:
        outcome = _try(name, precision, rest[0] if rest else None)
    except SestinaError as error:
        outcome = {"here": True, "why_not": [str(error)]}
    sys.stdout.write(f"\n{_MARK}{json.dumps(outcome)}\n")
    sys.stdout.flush()
    # Libraries of drivers have been seen to crash when a process ends; what was to be said has been said.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
