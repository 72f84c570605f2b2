"""Options that several commands have, each defined and explained once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sestina._bundle.default import default_bundle
from sestina._errors import BundleNotFoundError, OptionError

if TYPE_CHECKING:
    from sestina._encoder import Encoder
    from sestina._loaded import Reloading
    from sestina._providers.request import ProviderArgument

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def new_parser(subparsers: Subparsers, name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
    """A command's parser. `summary` begins with a verb; `epilog` teaches, by example first."""
    return subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # an abbreviation that works today may be ambiguous tomorrow
    )


def bundle_path(args: argparse.Namespace) -> Path:
    """The bundle that was named, or the embedded one.

    Raises:
        BundleNotFoundError: Where there is none embedded, or no file system could hold that path.
    """
    try:
        os.fsencode(args.bundle or "")
    except UnicodeEncodeError:
        raise BundleNotFoundError(f"there is no bundle at {args.bundle!r}: it has a lone surrogate") from None
    return Path(default_bundle() if args.bundle is None else args.bundle)


def add_json(parser: argparse.ArgumentParser, what: str = "print one JSON document") -> None:
    """`--json`, for programs that read."""
    parser.add_argument("--json", action="store_true", help=what)


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """How the bundle runs."""
    group = parser.add_argument_group("how it runs")
    group.add_argument(
        "--provider",
        default="auto",
        metavar="NAMES",
        help="auto (default), or names in order of preference, each with its options if any: "
        'qnn:soc_model=57:htp_arch=75,cpu or openvino:load_config={"CPU":{"NUM_STREAMS":"2"}} '
        "(see sestina providers)",
    )
    group.add_argument("--precision", default="auto", metavar="NAME", help="auto (default), fp32, ...")
    group.add_argument("--threads", type=int, metavar="N", help="default: the physical cores allowed")
    group.add_argument("--max-memory-mb", type=int, metavar="MB", help="ceiling for working memory, in MiB")
    group.add_argument("--strict", action="store_true", help="only what --provider names, and all of it")
    group.add_argument("--cache-dir", metavar="DIR", help="where providers may keep what they compiled")


def add_prompt(parser: argparse.ArgumentParser, what: str = "every text", option: str = "prompt") -> None:
    """What is put before texts."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        f"--{option}",
        metavar="NAME",
        help=f"the prompt of the bundle to put before {what} (see sestina inspect)",
    )
    group.add_argument(f"--{option}-text", metavar="PROMPT", help='the same as it is, such as "query: "')


def add_vectors(parser: argparse.ArgumentParser) -> None:
    """What the vectors are to be."""
    parser.add_argument("--dimensions", type=int, metavar="N", help="keep only the first N dimensions")
    add_on_truncate(parser)
    parser.add_argument(
        "--on-empty",
        choices=("zero", "warn", "error"),
        help="where a text has no token of its own, or is white space alone: a zero vector, the same with a "
        "warning, or refuse it (default: the vector that the model gives it)",
    )


def add_on_truncate(parser: argparse.ArgumentParser) -> None:
    """What becomes of texts that are too long."""
    parser.add_argument(
        "--on-truncate",
        default="warn",
        choices=("error", "warn", "ignore"),
        help="where a text is longer than the bundle reads: refuse it, warn (default) or say nothing",
    )


def add_on_null(parser: argparse.ArgumentParser) -> None:
    """What becomes of texts that are not there."""
    parser.add_argument(
        "--on-null",
        default="error",
        choices=("error", "zero"),
        help="where a text is null, in JSON or in a table: refuse it (default), or a zero vector",
    )


def add_in(parser: argparse.ArgumentParser, what: str) -> None:
    """Where the texts are that are put in an order, and how many of them to show."""
    parser.add_argument("--in", dest="files", metavar="FILE", required=True, action="append", help=what)
    add_text_file(parser)
    parser.add_argument("--top", type=int, default=10, metavar="K", help="how many to show (default 10)")


def add_text_file(parser: argparse.ArgumentParser) -> None:
    """Where in a file the texts are."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--field",
        metavar="NAME",
        help="the file is JSONL, or a JSON array (.json): read this field of each object; a.b is the field b "
        "of the field a, where none is called so",
    )
    group.add_argument(
        "--column",
        metavar="NAME_OR_NUMBER",
        help="the file is a table (.parquet, .arrow), or else CSV: read this column, by its name; of CSV "
        "that is in the first row, or its number counted from 1 (then the first row is a text like the "
        "others)",
    )
    parser.add_argument(
        "--delimiter",
        metavar="CHARACTER",
        help="what stands between columns of CSV (default: told by the first rows); \\t is a tab",
    )


def open_encoder(args: argparse.Namespace) -> Encoder:
    """Load the bundle as the options say."""
    from sestina._load import load

    return load(bundle_path(args), **runtime_options(args))


def open_any(args: argparse.Namespace) -> Reloading:
    """The same of a bundle of any task."""
    from sestina._loaders import load_any

    return load_any(bundle_path(args), **runtime_options(args))


def runtime_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_runtime` takes, as `load` takes it."""
    return {
        "provider": _providers(args.provider),
        "precision": args.precision,
        "threads": args.threads,
        "max_memory_mb": args.max_memory_mb,
        "strict": args.strict,
        "cache_dir": args.cache_dir,
    }


def _providers(value: str) -> ProviderArgument:
    """`--provider` as `load` takes it.

    Raises:
        OptionError: Where an option has no value.
    """
    if not set(value) & {",", ":"}:
        return value
    providers: list[str | tuple[str, Mapping[str, object]]] = []
    for entry in _parts(value, ","):
        name, *pairs = _parts(entry.strip(), ":")
        for pair in pairs:
            if "=" not in pair:
                raise OptionError(f"--provider has the option {pair!r}; write it as {name}:OPTION=VALUE")
        providers.append((name, dict(pair.split("=", 1) for pair in pairs)) if pairs else name)
    return providers


def _parts(value: str, separator: str) -> list[str]:
    """What lies between separators, but for those inside braces: an option may be a JSON object."""
    parts, depth = [""], 0
    for character in value:
        depth += (character == "{") - (character == "}")
        if character == separator and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def at_least_one(value: int, option: str) -> int:
    """A count that must be positive.

    Raises:
        OptionError: Where it is not.
    """
    if value < 1:
        raise OptionError(f"{option} is {value}; it must be at least 1")
    return value
