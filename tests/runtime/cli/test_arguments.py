"""Which argument is the bundle and which are texts: never a path for a text, nor a pipe that is dropped."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import sestina
from sestina._cli import files
from sestina._cli.arguments import looks_like_path

Cli = Callable[..., Any]  # the fixture of conftest.py


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a folder of models, a file of texts and a file without a suffix."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my models" / "minilm-l6").mkdir(parents=True)
    (tmp_path / "passages.txt").write_text("a text\n")
    (tmp_path / "Makefile").write_text("all:\n")
    return tmp_path


def sestina_command(*argv: object, script: str = '"$@"') -> subprocess.CompletedProcess[bytes]:
    """`script` in a shell, where "$@" is the command."""
    command = [sys.executable, "-m", "sestina", *map(str, argv)]
    return subprocess.run(["sh", "-c", script, "sh", *command], check=False, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    "argument",
    ["models/minilm", "./minilm", "../minilm/", "/nowhere", "~/minilm", "minilm.sestina", "tokenizer.json",
     "pasages.txt", "vectors.npy", "my models/minilm", "my models", "my minilm.sestina", "Makefile", ".", "texts.tsv",
     "a.parquet", "A.ARROW", "docs.jsonl.gz", "texts.txt.zst"],
)  # fmt: skip
def test_what_is_written_as_a_path_is_one(argument: str) -> None:
    assert looks_like_path(argument)


@pytest.mark.parametrize(
    "argument",
    ["", "a", "the model", "minilm", "Mr. Smith", "either / or", "and/or is a phrase", "see /etc/passwd please",
     "https://example.com/a/b", "what is tokenizer.json?", "/ is the root", "naïve café", "x" * 5000, "a\0b",
     "word/" * 2000 + "a text/word", "a text/" + "b" * 300 + "/c",
     "\\alpha", "1.5", "...", "a.gz", "my a.parquet", "look at minilm/tokenizer.json or so"],
)  # fmt: skip
def test_what_is_a_text_is_one(argument: str) -> None:
    assert not looks_like_path(argument)


COMMANDS = {
    "encode": ("encode", "{}"),
    "encode before a text": ("encode", "{}", "a text"),
    "similar": ("similar", "{}", "a", "b"),
    "tokenize": ("tokenize", "{}", "a text"),
    "tokenize alone": ("tokenize", "{}"),
    "search": ("search", "{}", "--in", "passages.txt"),
    "search before a text": ("search", "{}", "a text", "--in", "passages.txt"),
    "explain": ("explain", "{}"),
    "explain before a text": ("explain", "{}", "a text"),
}


@pytest.mark.parametrize("path", ["models/minilm", "./minilm.sestina"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_path_with_nothing_there_is_refused(cli: Cli, command: tuple[str, ...], path: str) -> None:
    outcome = cli(*[word.format(path) for word in command], stdin=b"piped\n")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert Path(path).name in outcome.err
    assert not Path("explain.html").exists()


def test_the_way_out_is_named_and_works(cli: Cli, encoder: sestina.Encoder, bundle: Path) -> None:
    refused = cli("encode", "models/minilm")
    assert refused.err.endswith("check the path, or put -- before it if it is a text\n")
    outcome = cli("encode", bundle, "--dimensions", "32", "--", "models/minilm", "passages.txt")
    assert [line["text"] for line in outcome.lines] == ["models/minilm", "passages.txt"]
    np.testing.assert_array_equal(np.float32(outcome.lines[1]["vector"]), encoder.encode("passages.txt"))
    assert cli("tokenize", bundle, "--", bundle).err == ""
    assert cli("similar", bundle, "--", "and/or", "and/or").out == "1.0000\n"


def test_what_comes_after_the_dashes_is_never_the_bundle(cli: Cli) -> None:
    outcome = cli("tokenize", "--", "my models", "a text", "--json")
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == 6
    refused = cli("search", "--in", "passages.txt", "--", "my models", "a text")
    assert refused.err.startswith("sestina: error: search takes [BUNDLE] QUERY, not 2 arguments")


def test_dashes_may_be_the_value_of_an_option(
    cli: Cli, encoder: sestina.Encoder, bundle: Path, tmp_path: Path
) -> None:
    """Before Python 3.13 argparse takes them away, and gives an empty list."""
    (line,) = cli("encode", bundle, "a text", "--prompt-text=--").lines
    wanted = encoder.encode("a text", prompt_text="--")
    np.testing.assert_allclose(np.float32(line["vector"]), wanted, atol=1e-6)
    output = tmp_path / "new.npy"
    for option, said in (
        ("--shard-rows", "argument --shard-rows: invalid int value: '--'"),
        ("--on-empty", "argument --on-empty: invalid choice: '--'"),
        ("--vector-column", None),
        ("--input", "TEXT arguments and --input exclude each other"),
    ):
        outcome = cli("encode", bundle, "a text", f"{option}=--", "--output", output)
        assert outcome.code == (0 if said is None else 2)
        assert outcome.err.startswith("" if said is None else f"sestina: error: {said}")


def test_commands_without_texts_take_a_bundle_anywhere(cli: Cli, bundle: Path) -> None:
    assert cli("verify", "--", bundle).code == 0


def test_the_name_of_a_file_is_not_encoded_for_its_texts(cli: Cli, bundle: Path) -> None:
    for given in (("passages.txt",), (bundle, "passages.txt")):
        outcome = cli("encode", *given)
        assert (outcome.code, outcome.out) == (2, "")
        assert "pass --input passages.txt to encode its texts" in outcome.err
    assert cli("encode", bundle, "Makefile").lines[0]["text"] == "Makefile"


class TestPipe:
    """A pipe with something in it is not dropped for what may be a mistyped bundle."""

    SAID = b"is a TEXT argument, and texts come through standard input too"

    @pytest.mark.parametrize(
        "script",
        [
            'printf "a\\nb\\n" | "$@"',
            '(sleep 0.05; printf "a\\nb\\n"; sleep 5) | "$@"',  # begins while the bundle is loaded
            '"$@" <passages.txt',
        ],
    )
    def test_a_text_and_a_pipe(self, script: str) -> None:
        done = sestina_command("encode", "minilm", script=script)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
        assert self.SAID in done.stderr

    @pytest.mark.parametrize(
        "script",
        [
            '"$@" </dev/null',
            '"$@" <&-',
            ': | "$@"',
            'while read -r line; do "$@"; done <passages.txt',
            'sleep 3 | "$@"',  # open, and silent
        ],
    )
    def test_a_text_alone(self, script: str) -> None:
        done = sestina_command("encode", "a text", script=script)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.startswith(b'{"text": "a text"')

    def test_after_dashes_standard_input_is_left_alone(self) -> None:
        done = sestina_command(
            "encode",
            "--no-text",
            "--",
            "line",
            script='printf "a\\nb\\n" | while read -r line; do "$@"; done',
        )
        assert (done.returncode, done.stderr, done.stdout.count(b"\n")) == (0, b"", 2)

    def test_a_file_given_by_name_goes_before_a_pipe(self, bundle: Path) -> None:
        done = sestina_command("encode", bundle, "--input", "passages.txt", script='echo piped | "$@"')
        assert (done.returncode, done.stdout.count(b"a text")) == (0, 1)

    def test_a_terminal(self) -> None:
        pty = pytest.importorskip("pty")
        controller, terminal = pty.openpty()
        os.write(controller, b"typed ahead\n")
        done = subprocess.run(
            [sys.executable, "-m", "sestina", "encode", "a text"],
            check=False, stdin=terminal, capture_output=True, timeout=60,
        )  # fmt: skip
        os.close(controller)
        os.close(terminal)
        assert (done.returncode, done.stderr) == (0, b"")

    @pytest.mark.parametrize("waiting", [0, 3, None])
    def test_a_pipe_of_windows(self, monkeypatch: pytest.MonkeyPatch, waiting: int | None) -> None:
        """With stand-ins for what only Windows has."""
        reading, writing = os.pipe()

        def peek(handle: int, size: int) -> tuple[int, int]:
            assert (handle, size) == (reading + 1000, 0)
            if waiting is None:
                raise BrokenPipeError("the writer is gone")
            return waiting, 0

        modules = {
            "msvcrt": SimpleNamespace(get_osfhandle=lambda descriptor: descriptor + 1000),
            "_winapi": SimpleNamespace(PeekNamedPipe=peek),
        }
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        with os.fdopen(reading) as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            monkeypatch.setattr(files, "os", SimpleNamespace(name="nt"))
            assert files.stdin_has_data() is bool(waiting)
        os.close(writing)


def test_a_bundle_behind_a_closed_door_is_not_said_to_be_absent(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behind_the_door(look: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any, *arguments: Any, **options: Any) -> Any:
            if os.fspath(path).startswith("closed/"):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return look(path, *arguments, **options)

        return called

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, behind_the_door(getattr(os, name)))
    outcome = cli("encode", "closed/minilm.sestina", "a")
    assert outcome.code == 2
    assert outcome.err == (
        "sestina: error: closed/minilm.sestina may not be read by this user: check its permissions\n"
    )
