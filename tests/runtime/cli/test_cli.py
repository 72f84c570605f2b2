"""What holds for every command: help, usage errors, exit codes, pipes, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sestina
from sestina._providers.table import PROVIDERS

Cli = Callable[..., Any]  # the fixture of conftest.py

TOKENIZER = Path(__file__).parents[3] / "model" / "sestina_model" / "english.tokenizer.json"
COMMANDS = ("export", "encode", "similar", "search", "tokenize", "explain", "verify", "inspect")


def sestina_process(*argv: object, **options: object) -> subprocess.Popen[bytes]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(  # type: ignore[call-overload]
        [sys.executable, "-m", "sestina", *map(str, argv)], **{**pipes, **options}
    )


def test_version(cli: Cli) -> None:
    outcome = cli("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"sestina {sestina.__version__}\n", "")


def test_help_lists_commands_and_exit_codes(cli: Cli) -> None:
    outcome = cli("--help")
    assert outcome.code == 0
    for word in (*COMMANDS, "Exit codes:", "verification failed", "130"):
        assert word in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(cli: Cli, command: str) -> None:
    outcome = cli(command, "--help")
    assert outcome.code == 0
    assert "Example" in outcome.out
    assert f"sestina {command} " in outcome.out


def test_help_imports_nothing_heavy() -> None:
    check = (
        "import sys; from sestina.__main__ import main; main(['--help']); "
        "heavy = {'numpy', 'onnxruntime', 'tokenizers', 'tqdm', 'torch'} & set(sys.modules); "
        "sys.exit(f'{heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "the following arguments are required: COMMAND (see sestina --help)"),
        (("similar", "a"), "similar takes [BUNDLE] A B [B ...], not 1 argument (see sestina similar --help)"),
        (("search", "--in", "f"), "search takes [BUNDLE] QUERY, not 0 arguments (see sestina search --help)"),
        (("verify", "b", "extra"), "verify takes [BUNDLE], not 2 arguments (see sestina verify --help)"),
        (
            ("encode", "b", "text", "--dimension", "3"),
            (
                "unrecognized arguments: --dimension; put -- before a text that begins with a dash "
                "(see sestina encode --help)"
            ),
        ),
        (
            ("encode", "b", "t", "--threads", "two"),
            "argument --threads: invalid int value: 'two' (see sestina encode --help)",
        ),
        (
            ("search", "b", "q", "--in", "f", "--field", "a", "--column", "b"),
            "argument --column: not allowed with argument --field (see sestina search --help)",
        ),
    ],
)
def test_bad_usage_is_one_line(cli: Cli, argv: tuple[str, ...], message: str) -> None:
    outcome = cli(*argv)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"sestina: error: {message}\n")


def test_unknown_command_names_those_there_are(cli: Cli) -> None:
    outcome = cli("embed")
    assert outcome.code == 2
    assert outcome.err.startswith("sestina: error: argument COMMAND: invalid choice: 'embed' (choose from ")
    assert outcome.err.count("\n") == 1


def test_no_bundle(cli: Cli, tmp_path: Path) -> None:
    missing = tmp_path / "none.sestina"
    outcome = cli("encode", missing, "a text")
    message = f"sestina: error: there is no bundle at {missing}: check the path, or export one\n"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", message)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            ("--provider", "npu"),
            f"provider is 'npu'; it must be one of auto, {', '.join(PROVIDERS)}",
        ),
        (
            ("--provider", "qnn:soc_model"),
            "--provider has the option 'soc_model'; write it as qnn:OPTION=VALUE",
        ),
        (
            ("--provider", "cpu,qnn:soc_model=x"),
            "option soc_model of qnn is 'x'; it must be a whole number of at least 0",
        ),
        (
            ("--provider", "openvino:load_config={"),
            (
                "option load_config of openvino is '{'; it must be an object for each device, such as "
                '{"CPU": {"NUM_STREAMS": "2"}}'
            ),
        ),
        (
            ("--precision", "int3"),
            "precision is 'int3'; it must be one of auto, fp32, fp16, int8, a16w8, int4",
        ),
        (("--threads", "0"), "threads is 0; it must be a whole number from 1 to 1024, or None"),
        (("--dimensions", "33"), "dimensions is 33; it must be a whole number from 1 to 32"),
    ],
)
def test_options_that_the_bundle_refuses(
    cli: Cli, bundle: Path, option: tuple[str, str], message: str
) -> None:
    outcome = cli("encode", bundle, "a", *option)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"sestina: error: {message}\n")


def test_unexpected_error_is_one_line(cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise KeyError("oops\nand more")

    monkeypatch.setattr("sestina._cli.inspect.Bundle", broken)
    outcome = cli("inspect", bundle)
    assert outcome.code == 70
    assert outcome.err.startswith("sestina: error: unexpected KeyError: ")
    assert "SESTINA_DEBUG=1" in outcome.err
    assert outcome.err.count("\n") == 1
    monkeypatch.setenv("SESTINA_DEBUG", "1")
    assert "Traceback (most recent call last)" in cli("inspect", bundle).err


def test_interruption(cli: Cli, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sestina._cli.inspect.Bundle", interrupted)
    outcome = cli("inspect", bundle)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")


def test_sigint_removes_what_was_half_written(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npy"
    output.write_bytes(b"old")
    process = sestina_process(
        "encode", bundle, "--output", output,
        # pytest itself may run where SIGINT is ignored, which children inherit
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(b"a\n" * 6000)
    process.stdin.flush()
    # The first windows of texts are encoded and on its way to the file: then it waits for more input.
    until = time.monotonic() + 30
    while not any(path.stat().st_size > 100_000 for path in tmp_path.glob(".sestina-*.tmp")):
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["out.npy"]
    assert output.read_bytes() == b"old"


def test_broken_pipe_is_quiet(bundle: Path) -> None:
    process = sestina_process("encode", bundle)
    assert process.stdout is not None
    process.stdout.close()  # the reader is gone before the first vector
    process.stdout = None
    _, err = process.communicate(b"a text\n" * 500, timeout=20)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [("inspect",), ("encode", "a text"), ("encode", "a", "--format", "npy")])
def test_full_disk_on_standard_output(bundle: Path, command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = sestina_process(command[0], bundle, *command[1:], stdout=full)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err == b"sestina: error: standard output cannot be written: No space left on device\n"


def test_pipeline(bundle: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}  # whatever the locale, a pipe carries UTF-8
    process = sestina_process("encode", bundle, "--no-text", env=env)
    out, err = process.communicate("the model\nnaïve café\n".encode(), timeout=20)
    assert (process.returncode, err) == (0, b"")
    assert out.count(b"\n") == 2
    process = sestina_process("tokenize", bundle, "注意力", "--json", env=env)
    assert "注意力".encode() in process.communicate(timeout=20)[0]


def test_bar_on_a_terminal_only(bundle: Path, tmp_path: Path) -> None:
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    texts = tmp_path / "texts.txt"
    texts.write_text("the model\n" * 20)
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    process = sestina_process("encode", bundle, "--input", texts, "--no-text", stderr=terminal)
    out, _ = process.communicate(timeout=20)
    os.close(terminal)
    drawn = os.read(controller, 100_000)
    os.close(controller)
    assert process.returncode == 0
    assert out.count(b"\n") == 20
    assert b"20/20" in drawn
    assert b"text/s" in drawn


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize(
    ("command", "code"),
    [("inspect nowhere 2>&-", 2), ("inspect one two 2>&-", 2), ("inspect nowhere >&- 2>&-", 2)],
)
def test_nobody_to_tell(command: str, code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m sestina {command}"],
        check=False, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_standard_output_is_closed() -> None:
    done = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m sestina tokenize '{TOKENIZER}' a >&-"],
        check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == b"sestina: error: standard output cannot be written: it is closed\n"
