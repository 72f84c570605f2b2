"""Standard streams that are closed, input that never ends, numbers without end: one bounded line and exit code 2."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _unmeasured import unmeasured
from sestina._cli import files, printing, texts

Cli = Callable[..., Any]  # the fixture of conftest.py

NINES = "9" * 5000
on_posix = pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")


@pytest.fixture
def cli_here(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return cli


def refused(outcome: Any) -> str:
    """The one bounded line that a command failed with."""
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("sestina: error: ")
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1
    assert len(outcome.err) <= 1020
    return str(outcome.err)


@on_posix
@pytest.mark.parametrize(
    "arguments, said",
    [
        ("encode --input - <&-", b"standard input cannot be read: it is closed"),
        ("search q --in - <&-", b"standard input cannot be read: it is closed"),
        ("encode <&-", b"there is nothing to encode: give TEXT arguments, --input FILE or a pipe"),
        *[
            (f"{command} >&-", b"standard output cannot be written: it is closed")
            for command in ("--help", "--version", "encode --help", "encode a", "encode a --format npy", "verify",
                            "explain a --output -", "explain a --json", "search q --in texts", "similar a b")
        ],
        ("--help >/dev/full", b"standard output cannot be written: No space left on device"),
    ],
)  # fmt: skip
def test_closed(arguments: str, said: bytes, tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("a text\n")
    done = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m sestina {arguments}"],
        check=False, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"sestina: error: " + said + b"\n")


@on_posix
@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1", "link.npy"])
def test_another_name_of_standard_output_is_standard_output(name: str, tmp_path: Path) -> None:
    """Not descriptor 1 itself, which leads to standard error while a command runs."""
    (tmp_path / "link.npy").symlink_to("/dev/stdout")
    run = [sys.executable, "-m", "sestina"]
    done = subprocess.run(
        [*run, "encode", "a text", "--format", "npy", "--output", name],
        check=False, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert np.load(io.BytesIO(done.stdout)).shape == (1, 512)
    done = subprocess.run(
        [*run, "explain", "a text", "--png", name], check=False, capture_output=True, cwd=tmp_path
    )
    told = f"sestina: error: {name} is standard output, which is told what was written: name a file\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", told)


@on_posix
@pytest.mark.parametrize("limit", [8, 10])
def test_too_few_open_files(limit: int) -> None:
    """Wherever it is that there is none left: in a file of the bundle's, or in the import of a library."""
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n {limit}; '{sys.executable}' -m sestina encode a"],
        check=False, capture_output=True, env=unmeasured(),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"Too many open files" in done.stderr


def test_no_encoding_is_left_to_the_locale() -> None:
    options = ["-W", "error", "-X", "warn_default_encoding", "-bb"]
    done = subprocess.run(
        [sys.executable, *options, "-m", "sestina", "encode", "a"], check=False, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


@on_posix
def test_nothing_else_gets_the_descriptor_of_a_closed_stream(tmp_path: Path) -> None:
    """A library that prints to descriptor 1 would otherwise print into the file that was opened next."""
    code = (
        "import os, sys\n"
        "from sestina._cli import printing\n"
        "printing.prepare()\n"
        "opened = open('out', 'wb')\n"
        "for descriptor in (1, 2): os.write(descriptor, b'chatter')\n"
        "opened.write(b'content')\n"
        "sys.exit(opened.fileno() < 3)\n"
    )
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f"'{sys.executable}' -c \"$0\" {closed}", code], check=False, cwd=tmp_path
        )
        assert done.returncode == 0
        assert (tmp_path / "out").read_bytes() == b"content"


@pytest.mark.parametrize("column", [NINES, "9" * 4000, "9" * 10])
def test_a_column_that_no_row_has(cli_here: Cli, column: str) -> None:
    Path("x.csv").write_text("a,b\n")
    said = refused(cli_here("search", "q", "--in", "x.csv", "--column", column))
    assert said.startswith("sestina: error: --column is 999999999")
    assert said.endswith("; no row has so many columns\n")


def test_numbers_are_ascii_and_may_have_zeros(cli_here: Cli) -> None:
    Path("x.csv").write_text("a,b\n")
    outcome = cli_here("search", "q", "--in", "x.csv", "--column", "0" * 6000 + "2", "--json")
    assert outcome.json["results"][0]["text"] == "b"
    assert "has no column '\u0663'" in refused(cli_here("search", "q", "--in", "x.csv", "--column", "\u0663"))


@pytest.mark.parametrize("value", [NINES, "9" * 4000, "-1", "-" + NINES, "nan", "inf", "1e400", ""])
@pytest.mark.parametrize(
    "command",
    [("encode", "a", "--threads"), ("encode", "a", "--max-memory-mb"), ("encode", "a", "--dimensions"),
     ("providers", "--seconds"), ("bench", "--rounds"), ("bench", "--threads"),
     ("encode", "a", "--provider", "qnn:soc_model={}")],
    ids=" ".join,
)  # fmt: skip
def test_numbers_out_of_any_range(cli_here: Cli, command: tuple[str, ...], value: str) -> None:
    if command == ("bench", "--rounds") and value == "9" * 4000:
        pytest.skip("is a number of rounds")
    argv = [word.format(value) for word in command]
    refused(cli_here(*argv, *([] if command[-1] != argv[-1] else [value])))


PATHS = {
    "a loop of links": "loop",
    "too long": "n" * 5000,
    "a null character": "a\0b",
    "a lone surrogate": "a\ud800",
    "under a file": "file/below",
    "nothing": "nowhere/at-all",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize(
    "command",
    ["encode --input {}", "encode a --output {} --format npy", "search q --in {}", "search q --in {}.npy",
     "search q --in v.npy --texts {}", "explain a --png {}", "explain a --output {}.html --png {}.html",
     "explain a --output {}.json", "bench --html {}", "bench --texts {}", "bench --source {}", "inspect {}", "verify {}",
     "encode ./{} a", "tokenize ./{} a", "export {} out", "export {}/ out.sestina"],
)  # fmt: skip
def test_paths_that_cannot_be(cli_here: Cli, command: str, path: str) -> None:
    Path("loop").symlink_to("loop")
    for suffix in (".npy", ".html", ".json"):
        Path(f"loop{suffix}").symlink_to(f"loop{suffix}")
    Path("file").write_text("")
    np.save("v.npy", np.zeros((1, 512), np.float32))
    before = sorted(path.name for path in Path().iterdir())
    refused(cli_here(*[word.format(path) for word in command.split(" ")]))
    assert sorted(path.name for path in Path().iterdir()) == before


@pytest.mark.parametrize("name", ["pipe.npy", "pipe.NPY"])
def test_an_array_is_no_pipe(cli_here: Cli, name: str) -> None:
    os.mkfifo(name)
    assert "is a pipe or a device" in refused(cli_here("search", "q", "--in", name))


class TestEndless:
    @pytest.mark.parametrize("more", [(), ("--field", "x"), ("--column", "1")])
    def test_a_line(
        self, cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
    ) -> None:
        monkeypatch.setattr(files, "LONGEST_LINE", 1 << 20)
        said = refused(cli("encode", bundle, *more, stdin=b"a" * ((1 << 20) + 1)))
        assert "standard input line 1 is longer than 1 MiB: split it" in said

    def test_the_longest_line_is_read(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "LONGEST_LINE", 100)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a" * 99 + b"\n" + b"b" * 100)))
        assert [text.value for text in texts.TextFile("-")] == ["a" * 99, "b" * 100]

    @pytest.mark.parametrize("line", ['"', '","', 'a,"'])
    def test_a_row_of_csv(self, cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
        for module in (files, texts):
            monkeypatch.setattr(module, "LONGEST_LINE", 1000)
        content = b'"' + b"\n".join([line.encode()[1:] + b"y" * 50 + b'","z'] * 5000)
        refused(cli("encode", bundle, "--column", "1", stdin=content))

    @pytest.mark.skipif(sys.platform != "linux", reason="limits memory and needs /dev/zero")
    @pytest.mark.parametrize("arguments", ["encode --input /dev/zero", "search q --in - </dev/zero"])
    def test_on_limited_memory(self, arguments: str) -> None:
        done = subprocess.run(
            ["sh", "-c", f"ulimit -v 2000000; '{sys.executable}' -m sestina {arguments}"],
            check=False, capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.endswith(b" line 1 is longer than 16 MiB: split it\n")


def test_no_memory_is_no_defect(cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("sestina._cli.inspect.Bundle", full)
    assert "there is not enough memory" in refused(cli("inspect", bundle))


@pytest.mark.parametrize(
    "name, code", [("onnxruntime", 2), ("numpy.core", 2), ("sestina._gone", 70), ("", 2)]
)
def test_a_library_that_cannot_be_loaded(
    cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    def broken(_: object) -> None:
        raise ImportError("failed to map segment", name=name)

    monkeypatch.setattr("sestina._cli.inspect.Bundle", broken)
    assert cli("inspect", bundle).code == code


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_other_encodings_are_no_texts(cli: Cli, bundle: Path, encoding: str) -> None:
    refused(cli("encode", bundle, stdin="the model\nof a text\n".encode(encoding)))


HOSTILE = "\x1b[31mred\x00 \r\n\u202egnp\u2066.\u200f \u2028 \ud800 \udcff \x9b"


class TestMessages:
    @pytest.mark.parametrize(
        "encoding, errors", [("utf-8", "strict"), ("ascii", "strict"), ("latin-1", "strict")]
    )
    def test_are_one_line_that_disturbs_nothing(
        self, monkeypatch: pytest.MonkeyPatch, encoding: str, errors: str
    ) -> None:
        content = io.BytesIO()
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(content, encoding, errors=errors))
        for told in (printing.error, printing.warning):
            content.seek(0)
            content.truncate()
            told(f"naïve 注意力 {HOSTILE}: do that")
            line = content.getvalue().decode(encoding)
            assert line.count("\n") == 1
            assert line.endswith(": do that\n")
            assert line[:-1].isprintable()
            assert r"\x1b[31mred" in line
            assert r"\u202egnp" in line
            assert r"\ud800 \udcff" in line
            assert ("naïve" in line) == (encoding != "ascii")

    @pytest.mark.parametrize("piece", ["n", "\x1b", "\U0001f600", "\n", "\ud800", "注"])
    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_are_bounded_and_keep_both_ends(
        self, monkeypatch: pytest.MonkeyPatch, piece: str, encoding: str
    ) -> None:
        content = io.BytesIO()
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(content, encoding, errors="strict"))
        printing.error(f"begin {piece * 100_000}: fix it")
        line = content.getvalue().decode(encoding)
        assert len(line) <= 1020
        assert line.startswith("sestina: error: begin ")
        assert line.endswith(": fix it\n")

    @pytest.mark.parametrize(
        "command", ["encode --input", "inspect", "encode a --output", "encode a --provider"]
    )
    def test_quote_names_safely(self, cli_here: Cli, command: str) -> None:
        said = refused(cli_here(*command.split(" "), f"{HOSTILE.replace(chr(0), '')}.x"))
        assert said[:-1].isprintable()

    def test_facts_do_not_disturb_a_terminal(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        outcome = cli("encode", bundle, "a", "--output", tmp_path / "\x1b[31m\u202e\nx.jsonl")
        assert outcome.code == 0
        assert outcome.out == f"{tmp_path}/\\x1b[31m\\u202e\\nx.jsonl: 1 vectors of 32 dimensions\n"

    def test_documents_are_as_they_are(self, cli: Cli, bundle: Path) -> None:
        text = "a\x7f\u202eb\u2028"
        assert cli("explain", bundle, text, "--json").json["text"] == text
        assert cli("tokenize", bundle, text, "--json").json["texts"][0]["text"] == text
        assert json.loads(cli("encode", bundle, text).out)["text"] == text


def test_usage_errors_are_fast_and_import_nothing_heavy() -> None:
    code = (
        "import sys; from sestina.__main__ import main; main(sys.argv[1:]); "
        "heavy = {'numpy', 'onnxruntime', 'tokenizers', 'tqdm', 'torch'} & set(sys.modules); "
        "sys.exit(f'{heavy}' if heavy else 0)"
    )
    for argv in (["embed"], ["encode", "models/minilm"], ["encode", "--help"], ["similar", "a"], ["encode", "--bad"],
                 ["search", "q", "--in", "f", "--top", "0"], ["encode", "a", "--json"], ["encode", "a", "--format", "x"]):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code, *argv], check=False, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr.count("\n")) == (0, 0 if "--help" in argv else 1), done.stderr
    assert sestina.__version__


@pytest.mark.parametrize("command", [["--version"], ["tokenize", "a"], ["nothing"]])
def test_nothing_is_left_open_for_python_to_complain_of(command: list[str]) -> None:
    argv = [sys.executable, "-X", "dev", "-W", "error", "-m", "sestina", *command]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
    assert "Warning" not in done.stderr
    assert (done.returncode, done.stderr.count("\n")) == ((2, 1) if command == ["nothing"] else (0, 0))


@pytest.mark.parametrize(
    "module", ["sestina._cli.command", "sestina._cli.printing", "sestina._cli.parser", "tokenizers"]
)
def test_an_interrupt_while_the_command_is_imported(module: str) -> None:
    code = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from sestina.__main__ import main\n"
        "sys.exit(main(['tokenize', 'a']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")
