"""`sestina encode` with a sparse bundle: the same texts, and tokens with weights for vectors."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING, Any, cast

from sestina._cli import arguments, formats, options, printing
from sestina._errors import OptionError

if TYPE_CHECKING:
    from sestina._cli.sparse_files import NpzWriter, SparseJsonlWriter

# What is said of vectors that have a number for each dimension, and what it is where nobody says it.
_DENSE = {"dimensions": None, "output_dtype": "float32", "vector_column": "vector"}


def task_of(args: argparse.Namespace) -> str:
    """What the bundle that was named is for.

    Raises:
        BundleError: Where it cannot be read.
    """
    if args.bundle is None:
        return "embedding"
    from sestina._bundle.bundle import Bundle

    with contextlib.closing(Bundle(options.bundle_path(args))) as bundle:
        return bundle.manifest.task


def check_options(args: argparse.Namespace, task: str) -> None:
    """Refuse what is for vectors of the other kind.

    Raises:
        OptionError: Where there is such an option.
    """
    if task != "sparse":
        if args.max_active is not None:
            raise OptionError(
                f"--max-active is for sparse bundles, and this one is of the task {task}: leave it out"
            )
        return
    for name, usual in _DENSE.items():
        if getattr(args, name) != usual:
            option = name.replace("_", "-")
            raise OptionError(
                f"--{option} is for bundles that embed, and this one is of the task sparse: leave it out"
            )
    if args.max_active is not None:
        options.at_least_one(args.max_active, "--max-active")


def to_file(args: argparse.Namespace, form: str, texts: Any, total: int | None) -> dict[str, Any]:
    """Everything into one file or to standard output; what is to be said of it."""
    from sestina._cli.destination import destination
    from sestina._cli.encoding import encode_each

    with destination(args.output) as out, options.open_any(args) as loaded:
        arguments.check_stdin(args)  # once more: a slow writer has had time to begin
        encoder: Any = loaded
        if args.max_active is not None and args.max_active > encoder.dimensions:
            raise OptionError(
                f"--max-active is {args.max_active}; it must be at most {encoder.dimensions}, the tokens "
                "that there are"
            )
        encoder.encode([], max_active=args.max_active, prompt=args.prompt, prompt_text=args.prompt_text)
        report = encoder.report()
        bar = printing.show_bar(stdout_used=args.output is None)
        with contextlib.closing(_writer(out, form, args, encoder.dimensions, report.space)) as writer:
            asked, take = {"max_active": args.max_active}, cast("Any", writer.add)
            count = encode_each(encoder, texts, take, args, asked=asked, total=total, bar=bar)
            writer.finish()
    facts = {"dimensions": str(encoder.dimensions), "space": report.space, "dtype": "float32"}
    return {**formats.told(args, form, count, facts), "weights": writer.weights}


def _writer(
    out: Any, form: str, args: argparse.Namespace, dimensions: int, space: str
) -> NpzWriter | SparseJsonlWriter:
    from sestina._cli.sparse_files import NpzWriter, SparseJsonlWriter

    if form == "npz":
        return NpzWriter(out, dimensions, space)
    return SparseJsonlWriter(out, with_text=not args.no_text)
