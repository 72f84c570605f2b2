"""`python -m sestina.integrations.ray`: its arguments, what it says, and how it ends."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from sestina import OptionError, SestinaError
from sestina.integrations._ray.cluster import leave
from sestina.integrations._ray.job import run
from sestina.integrations._ray.pipeline import Job

_EPILOG = """\
INPUT is a Parquet file or a directory of them, with a column of texts and one of ids that are unique;
OUTPUT is a directory of Parquet that appears when it is whole, with all columns of the input and one of
vectors. Both lie on a file system that every node has. Until OUTPUT is whole, everything is in
OUTPUT.unfinished: run the same command again after whatever stopped it, and it goes on.
"""

_ADVICE = re.compile(r"\bon_(truncate|null|empty)='(\w+)'(?: or '(\w+)')?")
_SEEN = {
    "truncated": "over the limit and cut",
    "empty": "without a token of their own, of zeros",
    "null": "null, of zeros",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0, or 2 where something that was given cannot be.

    Args:
        argv: Without the name of the program; None: those of this process.
    """
    args = _parser().parse_args(argv)
    try:
        for name in ("encoders", "encoder_cpus", "block_rows", "dimensions"):
            value = getattr(args, name)
            if value is not None and value < 1:
                raise OptionError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
        # Ray prints of its own accord.
        with _hushed() if args.quiet else contextlib.redirect_stdout(sys.stderr):
            try:
                told = run(_job(args))
            finally:
                leave()
    except SestinaError as error:
        print(f"sestina: error: {_in_options(str(error))}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("sestina: interrupted; run it again to go on", file=sys.stderr)  # noqa: T201
        return 130
    if args.on_empty == "warn" and told["empty"]:
        what = f"{_texts(told['empty'])} empty, of zeros, which say nothing: keep them out of a store"
        print(f"sestina: warning: {what}", file=sys.stderr)  # noqa: T201
    print(json.dumps(told) if args.json else _sentence(told))  # noqa: T201
    return 0


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Inside the block only what is ours gets to standard error.

    Ray writes there from C++, whatever its loggers are set to: for every pool of actors that their arguments
    are in its object store, which is where Ray Data puts them.
    """
    if sys.stderr is None:  # closed, as its descriptor is
        yield
        return
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    ours: Any = sys.stderr
    if sys.stderr is sys.__stderr__:  # not closed: loggers that are set up in the block keep it
        ours = os.fdopen(os.dup(kept), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        with contextlib.redirect_stderr(ours), contextlib.redirect_stdout(ours):
            yield
    finally:
        ours.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _in_options(message: str) -> str:
    """What an error advises of arguments, as the options of this command."""

    def option(found: re.Match[str]) -> str:
        name, value, other = found.groups()
        return f"--on-{name} {value}" + (f" (or {other})" if other else "")

    return _ADVICE.sub(option, message)


def _job(args: argparse.Namespace) -> Job:
    options = {
        name: value
        for name in ("on_truncate", "on_null", "on_empty", "prompt", "prompt_text")
        if (value := getattr(args, name)) is not None
    }
    return Job(
        input=args.input,
        output=args.output,
        column=args.column,
        id_column=args.id,
        vector_column=args.vector_column,
        bundle=args.bundle,
        keep_text=not args.no_text,
        kind=None if args.kind == "none" else args.kind,
        dimensions=args.dimensions,
        precision=args.precision,
        options=options,
        address=args.address,
        encoders=args.encoders,
        encoder_cpus=args.encoder_cpus,
        block_rows=args.block_rows,
        overwrite=args.overwrite,
        progress_seconds=None if args.quiet else 2.0,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sestina.integrations.ray",
        description="Vectors of a Parquet column, by every node of a Ray cluster.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add: Any = parser.add_argument
    add("input", metavar="INPUT", help="a .parquet file, or a directory of them")
    add("output", metavar="OUTPUT", help="the directory to write")
    add("--column", required=True, metavar="NAME", help="of the texts")
    add("--id", required=True, metavar="NAME", help="of ids, integers or text, each of them once")
    add("--bundle", metavar="DIR", help="default: the encoder in the box")
    add("--vector-column", default="vector", metavar="NAME", help="to be written (default vector)")
    add("--no-text", action="store_true", help="leave the texts out of the output")
    add(
        "--kind",
        choices=("document", "query", "none"),
        default="document",
        help="of prompt (default document)",
    )
    add("--prompt", metavar="NAME", help="one of the bundle's prompts instead")
    add("--prompt-text", metavar="TEXT", help="or a prompt as it is")
    add("--dimensions", type=int, metavar="N", help="keep only the first N")
    add("--precision", default="auto", help="of the bundle's; every node uses the same (default auto)")
    add("--on-truncate", choices=("error", "warn", "ignore"), help="over the limit (default warn: counted)")
    add("--on-null", choices=("error", "zero"), help="refuse a null (default), or a zero vector")
    add(
        "--on-empty",
        choices=("zero", "warn", "error"),
        help="where a text has no token of its own: a zero vector (default: counted), the same with a "
        "warning at the end, or refuse it",
    )
    add("--address", help='of the cluster, or "auto"; default: RAY_ADDRESS, else this machine alone')
    add("--encoders", type=int, metavar="N", help="default: as many as there is room for")
    add("--encoder-cpus", type=int, metavar="N", help="CPUs and threads of each (default: a node's but one)")
    add("--block-rows", type=int, metavar="N", help="of a table of the output; default: as fits")
    add("--overwrite", action="store_true", help="replace an output of this command")
    add("--json", action="store_true", help="state what was done as one JSON document")
    add("--quiet", action="store_true", help="no progress")
    return parser


def _sentence(told: dict[str, Any]) -> str:
    what = f"{told['rows']:,} rows of {told['dimensions']} dimensions, space {told['space']}"
    parts = [f"{told['output']}: {what}"]
    if told["encoded"] < told["rows"]:
        parts.append(f"{told['rows'] - told['encoded']:,} were there")
    if told["encoded"]:
        parts.append(
            f"{told['seconds']:,.1f} s, {told['rows_per_second']:,.0f} rows/s, "
            f"{told['tokens_per_second']:,.0f} tokens/s, "
            f"encoders: {told['encoders']} of {told['encoder_cpus']} CPUs"
        )
        again = told["retries"]
        parts.append(
            f"retries: {again['runs_before']} runs before, {again['encoders_restarted']} encoders restarted, "
            f"{again['rows_encoded_again']:,} rows encoded again"
        )
    for key, what in _SEEN.items():
        if told[key]:
            parts.append(f"{_texts(told[key])} {what}")
    return "; ".join(parts)


def _texts(count: int) -> str:
    return f"{count:,} text{'s' * (count != 1)}"
