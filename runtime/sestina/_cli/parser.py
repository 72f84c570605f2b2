"""The whole command line: which commands there are, and how arguments reach them."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import sestina
from sestina._cli import (
    bench,
    encode,
    explain,
    export,
    inspect,
    printing,
    providers,
    rerank,
    search,
    similar,
    tokenize,
    verify,
)
from sestina._errors import ProviderWarning, TruncationWarning

# In the order of `sestina --help`. Each module has `add_parser(subparsers)`, which sets the default
# `run`: a function from the parsed arguments to the exit code.
_COMMANDS = (export, encode, similar, search, rerank, tokenize, explain, verify, inspect, providers, bench)

_EPILOG = """\
A first tour:
  pip install "sestina[export]"
  sestina export path/to/checkpoint minilm.sestina
  sestina verify minilm.sestina
  sestina search minilm.sestina "how do plants eat?" --in passages.txt

Facts go to standard output, messages to standard error. Exit codes:
  0    success
  1    verification failed: this machine does not reproduce the bundle's goldens
  2    bad usage or bad input; one line says what and how to fix it
  70   a defect of sestina; SESTINA_DEBUG=1 in the environment shows where
  130  interrupted (141: the reader of a pipe went away)
SIGTERM and SIGHUP end a command as they end any program, once it has removed what it half wrote.
"""


class _Parser(argparse.ArgumentParser):
    def _print_message(self, message: str, file: object = None) -> None:  # noqa: ARG002
        """Help and version, whose failures argparse itself would pass over."""
        if message:
            printing.write(message.removesuffix("\n"))

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """The value of `--option=--` is "--": before Python 3.13 argparse takes it away, and gives a list."""
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """One line, as for every other error."""
        printing.error(f"{message} (see {self.prog} --help)")
        raise SystemExit(2)


def run(argv: Sequence[str] | None) -> int:
    """Parse the arguments and run the command.

    Returns: the exit code.
    """
    try:
        args = _parse(argv)
    except SystemExit as stop:  # --help, --version, bad usage
        return int(stop.code or 0)
    with warnings.catch_warnings():
        for kind in (TruncationWarning, ProviderWarning):
            warnings.simplefilter("always", kind)
        warnings.showwarning = lambda message, *_, **__: printing.warning(str(message))
        code: int = args.run(args)
    return code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="sestina",
        description="Text to vectors, without PyTorch: export an encoder once, verify it, run it anywhere.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sestina {sestina.__version__}")
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", prog="sestina", required=True
    )
    for command in _COMMANDS:
        command.add_parser(subparsers)
    given = list(sys.argv[1:] if argv is None else argv)
    chosen = subparsers.choices.get(next((word for word in given if not word.startswith("-")), ""))
    dashed: list[str] = []
    if chosen is not None and chosen.get_default("shape") and "--" in given:
        at = given.index("--")
        given, dashed = given[:at], given[at + 1 :]
    args, rest = parser.parse_known_args(given)
    args.dashed = dashed  # are texts, whatever they look like
    if rest:
        # argparse takes positional arguments up to the first option only; they may also come after it.
        unknown = [word for word in rest if word.startswith("-")]
        if not hasattr(args, "arguments") or unknown:
            hint = "; put -- before a text that begins with a dash" if hasattr(args, "arguments") else ""
            subparsers.choices[args.command].error(
                f"unrecognized arguments: {' '.join(unknown or rest)}{hint}"
            )
        args.arguments += rest
    return args
