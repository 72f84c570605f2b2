"""`sestina encode`: every kind of input and output, and each thing that can be wrong with them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _unmeasured import unmeasured

Cli = Callable[..., Any]  # the fixture of conftest.py

TEXTS = ["the model", "", "naïve café", "注意力 is all you need"]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def vectors_of(records: list[dict[str, object]]) -> np.ndarray:
    return np.array([record["vector"] for record in records], dtype=np.float32)


class TestInput:
    def test_arguments(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        outcome = cli("encode", bundle, *TEXTS)
        assert (outcome.code, outcome.err) == (0, "")
        assert [list(record) for record in outcome.lines] == [["text", "vector"]] * 4
        assert [record["text"] for record in outcome.lines] == TEXTS
        np.testing.assert_array_equal(vectors_of(outcome.lines), encoder.encode(TEXTS))

    def test_arguments_around_options(self, cli: Cli, bundle: Path) -> None:
        outcome = cli("encode", bundle, "a", "--dimensions", "3", "b", "--", "-c", "--json")
        assert [record["text"] for record in outcome.lines] == ["a", "b", "-c", "--json"]
        assert vectors_of(outcome.lines).shape == (4, 3)

    def test_file_keeps_blank_lines(self, cli: Cli, bundle: Path, lines: Path) -> None:
        assert [record["text"] for record in cli("encode", bundle, "--input", lines).lines] == TEXTS

    def test_standard_input(self, cli: Cli, bundle: Path) -> None:
        content = b"\xef\xbb\xbfone\r\n\r\nnul \x00 byte\nno newline at the end"
        expected = ["one", "", "nul \x00 byte", "no newline at the end"]
        for argv in ((), ("--input", "-")):
            outcome = cli("encode", bundle, *argv, stdin=content)
            assert [record["text"] for record in outcome.lines] == expected

    def test_no_text(self, cli: Cli, bundle: Path) -> None:
        assert [list(record) for record in cli("encode", bundle, "a", "--no-text").lines] == [["vector"]]

    def test_jsonl_field(self, cli: Cli, bundle: Path) -> None:
        content = b'{"body": "one", "id": 1}\n\n{"body": "two\\n\\u00e9"}\r\n'
        outcome = cli("encode", bundle, "--field", "body", stdin=content)
        assert [record["text"] for record in outcome.lines] == ["one", "two\né"]

    @pytest.mark.parametrize(
        ("column", "expected"),
        [("text", ["one, two", "three\nlines"]), ("2", ["text", "one, two", "three\nlines"])],
    )
    def test_csv_column(self, cli: Cli, bundle: Path, column: str, expected: list[str]) -> None:
        content = b'\xef\xbb\xbfid,text\r\n1,"one, two"\r\n\r\n2,"three\nlines"\r\n'
        outcome = cli("encode", bundle, "--column", column, stdin=content)
        assert [record["text"] for record in outcome.lines] == expected

    def test_long_csv_field(self, cli: Cli, bundle: Path) -> None:
        content = b"text\n" + b"word " * 60_000 + b"\n"
        outcome = cli("encode", bundle, "--column", "text", "--on-truncate", "ignore", stdin=content)
        assert (outcome.code, outcome.err, len(outcome.lines)) == (0, "", 1)

    def test_empty_input(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        assert cli("encode", bundle).stdout == b""
        assert np.load(io.BytesIO(cli("encode", bundle, "--format", "npy").stdout)).shape == (0, 32)

    def test_more_than_one_window(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        texts = [f"text {number}" for number in range(4500)]
        outcome = cli("encode", bundle, "--format", "npy", stdin="\n".join(texts).encode())
        vectors = np.load(io.BytesIO(outcome.stdout))
        np.testing.assert_allclose(vectors[4400:], encoder.encode(texts[4400:]), atol=1e-6)


def test_progress_comes_by_the_batch(encoder: sestina.Encoder) -> None:
    steps: list[int] = []
    texts = ["a", "", "the model", "a b", "model"]
    assert len(list(encoder.stream(texts, on_progress=steps.append))) == sum(steps) == 5
    assert steps[0] == 2  # the longest first, those of one length together


class TestBadInput:
    @pytest.mark.parametrize(
        ("argv", "content", "message"),
        [
            (
                (),
                b"good\nb\xe9d\n",
                (
                    "line 2 is not UTF-8 (byte 0xe9 after 1 bytes): convert the file, for example with iconv "
                    "-t UTF-8"
                ),
            ),
            (
                ("--field", "text"),
                b'{"text": "a"}\n{"text": \n',
                "line 2 is not valid JSON: Expecting value at character 9",
            ),
            (("--field", "text"), b'["a"]\n', "line 1 is not a JSON object: every line must be one"),
            (
                ("--field", "text"),
                b'{"body": "a", "id": 1}\n',
                "line 1 has no field 'text'; its fields are: body, id",
            ),
            (("--field", "text"), b"\n{}\n", "line 2 has no field 'text'; its fields are: none"),
            (
                ("--field", "text"),
                b'{"text": 5}\n',
                "line 1: field 'text' is a number; it must be a string",
            ),
            (
                ("--field", "text"),
                b'{"text": null}\n',
                "line 1: field 'text' is null; it must be a string",
            ),
            (
                ("--field", "text"),
                b'{"text": "\\ud83d"}\n',
                "line 1: field 'text' has the lone surrogate \\ud83d, which is not text: mend the file",
            ),
            (("--column", "text"), b"", "is empty; its first row must name the column 'text'"),
            (("--column", "text"), b"a,b\n1,2\n", "line 1 has no column 'text'; its columns are: a, b"),
            (("--column", "a"), b"a,a\n1,2\n", "line 1 has more than one column 'a'; its columns are: a, a"),
            (("--column", "b"), b"a,b\n1,2\n3\n", "line 3 has no column b: the row ends after 1"),
            (("--column", "3"), b"a,b\n", "line 1 has no column 3: the row ends after 2"),
            (
                ("--column", "a"),
                b'a\n"x\ny"\n"open\n',
                "line 4 is not valid CSV: unexpected end of data",
            ),
        ],
    )
    def test_content(
        self, cli: Cli, bundle: Path, tmp_path: Path, argv: tuple[str, ...], content: bytes, message: str
    ) -> None:
        path = tmp_path / "input"
        path.write_bytes(content)
        outcome = cli("encode", bundle, "--input", path, *argv)
        assert (outcome.code, outcome.out, outcome.err) == (2, "", f"sestina: error: {path} {message}\n")
        from_pipe = cli("encode", bundle, *argv, stdin=content)
        assert (from_pipe.code, from_pipe.err) == (2, f"sestina: error: standard input {message}\n")

    def test_very_deep_json(self, cli: Cli, bundle: Path) -> None:
        outcome = cli("encode", bundle, "--field", "text", stdin=b"[" * 100_000)
        assert outcome.code == 2
        assert outcome.err.startswith("sestina: error: standard input line 1 is not valid JSON: ")

    def test_bad_last_line_is_found_before_work(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        path = tmp_path / "input.jsonl"
        path.write_text('{"text": "a"}\n' * 5000 + "broken\n")
        outcome = cli("encode", bundle, "--input", path, "--field", "text")
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{path} line 5001 is not valid JSON" in outcome.err

    def test_no_such_file(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        path = tmp_path / "none.txt"
        assert cli("encode", bundle, "--input", path).err == (
            f"sestina: error: {path} cannot be read: No such file or directory\n"
        )

    def test_directory(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        assert cli("encode", bundle, "--input", tmp_path).err == (
            f"sestina: error: {tmp_path} is a directory; name a file\n"
        )

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (("a", "--input", "f"), "TEXT arguments and --input exclude each other: pass one of them"),
            (("a", "--field", "f"), "TEXT arguments and --field exclude each other: pass one of them"),
            (("--column", "0"), "--column is 0; columns are counted from 1"),
            (("a", "b\udce9"), "text 2 is not valid UTF-8: pass it in a file, or convert it"),
            (("a", "--json"), "--json states what --output wrote: pass --output FILE too"),
        ],
    )
    def test_arguments(self, cli: Cli, bundle: Path, argv: tuple[str, ...], message: str) -> None:
        outcome = cli("encode", bundle, *argv)
        assert (outcome.code, outcome.out, outcome.err) == (2, "", f"sestina: error: {message}\n")

    def test_nothing_to_encode(self, bundle: Path) -> None:
        pty = pytest.importorskip("pty")
        controller, terminal = pty.openpty()
        command = [sys.executable, "-m", "sestina", "encode", str(bundle)]
        result = subprocess.run(command, stdin=terminal, capture_output=True, check=False)
        os.close(terminal)
        os.close(controller)
        assert result.returncode == 2
        assert result.stderr == (
            b"sestina: error: there is nothing to encode: give TEXT arguments, --input FILE or a pipe\n"
        )


class TestTruncation:
    LONG = "model " * 200

    def test_warning_names_the_line(self, cli: Cli, bundle: Path) -> None:
        outcome = cli("encode", bundle, stdin=f"short\n{self.LONG}\n".encode())
        assert (outcome.code, len(outcome.lines)) == (0, 2)
        assert outcome.err == (
            "sestina: warning: standard input line 2 has more than 64 tokens; only the beginning was encoded\n"
        )

    def test_one_warning_for_all_windows(self, cli: Cli, bundle: Path) -> None:
        lines = ["short"] * 5000
        lines[10] = lines[4999] = self.LONG
        outcome = cli("encode", bundle, "--no-text", stdin="\n".join(lines).encode())
        assert outcome.err == (
            "sestina: warning: 2 texts (the first is standard input line 11) have more than 64 tokens; only "
            "the beginning was encoded\n"
        )

    def test_error_names_the_line(self, cli: Cli, bundle: Path) -> None:
        content = '{"t": "short"}\n' * 4100 + "\n" + json.dumps({"t": self.LONG})
        outcome = cli("encode", bundle, "--field", "t", "--on-truncate", "error", stdin=content.encode())
        assert outcome.code == 2
        assert outcome.err == (
            "sestina: error: standard input line 4102 has more than 64 tokens: shorten it, or pass "
            "--on-truncate warn (or ignore) to encode its beginning\n"
        )

    def test_ignore(self, cli: Cli, bundle: Path) -> None:
        outcome = cli("encode", bundle, self.LONG, "--on-truncate", "ignore")
        assert (outcome.code, outcome.err) == (0, "")

    def test_argument(self, cli: Cli, bundle: Path) -> None:
        assert "warning: the text has more than 64 tokens" in cli("encode", bundle, self.LONG).err


class TestOutput:
    def test_npy_file(
        self, cli: Cli, bundle: Path, lines: Path, tmp_path: Path, encoder: sestina.Encoder
    ) -> None:
        output = tmp_path / "out.npy"
        for source in (("--input", lines), ()):
            outcome = cli("encode", bundle, *source, "--output", output, stdin=lines.read_bytes())
            assert (outcome.code, outcome.err) == (0, "")
            assert outcome.out == f"{output}: 4 vectors of 32 dimensions\n"
            vectors = np.load(output, mmap_mode="r")
            assert vectors.dtype == np.float32
            np.testing.assert_array_equal(vectors, encoder.encode(TEXTS))

    def test_npy_on_standard_output(
        self, cli: Cli, bundle: Path, lines: Path, encoder: sestina.Encoder
    ) -> None:
        for source in (("--input", lines), ()):
            outcome = cli("encode", bundle, *source, "--format", "npy", stdin=lines.read_bytes())
            np.testing.assert_array_equal(np.load(io.BytesIO(outcome.stdout)), encoder.encode(TEXTS))

    def test_jsonl_file(self, cli: Cli, bundle: Path, tmp_path: Path, encoder: sestina.Encoder) -> None:
        output = tmp_path / "out.jsonl"
        facts = cli("encode", bundle, *TEXTS, "--output", output, "--json").json
        assert facts == {
            "output": str(output),
            "format": "jsonl",
            "count": 4,
            "dimensions": 32,
            "space": encoder.space,
        }
        records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        np.testing.assert_array_equal(vectors_of(records), encoder.encode(TEXTS))

    def test_standard_output_for_text_only(self, cli: Cli, bundle: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as stdout:
            assert cli("encode", bundle, "naïve").code == 0
            assert cli("encode", bundle, "naïve", "--format", "npy").code == 2
        assert json.loads(stdout.getvalue())["text"] == "naïve"

    def test_dash_is_standard_output(self, cli: Cli, bundle: Path) -> None:
        assert [record["text"] for record in cli("encode", bundle, "a", "--output", "-").lines] == ["a"]

    def test_link_stays_a_link(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        link = tmp_path / "out.npy"
        link.symlink_to(tmp_path / "there" / "real.npy")
        assert cli("encode", bundle, "a", "--output", link).code == 0
        assert link.is_symlink()
        assert np.load(tmp_path / "there" / "real.npy").shape == (1, 32)

    @pytest.mark.parametrize("rows", [0, 7, 10**18])
    def test_header_is_as_numpy_writes_it(self, rows: int) -> None:
        from sestina._cli.vector_files import npy_header

        header = io.BytesIO(npy_header(rows, 384))
        assert np.lib.format.read_magic(header) == (1, 0)
        assert np.lib.format.read_array_header_1_0(header) == ((rows, 384), False, np.dtype("<f4"))
        assert header.tell() == 128

    @pytest.mark.parametrize("form", ["jsonl", "npy"])
    def test_vector_that_no_search_can_use(self, form: str) -> None:
        from sestina._cli.destination import Destination
        from sestina._cli.texts import Text
        from sestina._cli.vector_files import JsonlWriter, NpyWriter

        out = Destination(io.BytesIO(), "out", patchable=False)
        writer = JsonlWriter(out, with_text=True) if form == "jsonl" else NpyWriter(out, 2, 3)
        with pytest.raises(sestina.OutputError, match="the vector of f line 3 is not finite"):
            writer.add(Text("a", "f", 3), np.array([1.0, np.nan], dtype=np.float32))


class TestBadOutput:
    """Refused before the bundle is even opened: the one given does not exist."""

    def refused(self, cli: Cli, *argv: object) -> str:
        outcome = cli("encode", "no-such-bundle", "a", *argv)
        assert (outcome.code, outcome.out) == (2, "")
        return outcome.err.removeprefix("sestina: error: ").removesuffix("\n")

    def test_missing_directory(self, cli: Cli, tmp_path: Path) -> None:
        output = tmp_path / "none" / "out.npy"
        assert self.refused(cli, "--output", output) == (
            f"{output} cannot be written: there is no directory {output.parent}; create it first"
        )

    def test_directory(self, cli: Cli, tmp_path: Path) -> None:
        output = tmp_path / "out.npy"
        output.mkdir()
        assert self.refused(cli, "--output", output) == (
            f"{output} cannot be written: it is a directory; name a file"
        )

    def test_under_a_file(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        output = tmp_path / "file" / "out.npy"
        assert self.refused(cli, "--output", output) == f"{output} cannot be written: Not a directory"

    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
    def test_where_nothing_can_be_written(self, cli: Cli) -> None:
        assert self.refused(cli, "--output", "/proc/out.npy").startswith("/proc/out.npy cannot be written: ")

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_directory_without_permission(self, cli: Cli, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        output = tmp_path / "out.npy"
        assert self.refused(cli, "--output", output) == f"{output} cannot be written: Permission denied"

    def test_name_too_long(self, cli: Cli, tmp_path: Path) -> None:
        output = tmp_path / ("n" * 300 + ".npy")
        assert self.refused(cli, "--output", output) == f"{output} cannot be written: File name too long"

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (
                ("--output", "out"),
                (
                    f"out ends in none of .npy, .jsonl, .parquet, .arrow, nor in {os.sep} for a directory of shards: "
                    "rename it, or pass --format"
                ),
            ),
            (
                ("--output", "out.npy", "--format", "jsonl"),
                "out.npy ends in .npy but --format is jsonl: make them agree",
            ),
        ],
    )
    def test_format(self, cli: Cli, argv: tuple[str, ...], message: str) -> None:
        assert self.refused(cli, *argv) == message

    def test_nothing_is_no_directory(self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """--output "$DIR" where that is not set; the system takes it for where one is."""
        monkeypatch.chdir(tmp_path)
        said = f"--output is empty; it must be a file, a directory that ends in {os.sep}, or - for standard output"
        assert self.refused(cli, "--output", "") == said
        assert self.refused(cli, "--output", "", "--format", "npy") == said
        assert list(tmp_path.iterdir()) == []
        assert (
            cli("encode", "--input", "", "--output", "out.npy").err
            == "sestina: error: '' is a directory; name a file\n"
        )

    @pytest.mark.parametrize("bad", ["a\0b", "a\ud800b"])
    def test_paths_that_cannot_be(self, cli: Cli, bundle: Path, tmp_path: Path, bad: str) -> None:
        """As a caller of `main` may have them: in an output too, where an input is to be compared with it."""
        texts = tmp_path / "texts.txt"
        texts.write_text("a text\n", "utf-8")
        for given, output in ((texts, f"{bad}.npy"), (texts, f"{bad}/"), (bad, tmp_path / "out.npy")):
            outcome = cli("encode", bundle, "--input", given, "--output", output)
            assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
            assert f"cannot be {'read' if given is bad else 'written'}: " in outcome.err

    def test_binary_to_a_terminal(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert self.refused(cli, "--format", "npy") == (
            "npy is binary and standard output takes text: pass --output FILE, or send it elsewhere"
        )

    def test_same_file_as_the_input(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        path = tmp_path / "both.jsonl"
        path.write_text('{"text": "a"}\n')
        link = tmp_path / "link.jsonl"
        link.symlink_to(path)
        outcome = cli("encode", bundle, "--input", path, "--field", "text", "--output", link)
        assert outcome.err == f"sestina: error: {link} is the input file too: name another output\n"
        assert path.read_text() == '{"text": "a"}\n'

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_full_device(self, cli: Cli, bundle: Path) -> None:
        outcome = cli("encode", bundle, "a", "--output", "/dev/full", "--format", "jsonl")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == "sestina: error: /dev/full cannot be written: No space left on device\n"
        assert Path("/dev/full").is_char_device()

    def test_full_disk_leaves_the_old_file(self, bundle: Path, tmp_path: Path) -> None:
        output = tmp_path / "out.jsonl"
        output.write_bytes(b"old")
        result = subprocess.run(
            [sys.executable, "-m", "sestina", "encode", str(bundle), "--output", str(output)],
            input=b"a text\n" * 200,
            capture_output=True,
            check=False,
            env=unmeasured(),
            # the nearest to a full disk that needs no mount: no file may grow beyond this
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        )
        assert (result.returncode, result.stdout) == (2, b"")
        assert result.stderr == f"sestina: error: {output} cannot be written: File too large\n".encode()
        assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
        assert output.read_bytes() == b"old"

    def test_failure_leaves_no_file(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        output = tmp_path / "out.npy"
        outcome = cli("encode", bundle, "--field", "t", "--output", output, stdin=b'{"t": "a"}\nbroken\n')
        assert outcome.code == 2
        assert list(tmp_path.iterdir()) == []


class TestNullsEmptiesAndForms:
    CONTENT = b'{"t": "a"}\n{"t": null}\n{"t": ""}\n{"t": "the model"}\n{"t": " "}\n'

    def test_a_null_is_refused_or_zero(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        outcome = cli("encode", bundle, "--field", "t", stdin=self.CONTENT)
        assert (outcome.code, outcome.out.count("\n") <= 1) == (2, True)
        assert "line 2: field 't' is null; it must be a string" in outcome.err
        outcome = cli("encode", bundle, "--field", "t", "--on-null", "zero", stdin=self.CONTENT)
        assert (outcome.code, outcome.err) == (0, "")
        assert [record["text"] for record in outcome.lines] == ["a", None, "", "the model", " "]
        wanted = encoder.encode(["a", None, "", "the model", " "], on_null="zero")
        np.testing.assert_array_equal(vectors_of(outcome.lines), wanted)
        assert not wanted[1].any()
        assert wanted[2].any()  # of the special tokens, as in PyTorch

    def test_empty_texts(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        options = ("--field", "t", "--on-null", "zero")
        for how, said in (
            ("zero", ""),
            ("warn", "sestina: warning: standard input line 3 is empty; a zero vector says nothing"),
        ):
            outcome = cli(
                "encode", bundle, *options, "--on-empty", how, stdin=self.CONTENT.rsplit(b"{", 1)[0]
            )
            assert (outcome.code, outcome.err.strip()) == (0, said)
            np.testing.assert_array_equal(
                vectors_of(outcome.lines),
                encoder.encode(["a", None, "", "the model"], on_null="zero", on_empty="zero"),
            )
        outcome = cli("encode", bundle, *options, "--on-empty", "warn", stdin=self.CONTENT)
        assert "2 texts (the first is standard input line 3) are empty" in outcome.err
        outcome = cli("encode", bundle, *options, "--on-empty", "error", stdin=self.CONTENT)
        assert outcome.code == 2
        assert "error: standard input line 3 is empty: leave it out, or pass --on-empty zero" in outcome.err
        assert cli("similar", bundle, "--on-empty", "error", "a", "").code == 2

    @pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "binary"])
    @pytest.mark.parametrize("piped", [False, True])
    def test_forms(
        self, dtype: Any, piped: bool, cli: Cli, bundle: Path, encoder: sestina.Encoder, tmp_path: Path
    ) -> None:
        wanted = encoder.encode(TEXTS, output=dtype, dimensions=13)
        options = ("--output-dtype", dtype, "--dimensions", 13, "--format", "npy")
        if piped:
            content = "\n".join(TEXTS).encode()
            found = np.load(io.BytesIO(cli("encode", bundle, *options, stdin=content).stdout))
        else:
            path = tmp_path / "v.npy"
            outcome = cli("encode", bundle, *options, "--json", "--output", path, "--", *TEXTS)
            assert outcome.json.get("dtype", "float32") == dtype
            found = np.load(path)
            hits = cli("search", bundle, TEXTS[0], "--in", path, "--dimensions", 13, "--json").json["results"]
            exact = encoder.similarity(
                encoder.encode(TEXTS[0], dimensions=13), encoder.encode(TEXTS, dimensions=13)
            )
            assert hits[0]["line"] == 1
            off = {"float32": 1e-6, "float16": 1e-3, "int8": 0.02, "binary": 0.6}[dtype]
            scores = [hit["score"] for hit in sorted(hits, key=lambda hit: hit["line"])]
            np.testing.assert_allclose(scores, exact[0], atol=off)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)

    def test_forms_in_jsonl(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        for dtype in ("float16", "int8"):
            lines = cli("encode", bundle, "--output-dtype", dtype, *TEXTS).lines
            vectors = np.array([record["vector"] for record in lines])
            assert vectors.dtype.kind == ("i" if dtype == "int8" else "f")
            np.testing.assert_array_equal(vectors.astype(dtype), encoder.encode(TEXTS, output=dtype))  # type: ignore[arg-type]
        outcome = cli("encode", bundle, "--output-dtype", "binary", "a")
        assert (outcome.code, outcome.out) == (2, "")
        assert (
            "--output-dtype is binary, which is for .npy and tables, and the format is jsonl" in outcome.err
        )

    def test_bits_of_another_width_are_not_searched(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        np.save(tmp_path / "bits.npy", np.ones((2, 8), np.uint8))
        outcome = cli("search", bundle, "a", "--in", tmp_path / "bits.npy", "--dimensions", 8)
        assert outcome.code == 2
        assert "has vectors of 64 dimensions; the query has 8" in outcome.err

    def test_vectors_with_a_null_text_are_searched(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        path = tmp_path / "v.jsonl"
        assert (
            cli(
                "encode", bundle, "--field", "t", "--on-null", "zero", "--output", path, stdin=self.CONTENT
            ).code
            == 0
        )
        hits = cli("search", bundle, "a", "--in", path, "--json").json["results"]
        assert hits[0]["text"] == "a"
        (null,) = [hit for hit in hits if hit["line"] == 2]
        assert (null["score"], null["text"]) == (0.0, None)
