"""Inputs of every kind: compressed, delimited, JSON, several of them; each read right, or one line that says why not."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib.util
import json
import lzma
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sestina
from sestina._cli import compressed, json_texts
from sestina._cli.inputs import TextFiles, expanded
from sestina._cli.texts import TextFile

Cli = Callable[..., Any]  # the fixture of conftest.py

LINES = [f"line {number} {random.Random(number).random()}" for number in range(2000)]
CONTENT = "".join(f"{line}\n" for line in LINES).encode()

zstd_there = pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("zstandard", "compression")),
    reason="needs zstandard, or Python 3.14",
)


def zstd(content: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd as machine

        return machine.compress(content)
    import zstandard

    return zstandard.ZstdCompressor().compress(content)


KINDS = [
    pytest.param("gzip", ".gz", gzip.compress),
    pytest.param("bzip2", ".bz2", bz2.compress),
    pytest.param("xz", ".xz", lzma.compress),
    pytest.param("zstd", ".zst", zstd, marks=zstd_there),
]


def values(path: Path | str, **options: str) -> list[str]:
    return [text.value for text in TextFile(str(path), **options)]


def refused(path: Path | str, **options: str) -> str:
    """The message without the name of the file."""
    with pytest.raises(sestina.InputError) as raised:
        values(path, **options)
    return str(raised.value).replace(str(path), "FILE")


def piped(path: Path, content: bytes) -> list[str]:
    """What is read from a named pipe whose writer hands over the first bytes one by one."""
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as stream:
            for at in range(12):
                stream.write(content[at : at + 1])
                time.sleep(0.002)
            stream.write(content[12:])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return values(path)
    finally:
        writer.join()


class TestCompressed:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pieces of which a file has many."""
        monkeypatch.setattr(compressed, "_PIECE", 500)

    @pytest.mark.parametrize(("kind", "suffix", "compress"), KINDS)
    def test_read(self, tmp_path: Path, kind: str, suffix: str, compress: Callable[[bytes], bytes]) -> None:
        path = tmp_path / f"texts.txt{suffix}"
        half = CONTENT.index(b"\n", len(CONTENT) // 2) - 3  # within a line
        for content in (compress(CONTENT), compress(CONTENT[:half]) + compress(CONTENT[half:])):
            path.write_bytes(content)
            assert values(path) == LINES
            assert TextFile(str(path)).count() == len(LINES)
        unnamed = tmp_path / "unnamed"
        unnamed.write_bytes(compress(b"a\nb\n"))
        assert values(unnamed) == ["a", "b"]
        path.write_bytes(compress(b""))
        assert values(path) == []

    @pytest.mark.parametrize(("kind", "suffix", "compress"), KINDS)
    def test_from_a_pipe(
        self, cli: Cli, bundle: Path, kind: str, suffix: str, compress: Callable[[bytes], bytes]
    ) -> None:
        outcome = cli("encode", bundle, "--field", "t", stdin=compress(b'{"t": "a"}\n{"t": "b"}\n'))
        assert [record["text"] for record in outcome.lines] == ["a", "b"]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
    @pytest.mark.parametrize(("kind", "suffix", "compress"), KINDS)
    @pytest.mark.parametrize("named", [True, False])
    def test_from_a_pipe_little_by_little(
        self, tmp_path: Path, kind: str, suffix: str, compress: Callable[[bytes], bytes], named: bool
    ) -> None:
        """What is there at first may not be all that tells what it is."""
        if kind == "zstd" and named:  # what pzstd writes first
            content = b"\x5c*M\x18\x04\0\0\0abcd" + compress(CONTENT)
        else:
            content = compress(CONTENT)
        assert piped(tmp_path / (f"pipe{suffix}" if named else "pipe"), content) == LINES

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
    @pytest.mark.parametrize("content", ["", "B", "BZh", "BZh91A and more", "\x1f", "PAR", "\u2028"])
    def test_text_little_by_little(self, tmp_path: Path, content: str) -> None:
        expected = content.splitlines() if content.isascii() and "\x1f" not in content else [content]
        assert piped(tmp_path / "pipe", content.encode()) == expected

    @pytest.mark.parametrize(("kind", "suffix", "compress"), KINDS)
    def test_cut_off(
        self, tmp_path: Path, kind: str, suffix: str, compress: Callable[[bytes], bytes]
    ) -> None:
        path = tmp_path / f"texts{suffix}"
        whole = compress(CONTENT)
        said = f"FILE is cut off: its {kind} data does not end; get the whole file"
        for keep in (len(whole) - 1, len(whole) - 5, len(whole) // 2, 12):
            path.write_bytes(whole[:keep])
            assert refused(path) == said, keep
        path.write_bytes(whole + whole[:20])
        assert refused(path) == said

    @pytest.mark.parametrize(("kind", "suffix", "compress"), KINDS)
    @pytest.mark.parametrize("garbage", [b"garbage", b"x", b"\n", b"\x1f", b"PK\x03\x04" * 30])
    def test_something_after_the_end(
        self, tmp_path: Path, kind: str, suffix: str, compress: Callable[[bytes], bytes], garbage: bytes
    ) -> None:
        path = tmp_path / f"texts{suffix}"
        path.write_bytes(compress(CONTENT) + garbage)
        assert refused(path) in (
            f"FILE has something after its end that is not {kind}: get it again, or cut that off",
            f"FILE is cut off: its {kind} data does not end; get the whole file",
        )

    @pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
    def test_padding(self, tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
        path = tmp_path / "texts"
        path.write_bytes(compress(b"a\n") + b"\0" * 512 + compress(b"b\n") + b"\0" * 2000)
        assert values(path) == ["a", "b"]

    @pytest.mark.parametrize(("kind", "suffix", "compress"), KINDS)
    def test_damaged(
        self, tmp_path: Path, kind: str, suffix: str, compress: Callable[[bytes], bytes]
    ) -> None:
        path = tmp_path / f"texts{suffix}"
        whole = compress(CONTENT)
        found = set()
        for at in range(20, len(whole) - 20, len(whole) // 9):
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            path.write_bytes(damaged)
            if kind == "zstd":  # which has no checksum where none was asked for: other text may come out
                with contextlib.suppress(sestina.InputError):
                    values(path)
                continue
            found.add(refused(path)[:40])
        assert kind == "zstd" or any(each.startswith("FILE is damaged: its") for each in found)

    @pytest.mark.parametrize(("kind", "suffix", "compress"), KINDS)
    def test_a_name_that_is_wrong(
        self, tmp_path: Path, kind: str, suffix: str, compress: Callable[[bytes], bytes]
    ) -> None:
        path = tmp_path / f"texts{suffix}"
        path.write_bytes(b"plain text\n")
        assert refused(path) == f"FILE is not, and is named as {kind} is: rename it, or get it again"
        path.write_bytes(b"")
        assert refused(path) == f"FILE is empty, and is named as {kind} is: rename it, or get it again"

    def test_a_line_that_looks_like_one(self, tmp_path: Path) -> None:
        path = tmp_path / "texts.txt"
        path.write_text("BZh is no archive\nP*M\x18 neither\n")
        assert values(path) == ["BZh is no archive", "P*M\x18 neither"]

    @pytest.mark.parametrize(("kind", "suffix", "compress"), KINDS)
    def test_a_line_without_end(
        self,
        tmp_path: Path,
        kind: str,
        suffix: str,
        compress: Callable[[bytes], bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(compressed, "_PIECE", 1 << 16)
        path = tmp_path / f"texts{suffix}"
        path.write_bytes(compress(b"\0" * (17 << 20)))
        assert refused(path) == "FILE line 1 is longer than 16 MiB: split it"

    def test_without_zstd(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli, bundle: Path
    ) -> None:
        for name in ("zstandard", "compression.zstd"):
            monkeypatch.setitem(sys.modules, name, None)
        path = tmp_path / "texts.zst"
        path.write_bytes(b"\x28\xb5\x2f\xfd rest")
        outcome = cli("encode", bundle, "--input", path)
        assert outcome.code == 2
        assert outcome.err == (
            f'sestina: error: {path} is compressed by zstd: pip install zstandard, or "sestina[table]", to read it\n'
        )

    @zstd_there
    def test_zstd_with_a_skippable_frame(self, tmp_path: Path) -> None:
        path = tmp_path / "texts.zst"
        path.write_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0ping" + zstd(b"a\n") + b"\x5f\x2a\x4d\x18\0\0\0\0")
        assert values(path) == ["a"]


class TestDelimited:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("column", ["text", "2"])
    def test_found(self, tmp_path: Path, delimiter: str, column: str) -> None:
        path = tmp_path / "table.csv"
        cells = [
            ["id", "text", "more"],
            ["1", 'a "quoted", one; two\ttabs|bar', "x"],
            ["2", "two\nlines", ""],
        ]
        quoted = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(quoted).encode())
        expected = [row[1] for row in cells]
        assert values(path, column=column) == (expected[1:] if column == "text" else expected)

    def test_unquoted(self, tmp_path: Path) -> None:
        path = tmp_path / "table.csv"
        path.write_text("id;text\n1;a, b, c\n2;d\n")
        assert values(path, column="text") == ["a, b, c", "d"]
        path.write_text("id\ttext\n1\tit's, so\n")
        assert values(path, column="2") == ["text", "it's, so"]

    @pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x1c"])
    def test_what_ends_a_line_for_unicode_alone(self, tmp_path: Path, mark: str) -> None:
        path = tmp_path / "table.csv"
        path.write_text(f"1;one{mark}two\n2;three\n", "utf-8")
        assert values(path, column="2") == [f"one{mark}two", "three"]

    @pytest.mark.parametrize("suffix", ["tsv", "tab", "TSV", "tsv.gz"])
    def test_tsv(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"table.{suffix}"
        content = b"text,a\tother\none\ttwo\n"
        path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
        assert values(path, column="text,a") == ["one"]

    def test_commas_stay_commas(self, tmp_path: Path) -> None:
        """What was read as CSV before delimiters were looked for still is."""
        path = tmp_path / "table.csv"
        path.write_text("text\nno delimiter; here\nnor; there\n")
        assert values(path, column="text") == ["no delimiter; here", "nor; there"]
        path.write_text("text,id\na;b;c,1\nd;e;f,2\n")
        assert values(path, column="text") == ["a;b;c", "d;e;f"]
        assert values(path, column="1") == ["text", "a;b;c", "d;e;f"]

    @pytest.mark.parametrize(
        ("given", "character"), [("\\t", "\t"), ("tab", "\t"), ("#", "#"), (" ", " "), ("·", "·")]
    )
    def test_named(self, tmp_path: Path, given: str, character: str) -> None:
        path = tmp_path / "table.csv"
        path.write_text(f"id{character}text\n1{character}a,b;c\n", encoding="utf-8")
        assert values(path, column="text", delimiter=given) == ["a,b;c"]

    @pytest.mark.parametrize("given", ["ab", "", '"', "\n", "\r", "\0", "\\n", ",,", "\udc80"])
    def test_no_delimiter(self, tmp_path: Path, given: str) -> None:
        path = tmp_path / "table.csv"
        path.write_text("a\nb\n")
        with pytest.raises(
            sestina.OptionError, match="--delimiter is .*; it must be one character"
        ) as raised:
            TextFile(str(path), column="a", delimiter=given)
        assert "\n" not in str(raised.value)

    def test_a_delimiter_of_what_is_none(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        path = tmp_path / "table.csv"
        path.write_text("a\n")
        outcome = cli("encode", bundle, "--input", path, "--delimiter", ";")
        assert outcome.err.startswith("sestina: error: --delimiter is of CSV: pass --column too")
        assert cli("encode", bundle, "x", "--delimiter", ";").err.startswith(
            "sestina: error: TEXT arguments and"
        )

    def test_rows_of_other_widths(self, tmp_path: Path) -> None:
        path = tmp_path / "table.csv"
        path.write_text("id,text\n1,one\n2,with, a comma\n")
        assert refused(path, column="text") == (
            "FILE line 3 has 3 columns and the first row 2: quote what holds a delimiter, or name another with "
            "--delimiter"
        )
        path.write_text("id,text,more\n1,one\n2,two,,,\n")
        assert values(path, column="text") == ["one", "two"]  # what is left out at the end is empty
        path.write_text("id,text\n1,one\n2\n")
        assert refused(path, column="text") == "FILE line 3 has no column text: the row ends after 1"

    def test_an_error_within_what_the_delimiter_is_told_by(self, tmp_path: Path) -> None:
        path = tmp_path / "table.csv"
        path.write_bytes(b"text;id\na;1\n\xff;2\n")
        assert refused(path, column="text").startswith("FILE line 3 is not UTF-8")

    def test_many_rows_after_the_sample(self, tmp_path: Path) -> None:
        path = tmp_path / "table.csv"
        path.write_text("id;text\n" + "".join(f'{number};"a ""{number}"""\n' for number in range(5000)))
        assert values(path, column="text") == [f'a "{number}"' for number in range(5000)]
        assert [text.line for text in TextFile(str(path), column="text")] == list(range(2, 5002))

    def test_quotes_that_slow_no_one_down(self, tmp_path: Path) -> None:
        path = tmp_path / "table.csv"
        path.write_text("x" + ';"' * 4000 + "\n")
        assert refused(path, column="text").startswith("FILE line 1")


class TestJson:
    def test_inner_fields(self, tmp_path: Path) -> None:
        path = tmp_path / "texts.jsonl"
        records = [{"a": {"b": {"c": "inner"}}}, {"a.b.c": "outer", "a": {"b": {"c": "inner"}}}]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        assert values(path, field="a.b.c") == ["inner", "outer"]

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            ({"x": 1}, "FILE line 1 has no field 'a.b'; its fields are: x"),
            ({"a": {"x": 1}}, "FILE line 1: field 'a' has no field 'b'; its fields are: x"),
            ({"a": {}}, "FILE line 1: field 'a' has no field 'b'; its fields are: none"),
            ({"a": 1}, "FILE line 1: field 'a' is a number; it must be an object with a field 'b'"),
            (
                {"a": [{"b": "x"}]},
                "FILE line 1: field 'a' is an array; it must be an object with a field 'b'",
            ),
            ({"a": "x"}, "FILE line 1: field 'a' is a string; it must be an object with a field 'b'"),
            ({"a": None}, "FILE line 1: field 'a' is null; it must be an object with a field 'b'"),
            ({"a": {"b": 5}}, "FILE line 1: field 'a.b' is a number; it must be a string"),
            ({"a.b": None, "a": {"b": "x"}}, "FILE line 1: field 'a.b' is null; it must be a string"),
        ],
    )
    def test_inner_fields_that_are_none(self, tmp_path: Path, record: dict[str, Any], message: str) -> None:
        path = tmp_path / "texts.jsonl"
        path.write_text(json.dumps(record))
        assert refused(path, field="a.b") == message

    @pytest.mark.parametrize("indent", [None, 2])
    @pytest.mark.parametrize("suffix", [".json", ".json.gz"])
    def test_arrays(self, tmp_path: Path, indent: int | None, suffix: str) -> None:
        path = tmp_path / f"texts{suffix}"
        texts = [*LINES, "", 'naïve é " \\ ]', "注意力", "[1,", "x" * 200_000]

        def write(document: object) -> None:
            content = (
                b"\xef\xbb\xbf \n" + json.dumps(document, indent=indent, ensure_ascii=False).encode() + b"\n "
            )
            path.write_bytes(gzip.compress(content, 1) if suffix.endswith("gz") else content)

        write(texts)
        assert values(path) == texts
        write([{"id": 1.5e-3, "t": {"x": text}} for text in texts])
        assert values(path, field="t.x") == texts
        assert list(TextFile(str(path), "t.x"))[1].where == f"{path} element 2"
        write([])
        assert values(path) == []

    def test_objects_on_lines_are_still_read(self, tmp_path: Path) -> None:
        path = tmp_path / "texts.json"
        path.write_text('{"t": "a"}\n{"t": "b"}\n')
        assert values(path, field="t") == ["a", "b"]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "FILE is empty; it must be a JSON array of strings, or of objects with --field"),
            (b" \n", "FILE is empty; it must be a JSON array of strings, or of objects with --field"),
            (
                b'{"a": "b"}',
                "FILE does not begin with [; it must be a JSON array of strings, or of objects with --field",
            ),
            (
                b'"a"',
                "FILE does not begin with [; it must be a JSON array of strings, or of objects with --field",
            ),
            (b'["a", 5]', "FILE element 2 is a number; it must be a string"),
            (b"[null]", "FILE element 1 is null; it must be a string"),
            (b"[true]", "FILE element 1 is a boolean; it must be a string"),
            (b'[["a"]]', "FILE element 1 is an array; it must be a string"),
            (b'[{"a": 1}]', "FILE element 1 is an object: pass --field NAME to read one of its fields"),
            (b'["a"', "FILE: the file ends after element 1, where , or ] must be"),
            (b'["a" "b"]', "FILE: '\"' stands after element 1, where , or ] must be"),
            (b'["a",]', "FILE element 2 is not valid JSON: Expecting value"),
            (b'["a",', "FILE element 2 is not valid JSON: Expecting value"),
            (b"[", "FILE element 1 is not valid JSON: Expecting value"),
            (b'["a', "FILE element 1 is not valid JSON: Unterminated string starting at"),
            (b'["a"] x', "FILE has something after its array, at element 1: it must be one array"),
            (b'["a"]["b"]', "FILE has something after its array, at element 1: it must be one array"),
            (
                b'["\\ud800"]',
                "FILE element 1 has the lone surrogate \\ud800, which is not text: mend the file",
            ),
        ],
    )
    def test_arrays_that_are_none(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "texts.json"
        path.write_bytes(content)
        assert refused(path) == message

    @pytest.mark.parametrize(
        "content", [b"[" * 100_000, b"[" + b"9" * 5000 + b"]", b'["a", ' + b'{"a":' * 100_000]
    )
    def test_deep_and_long(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "texts.json"
        path.write_bytes(content)
        assert refused(path).startswith("FILE element ")
        assert " is not valid JSON: " in refused(path)

    def test_not_utf8(self, tmp_path: Path) -> None:
        path = tmp_path / "texts.json"
        path.write_bytes(b'["a", "\xff"]')
        assert refused(path).startswith("FILE is not UTF-8 (within 65536 bytes after 0): convert the file")
        path.write_bytes(b'["\xc3')
        assert refused(path).startswith("FILE is not UTF-8")

    def test_a_member_without_end(self, tmp_path: Path) -> None:
        path = tmp_path / "texts.json"
        for content in (b"x" * (17 << 20) + b'"]', b"x" * (34 << 20)):
            path.write_bytes(b'["a", "' + content)
            assert refused(path) == "FILE element 2 is longer than 16 MiB: split it"

    @pytest.mark.parametrize(
        "bad", ["b", "'b'", '{"t": b}', "{b: 1}", '"\\x"', "nul", '{"t" "b"}', '"\\u12x4"']
    )
    def test_a_mistake_before_much(self, tmp_path: Path, bad: str) -> None:
        """It is told as what it is, not as a member of all that follows it."""
        path = tmp_path / "texts.json"
        path.write_text(f'["a", {bad}, ' + '"x", ' * (4 << 20) + '"y"]', "utf-8")
        assert refused(path).startswith("FILE element 2 is not valid JSON: ")

    @pytest.mark.parametrize("piece", range(1, 9))
    def test_whatever_the_pieces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
        monkeypatch.setattr(json_texts, "_PIECE", piece)
        members = [
            {"t": text, "n": [-1.5e-300, True, None, float("-inf")]}
            for text in ("", 'é\n"', "注\u2028", "😀")
        ]
        path = tmp_path / "texts.json"
        for escaped in (True, False):
            path.write_text(json.dumps(members, ensure_ascii=escaped, indent=piece % 2 or None), "utf-8")
            assert values(path, field="t") == [member["t"] for member in members]

    def test_a_number_at_the_end_of_a_piece(self, tmp_path: Path) -> None:
        path = tmp_path / "texts.json"
        path.write_bytes(b"[" + b" " * ((1 << 16) - 3) + b"12345]")
        assert refused(path) == "FILE element 1 is a number; it must be a string"

    def test_bad_element_is_found_before_work(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        path = tmp_path / "texts.json"
        path.write_text(json.dumps(["a"] * 5000 + [5]))
        outcome = cli("encode", bundle, "--input", path)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err == f"sestina: error: {path} element 5001 is a number; it must be a string\n"


class TestSeveral:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "deep" / "er").mkdir(parents=True)
        for name in ("b.txt", "a.txt", "c.md", "[x].txt", "x.txt", "deep/d.txt", "deep/er/e.txt"):
            (tmp_path / name).write_text(f"{name}\n")
        return tmp_path

    def test_patterns(self, folder: Path) -> None:
        assert expanded(["*.txt"], "--input") == ["[x].txt", "a.txt", "b.txt", "x.txt"]
        assert expanded(["b.txt", "[ab].txt", "-"], "--input") == ["b.txt", "a.txt", "b.txt", "-"]
        assert expanded(["deep/**/*.txt"], "--input") == ["deep/d.txt", "deep/er/e.txt"]
        assert expanded(["*"], "--input") == ["[x].txt", "a.txt", "b.txt", "c.md", "x.txt"]  # no directories

    @pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
    def test_a_link_to_a_folder_above(self, tmp_path: Path) -> None:
        """Forty times in it, the system says that it is one."""
        for name in ("top.txt", "x/below.txt", "x/y/deep.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("a\n")
        (tmp_path / "x" / "a loop").symlink_to(tmp_path)
        (tmp_path / "a link").symlink_to(tmp_path / "x" / "y")
        (tmp_path / "x" / "other.txt").symlink_to(tmp_path / "top.txt")  # a file of its own name is one
        expected = ["top.txt", "x/below.txt", "x/other.txt", "x/y/deep.txt"]
        assert expanded([f"{tmp_path}/**/*.txt"], "--input") == [f"{tmp_path}/{name}" for name in expected]
        assert expanded([f"{tmp_path}/*/deep.txt"], "--input") == [f"{tmp_path}/a link/deep.txt"]

    def test_what_is_there_is_no_pattern(self, folder: Path) -> None:
        assert expanded(["[x].txt"], "--input") == ["[x].txt"]
        assert expanded(["[[]x].txt"], "--input") == ["[x].txt"]

    @pytest.mark.parametrize("pattern", ["*.none", "dee?", "none/**", "[", "[a", "*\0"])
    def test_nothing(self, folder: Path, cli: Cli, bundle: Path, pattern: str) -> None:
        for command in (("encode", bundle, "--input"), ("search", bundle, "q", "--in")):
            outcome = cli(*command, pattern)
            assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
            assert "stands for no file" in outcome.err or "cannot be" in outcome.err

    def test_encode(self, folder: Path, cli: Cli, bundle: Path) -> None:
        outcome = cli(
            "encode", bundle, "--input", "deep/**/*.txt", "--input", "-", "--input", "a.txt", stdin=b"p\n"
        )
        assert [record["text"] for record in outcome.lines] == ["deep/d.txt", "deep/er/e.txt", "p", "a.txt"]

    def test_standard_input_twice(self, folder: Path, cli: Cli, bundle: Path) -> None:
        outcome = cli("encode", bundle, "--input", "-", "--input", "-", stdin=b"a\n")
        assert (
            outcome.err == "sestina: error: --input - is there twice: standard input can be read only once\n"
        )

    def test_the_output_is_none_of_them(self, folder: Path, cli: Cli, bundle: Path) -> None:
        (folder / "v.jsonl").write_text('{"t": "a"}\n')
        (folder / "u.jsonl").write_text('{"t": "a"}\n')
        outcome = cli("encode", bundle, "--input", "*.jsonl", "--field", "t", "--output", "v.jsonl")
        assert outcome.err == "sestina: error: v.jsonl is the input file too: name another output\n"

    def test_messages_name_the_file(self, folder: Path, cli: Cli, bundle: Path) -> None:
        (folder / "z.txt").write_bytes(b"a\n\xff\n")
        assert "z.txt line 2 is not UTF-8" in cli("encode", bundle, "--input", "*.txt").err

    def test_search(self, folder: Path, cli: Cli, bundle: Path) -> None:
        (folder / "p.txt").write_text("the model\nother\n")
        (folder / "q.txt").write_text("a\nb\nthe model text\n")
        outcome = cli("search", bundle, "the model", "--in", "[pq].txt", "--top", "2", "--json")
        told = [(each["file"], each["line"], each["text"]) for each in outcome.json["results"]]
        assert told == [("p.txt", 1, "the model"), ("q.txt", 3, "the model text")]
        outcome = cli("search", bundle, "the model", "--in", "p.txt", "--in", "q.txt", "--top", "1")
        assert outcome.out == "1   1.0000  p.txt:1  the model\n"
        outcome = cli("search", bundle, "the model", "--in", "p.txt", "--json")
        assert list(outcome.json["results"][0]) == ["rank", "score", "line", "text"]

    def test_vectors_are_searched_by_themselves(self, folder: Path, cli: Cli, bundle: Path) -> None:
        assert cli("encode", bundle, "a", "--output", "v.npy").code == 0
        outcome = cli("search", bundle, "q", "--in", "v.npy", "--in", "a.txt")
        assert (
            outcome.err == "sestina: error: v.npy holds vectors, and there are 2 files: search it by itself\n"
        )

    def test_texts_of_several_files(self, folder: Path, cli: Cli, bundle: Path) -> None:
        assert cli("encode", bundle, "--input", "[ab].txt", "--output", "v.npy").code == 0
        outcome = cli(
            "search", bundle, "b.txt", "--in", "v.npy", "--texts", "[ab].txt", "--top", "1", "--json"
        )
        (best,) = outcome.json["results"]
        assert (best["file"], best["line"], best["text"]) == ("b.txt", 1, "b.txt")

    def test_count(self, folder: Path) -> None:
        assert TextFiles(["a.txt", "b.txt"]).count() == 2
        assert TextFiles(["a.txt", "-"]).count() is None
