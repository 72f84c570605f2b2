"""Parquet and Arrow IPC, in and out. Where pyarrow is: make setup brings it."""

from __future__ import annotations

import gc
import io
import json
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
from sestina._cli.destination import Destination
from sestina._cli.tables.writing import TableWriter
from sestina._cli.texts import Text

pa = pytest.importorskip("pyarrow")
ipc = pytest.importorskip("pyarrow.ipc")
pq = pytest.importorskip("pyarrow.parquet")

Cli = Callable[..., Any]  # the fixture of conftest.py

TEXTS = [
    "the model",
    "",
    "naïve café",
    "a sequence of tokens",
    "the text",
    "words anew",
    "注意力",
    "one more",
]


def table(**columns: Any) -> Any:
    return pa.table(
        {
            "id": pa.array(range(8), pa.int64()),
            "text": TEXTS,
            "tags": [[str(at)] for at in range(8)],
            "kind": pa.array(["x", "y", None, "x"] * 2).dictionary_encode(),
            **columns,
        }
    )


def write(path: Path, content: Any) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(content, path, row_group_size=3)
    else:
        make = ipc.new_stream if path.suffix == ".arrows" else ipc.new_file
        with make(path, content.schema) as writer:
            writer.write_table(content, max_chunksize=3)
    return path


def read(path: Path) -> Any:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as opened:  # which takes two columns of a name
            return opened.read()
    return ipc.open_file(path).read_all()


def vectors(found: Any, column: str = "vector") -> np.ndarray:
    rows: list[list[float]] = found.column(column).to_pylist()
    return np.array(rows, np.float32)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    return write(tmp_path / "in.parquet", table())


class TestTables:
    @pytest.mark.parametrize("into", ["parquet", "arrow"])
    @pytest.mark.parametrize("of", ["parquet", "arrow", "arrows", "feather", "ipc"])
    def test_in_and_out(
        self, cli: Cli, bundle: Path, tmp_path: Path, encoder: sestina.Encoder, of: str, into: str
    ) -> None:
        source, output = write(tmp_path / f"in.{of}", table()), tmp_path / f"out.{into}"
        outcome = cli("encode", bundle, "--input", source, "--column", "text", "--output", output)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == f"{output}: 8 vectors of 32 dimensions\n"
        found = read(output)
        kept = table()
        assert found.column_names == [*kept.column_names, "vector"]
        for name in kept.column_names:
            assert found.column(name).to_pylist() == kept.column(name).to_pylist()
        assert found.schema.field("id").type == pa.int64()
        kind = found.schema.field("vector").type
        assert (pa.types.is_fixed_size_list(kind), kind.list_size, kind.value_type) == (
            True,
            32,
            pa.float32(),
        )
        np.testing.assert_allclose(vectors(found), encoder.encode(TEXTS), atol=1e-6)
        told = {key.decode(): value.decode() for key, value in found.schema.metadata.items()}
        assert told == {
            "sestina.space": encoder.space, "sestina.name": encoder.report().name, "sestina.dimensions": "32", "sestina.dtype": "float32",
            "sestina.precision": encoder.report().precision, "sestina.prompt": "", "sestina.text_column": "text",
            "sestina.vector_column": "vector",
        }  # fmt: skip

    @pytest.mark.parametrize("of", ["npy", "jsonl"])
    def test_into_what_has_no_columns(
        self, cli: Cli, bundle: Path, parquet: Path, tmp_path: Path, encoder: sestina.Encoder, of: str
    ) -> None:
        output = tmp_path / f"out.{of}"
        assert cli("encode", bundle, "--input", parquet, "--column", "text", "--output", output).code == 0
        if of == "npy":
            np.testing.assert_allclose(np.load(output), encoder.encode(TEXTS), atol=1e-6)
        else:
            assert [json.loads(line)["text"] for line in output.read_text("utf-8").splitlines()] == TEXTS

    @pytest.mark.parametrize("into", ["parquet", "arrow"])
    def test_of_lines(
        self, cli: Cli, bundle: Path, tmp_path: Path, encoder: sestina.Encoder, into: str
    ) -> None:
        output = tmp_path / f"out.{into}"
        given = "".join(f"{text}\n" for text in TEXTS).encode()
        argv = ("encode", bundle, "--output", output, "--overwrite")
        assert cli(*argv, "--dimensions", "8", stdin=given).code == 0
        assert read(output).column("text").to_pylist() == TEXTS
        expected = encoder.encode(TEXTS, dimensions=8)
        np.testing.assert_allclose(vectors(read(output)), expected, atol=1e-6)
        assert cli(*argv, "--no-text", "--vector-column", "v", stdin=given).code == 0
        assert read(output).column_names == ["v"]
        assert cli(*argv, stdin=b"").code == 0
        assert (read(output).num_rows, read(output).column_names) == (0, ["text", "vector"])

    def test_on_standard_output(self, cli: Cli, bundle: Path) -> None:
        for form in ("parquet", "arrow"):
            content = io.BytesIO(cli("encode", bundle, "a", "b", "--format", form).stdout)
            found = pq.read_table(content) if form == "parquet" else ipc.open_file(content).read_all()
            assert found.column("text").to_pylist() == ["a", "b"]

    @pytest.mark.parametrize("into", ["parquet", "arrow"])
    def test_without_the_texts(
        self, cli: Cli, bundle: Path, parquet: Path, tmp_path: Path, into: str
    ) -> None:
        output = tmp_path / f"out.{into}"
        argv = ("--input", parquet, "--column", "text", "--output", output, "--no-text")
        assert cli("encode", bundle, *argv).code == 0
        found = read(output)
        assert found.column_names == ["id", "tags", "kind", "vector"]
        assert b"sestina.text_column" not in found.schema.metadata

    @pytest.mark.parametrize(
        "kind",
        [
            pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()),
            pa.dictionary(pa.int32(), pa.large_string()),
            *([pa.string_view()] if hasattr(pa, "string_view") else []),
        ],
        ids=str,
    )  # fmt: skip
    @pytest.mark.parametrize("of", ["parquet", "arrow"])
    def test_texts_of_every_layout(
        self, cli: Cli, bundle: Path, tmp_path: Path, kind: Any, of: str, encoder: sestina.Encoder
    ) -> None:
        plain = pa.array(TEXTS)
        column = plain.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else plain.cast(kind)
        source, output = tmp_path / f"in.{of}", tmp_path / f"out.{of}"
        write(source, pa.table({"t": column}))
        outcome = cli("encode", bundle, "--input", source, "--column", "t", "--output", output)
        assert outcome.err == ""
        assert read(output).column("t").to_pylist() == TEXTS
        np.testing.assert_allclose(vectors(read(output)), encoder.encode(TEXTS), atol=1e-6)

    def test_several_tables(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        for name in ("a", "b"):
            write(tmp_path / f"{name}.parquet", table())
        output = tmp_path / "out.arrow"
        argv = ("encode", bundle, "--input", tmp_path / "?.parquet", "--column", "text", "--output", output)
        argv = (*argv, "--overwrite")
        assert cli(*argv).code == 0
        assert read(output).column("text").to_pylist() == TEXTS * 2
        assert read(output).column("kind").to_pylist() == ["x", "y", None, "x"] * 4
        write(tmp_path / "b.parquet", table(more=list(range(8))))
        assert f"{tmp_path / 'b.parquet'} has other columns than {tmp_path / 'a.parquet'}" in cli(*argv).err

    def test_metadata_is_kept(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        source = write(tmp_path / "in.parquet", table().replace_schema_metadata({"theirs": "kept"}))
        output = tmp_path / "out.parquet"
        assert cli("encode", bundle, "--input", source, "--column", "text", "--output", output).code == 0
        assert read(output).schema.metadata[b"theirs"] == b"kept"

    def test_vectors_beside_vectors(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        """Of a table that was encoded before, what its metadata says is of the new vectors."""
        both = {"title": ["a title", "the text"], "body": ["the model", "words anew"]}
        source, once, twice = (tmp_path / f"{name}.parquet" for name in ("in", "once", "twice"))
        pq.write_table(pa.table(both, metadata={"origin": "here"}), source)
        assert cli("encode", bundle, "--input", source, "--column", "title", "--output", once).code == 0
        again = ("--column", "body", "--vector-column", "of body", "--output-dtype", "int8", "--no-text")
        assert cli("encode", bundle, "--input", once, *again, "--output", twice).code == 0
        found = read(twice)
        assert found.column_names == ["title", "vector", "of body"]
        told = found.schema.metadata
        assert (told[b"sestina.vector_column"], told[b"sestina.dtype"]) == (b"of body", b"int8")
        assert told[b"origin"] == b"here"
        assert b"sestina.text_column" not in told  # which is left out
        outcome = cli("search", bundle, "the model", "--in", twice, "--json")
        hits = [(hit["line"], hit["text"]) for hit in json.loads(outcome.out)["results"]]
        assert hits == [(1, None), (2, None)]
        assert json.loads(outcome.out)["results"][0]["score"] > 0.99

    @pytest.mark.parametrize("into", ["parquet", "arrow"])
    def test_others_of_one_name(self, cli: Cli, bundle: Path, tmp_path: Path, into: str) -> None:
        columns = [pa.array(["the model", "a text"]), pa.array([1, 2]), pa.array([3, 4])]
        source, output = tmp_path / f"in.{into}", tmp_path / f"out.{into}"
        write(source, pa.Table.from_arrays(columns, ["text", "n", "n"]))
        given = ("--input", source, "--column", "text", "--no-text")
        outcome = cli("encode", bundle, *given, "--output", output)
        assert (outcome.code, outcome.err) == (0, "")
        found = read(output)
        assert found.column_names == ["n", "n", "vector"]
        assert [found.column(at).to_pylist() for at in (0, 1)] == [[1, 2], [3, 4]]

    def test_the_only_column_of_texts(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        source = write(tmp_path / "in.parquet", pa.table({"id": [1], "t": ["a"]}))
        assert cli("encode", bundle, "--input", source).lines[0]["text"] == "a"
        source = write(tmp_path / "in.parquet", table())
        assert cli("encode", bundle, "--input", source).err == (
            f"sestina: error: {source} is a table: name the column of texts with --column (text, kind)\n"
        )

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_many_row_groups_in_bounded_memory(self, bundle: Path, tmp_path: Path) -> None:
        """What waits is bounded by bytes: rows of 100 kB are not read by the thousand."""
        source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
        blob = pa.array([np.random.default_rng(0).bytes(100_000)] * 200, pa.binary())
        with pq.ParquetWriter(
            source, pa.schema({"text": pa.string(), "blob": pa.binary()}), compression="none"
        ) as writer:
            for _ in range(15):
                writer.write_table(pa.table({"text": ["a"] * 200, "blob": blob}), row_group_size=200)
        code = (
            "import re, sys\nfrom sestina.__main__ import main\ncode = main(sys.argv[1:])\n"
            "print(int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1]) // 1024)\n"
            "sys.exit(code)"
        )
        command = [sys.executable, "-c", code, "encode", bundle, "--input", source, "--column", "text"]
        command += ["--output", output]
        done = subprocess.run(map(str, command), capture_output=True, text=True, check=True, env=unmeasured())
        assert int(done.stdout.split()[-1]) < 400  # MiB, of which 120 are libraries; all rows are 300 more
        found = pq.ParquetFile(output)
        assert (found.metadata.num_rows, found.metadata.num_row_groups > 1) == (3000, True)


class TestShards:
    def test_of_parquet(self, cli: Cli, bundle: Path, parquet: Path, tmp_path: Path) -> None:
        folder = tmp_path / "out"
        argv = ("encode", bundle, "--input", parquet, "--column", "text", "--output", f"{folder}/")
        argv = (*argv, "--format", "parquet", "--shard-rows", "5")
        assert cli(*argv).code == 0
        told = json.loads((folder / "manifest.json").read_text())
        assert [shard["file"] for shard in told["shards"]] == ["shard-00000.parquet", "shard-00001.parquet"]
        whole = pa.concat_tables([read(folder / shard["file"]) for shard in told["shards"]])
        assert whole.column("id").to_pylist() == list(range(8))
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        (folder / "shard-00001.parquet").write_bytes(b"PAR1")
        assert cli(*argv, "--json").json["encoded"] == 3
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        argv = ("search", bundle, "words anew", "--in", folder, "--top", "1", "--json")
        (best,) = cli(*argv).json["results"]
        assert (best["line"], best["text"]) == (6, "words anew")

    def test_another_column_is_another_run(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        source = write(tmp_path / "in.parquet", table(other=TEXTS[::-1]))
        argv = ("encode", bundle, "--input", source, "--output", f"{tmp_path}/out/", "--format", "parquet")
        assert cli(*argv, "--column", "text").code == 0
        said = "was made with the --column 'text', and this run has 'other'"
        assert said in cli(*argv, "--column", "other").err
        said = "was made with the --vector-column 'vector', and this run has 'v'"
        assert said in cli(*argv, "--column", "text", "--vector-column", "v").err
        assert "choice of --no-text" in cli(*argv, "--column", "text", "--no-text").err


class TestSearch:
    @pytest.mark.parametrize("of", ["parquet", "arrow"])
    def test_saved(self, cli: Cli, bundle: Path, parquet: Path, tmp_path: Path, of: str) -> None:
        output = tmp_path / f"out.{of}"
        assert cli("encode", bundle, "--input", parquet, "--column", "text", "--output", output).code == 0
        saved = cli("search", bundle, "words", "--in", output, "--json").json["results"]
        texts = cli("search", bundle, "words", "--in", parquet, "--column", "text", "--json").json["results"]
        assert [(each["line"], each["text"]) for each in saved] == [(e["line"], e["text"]) for e in texts]
        named = cli("search", bundle, "words", "--in", output, "--column", "kind", "--json")
        assert "column 'kind' is null" in named.err

    def test_another_space_and_width(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        output = tmp_path / "out.parquet"
        assert cli("encode", bundle, "a", "--output", output).code == 0
        other = read(output)
        told = {**other.schema.metadata, b"sestina.space": b"f" * 64}
        pq.write_table(other.replace_schema_metadata(told), output)
        assert f"has vectors of the space {'f' * 64}" in cli("search", bundle, "a", "--in", output).err
        assert cli("encode", bundle, "a", "--output", output, "--dimensions", "8", "--overwrite").code == 0
        assert (
            "has vectors of 8 dimensions; the query has 32" in cli("search", bundle, "a", "--in", output).err
        )

    @pytest.mark.parametrize("bad", [None, float("nan"), "null inside", "type", "gone"])
    def test_vectors_that_are_none(self, cli: Cli, bundle: Path, tmp_path: Path, bad: Any) -> None:
        output = tmp_path / "out.parquet"
        assert cli("encode", bundle, "a", "b", "--output", output).code == 0
        found = read(output)
        metadata, rows = found.schema.metadata, found.column("vector").to_pylist()
        if bad is None:
            rows[1] = None
        elif bad == "null inside":
            rows[1][3] = None
        elif bad == "type":
            rows = [1.0, 2.0]
        else:
            rows[1][3] = bad if isinstance(bad, float) else 0.0
        kind = pa.float32() if bad == "type" else pa.list_(pa.float32(), 32)
        name = "gone" if bad == "gone" else "vector"
        changed = pa.table({"text": ["a", "b"], name: pa.array(rows, kind)})
        pq.write_table(changed.replace_schema_metadata(metadata), output)
        outcome = cli("search", bundle, "a", "--in", output)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        assert str(output) in outcome.err
        assert any(word in outcome.err for word in ("nulls", "not finite", "it must be", "no column"))


class TestBadTables:
    def error(self, cli: Cli, bundle: Path, source: Path, *argv: object, column: str = "text") -> str:
        outcome = cli("encode", bundle, "--input", source, "--column", column, *argv)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
        assert str(source) in outcome.err
        return (
            str(outcome.err).removeprefix("sestina: error: ").removesuffix("\n").replace(str(source), "FILE")
        )

    @pytest.mark.parametrize("of", ["parquet", "arrow", "arrows"])
    @pytest.mark.parametrize("encoded", [False, True])
    def test_null(self, cli: Cli, bundle: Path, tmp_path: Path, of: str, encoded: bool) -> None:
        texts = pa.array([*TEXTS[:6], None, "x"])
        source = write(tmp_path / f"in.{of}", table(text=texts.dictionary_encode() if encoded else texts))
        output = tmp_path / "out.parquet"
        assert (
            self.error(cli, bundle, source, "--output", output)
            == "FILE row 7: column 'text' is null; it must be text"
        )
        assert not output.exists()

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            ("none", "FILE has no column 'none'; its columns are: id, text, tags, kind"),
            ("", "FILE has no column ''; its columns are: id, text, tags, kind"),
            ("1", "FILE has no column '1'; its columns are: id, text, tags, kind"),
            ("id", "FILE: column 'id' is int64; it must hold text (columns that do: text, kind)"),
        ],
    )
    def test_column(self, cli: Cli, bundle: Path, parquet: Path, column: str, message: str) -> None:
        assert self.error(cli, bundle, parquet, column=column) == message

    def test_column_of_lists(self, cli: Cli, bundle: Path, parquet: Path) -> None:
        said = self.error(cli, bundle, parquet, column="tags")
        assert said.startswith("FILE: column 'tags' is list<")
        assert said.endswith(" it must hold text (columns that do: text, kind)")

    def test_two_of_a_name(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
        source = write(tmp_path / "in.arrow", twice)
        assert (
            self.error(cli, bundle, source)
            == "FILE has more than one column 'text'; its columns are: text, text"
        )

    def test_a_column_of_the_vectors_name(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        source, output = (
            write(tmp_path / "in.parquet", table(vector=list(range(8)))),
            tmp_path / "out.parquet",
        )
        for into in (output, f"{tmp_path}/out/"):
            said = self.error(cli, bundle, source, "--output", into, "--format", "parquet")
            assert (
                said
                == "FILE has a column 'vector' already: give the vectors another name with --vector-column"
            )
        argv = ("--input", source, "--column", "text", "--output", output, "--vector-column", "v")
        assert cli("encode", bundle, *argv).code == 0
        assert read(output).column_names[-2:] == ["vector", "v"]
        outcome = cli("encode", bundle, "a", "--output", output, "--vector-column", "text", "--overwrite")
        assert "--vector-column is text" in outcome.err

    def test_no_rows_and_no_columns(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
        pq.write_table(table().slice(0, 0), source)
        assert cli("encode", bundle, "--input", source, "--column", "text", "--output", output).code == 0
        assert read(output).num_rows == 0
        assert read(output).column_names == ["id", "text", "tags", "kind", "vector"]
        pq.write_table(pa.table({}), source)
        assert self.error(cli, bundle, source) == "FILE has no column 'text'; its columns are: none"

    @pytest.mark.parametrize("of", ["parquet", "arrow", "arrows"])
    def test_cut_off(self, cli: Cli, bundle: Path, tmp_path: Path, of: str) -> None:
        source = write(tmp_path / f"in.{of}", table())
        whole = source.read_bytes()
        for keep in (0, 3, 8, len(whole) // 3, len(whole) // 2, len(whole) - 20):
            source.write_bytes(whole[:keep])
            self.error(cli, bundle, source)

    @pytest.mark.parametrize("of", ["parquet", "arrow", "arrows"])
    def test_damaged(self, cli: Cli, bundle: Path, tmp_path: Path, of: str) -> None:
        """Whatever is read, no crash: in a process of its own it would end the test run."""
        source = write(tmp_path / f"in.{of}", table())
        whole = source.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 40)):
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            source.write_bytes(damaged)
            outcome = cli("encode", bundle, "--input", source, "--column", "text", "--format", "npy")
            assert outcome.code in (0, 2), (at, outcome.err)
            assert outcome.code == 0 or outcome.err.count("\n") == 1

    def test_not_utf8(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        raw = pa.array([b"a", b"\xff"], pa.binary())
        text = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
        source = write(tmp_path / "in.parquet", pa.table({"text": text}))
        assert (
            self.error(cli, bundle, source) == "FILE row 2: column 'text' is not valid UTF-8: mend the file"
        )
        source = write(tmp_path / "in.arrow", pa.table({"text": text}))
        assert "UTF" in self.error(cli, bundle, source)

    def test_what_is_no_table(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        source = tmp_path / "in.parquet"
        source.write_bytes(b"id,text\n1,a\n")
        assert self.error(cli, bundle, source).startswith("FILE cannot be read as a table: ")
        packed = tmp_path / "in.parquet.gz"
        packed.write_bytes(b"\x1f\x8b")
        assert self.error(cli, bundle, packed).startswith("FILE is a table in compressed form: unpack it")
        source.write_bytes(b"FEA1rest")
        assert self.error(cli, bundle, source).startswith("FILE is Feather of version 1")
        source.unlink()
        assert self.error(cli, bundle, source) == "FILE cannot be read: No such file or directory"

    def test_options(self, cli: Cli, bundle: Path, parquet: Path) -> None:
        for option in ("--field", "--delimiter"):
            argv = (option, "x") if option == "--field" else (option, ";", "--column", "text")
            outcome = cli("encode", bundle, "--input", parquet, *argv)
            assert outcome.err.startswith(f"sestina: error: {option} is not for {parquet}, a table")

    @pytest.mark.parametrize("name", ["", "\udc80"])
    def test_no_name_for_the_vectors(self, cli: Cli, bundle: Path, tmp_path: Path, name: str) -> None:
        outcome = cli("encode", bundle, "a", "--output", tmp_path / "out.parquet", "--vector-column", name)
        assert (outcome.code, outcome.err.count("\n"), list(tmp_path.iterdir())) == (2, 1, [])
        assert outcome.err.startswith("sestina: error: --vector-column is ")

    def test_a_name_with_a_dot_is_no_way_inside(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        both = pa.table({"a": [{"b": "inner"}], "a.b": ["outer"]})
        for of in ("parquet", "arrow"):
            source = write(tmp_path / f"in.{of}", both)
            assert cli("encode", bundle, "--input", source, "--column", "a.b").lines[0]["text"] == "outer"

    def test_an_existing_table_is_kept(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        output = tmp_path / "out.parquet"
        output.write_bytes(b"kept")
        assert cli("encode", bundle, "a", "--output", output).err == (
            f"sestina: error: {output} exists: name another file, or pass --overwrite\n"
        )
        assert output.read_bytes() == b"kept"
        assert cli("encode", bundle, "a", "--output", output, "--overwrite").code == 0
        assert read(output).num_rows == 1

    @pytest.mark.parametrize("of", ["parquet", "arrow"])
    def test_half_of_it_in_a_pipe_is_no_table(self, bundle: Path, tmp_path: Path, of: str) -> None:
        """What pyarrow does as its writer is collected would end the file."""
        (tmp_path / "in.txt").write_text("the model\n" * 40000 + "\n", "utf-8")
        command = [sys.executable, "-m", "sestina", "encode", str(bundle), "--on-empty", "error"]
        given = ["--input", str(tmp_path / "in.txt"), "--format", of]
        done = subprocess.run([*command, *given], capture_output=True, env=unmeasured(), check=False)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr.decode()
        assert len(done.stdout) > 400  # the first row group, of one text over and over
        with pytest.raises(pa.ArrowException):
            (pq.read_table if of == "parquet" else ipc.open_file)(io.BytesIO(done.stdout))

    @pytest.mark.parametrize("of", ["parquet", "arrow"])
    def test_a_vector_that_is_not_finite(self, of: str) -> None:
        out = Destination(io.BytesIO(), "out", patchable=False)
        row = np.array([1.0, np.nan], np.float32)
        writer = TableWriter(out, of, None, None, "vector", {}, row, nulls=False)
        with pytest.raises(sestina.OutputError, match="the vector of f line 3 is not finite"):
            writer.add(Text("a", "f", 3), row)

    @pytest.mark.parametrize("of", ["parquet", "arrow"])
    def test_what_stops_it_is_all_that_is_said(self, cli: Cli, bundle: Path, tmp_path: Path, of: str) -> None:
        (tmp_path / "in.txt").write_text("the model\n\n", "utf-8")
        given = ("--input", tmp_path / "in.txt", "--on-empty", "error")
        outcome = cli("encode", bundle, *given, "--output", tmp_path / f"out.{of}")
        gc.collect()
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]

    def test_full_disk_leaves_nothing(self, bundle: Path, tmp_path: Path) -> None:
        for form in ("parquet", "arrow"):
            output = tmp_path / f"out.{form}"
            result = subprocess.run(
                [sys.executable, "-m", "sestina", "encode", str(bundle), "--output", str(output)],
                input="".join(f"text {number}\n" for number in range(900)).encode(),
                capture_output=True,
                check=False,
                env=unmeasured(),
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
            )
            assert (result.returncode, result.stdout) == (2, b"")
            assert result.stderr == f"sestina: error: {output} cannot be written: File too large\n".encode()
            assert list(tmp_path.iterdir()) == []


def test_without_pyarrow(
    cli: Cli, bundle: Path, parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = 'sestina: error: tables need pyarrow, which is not installed: pip install "sestina[table]"\n'
    assert cli("encode", bundle, "--input", parquet, "--column", "text").err == said
    assert cli("encode", bundle, "a", "--output", tmp_path / "out.parquet").err == said
    assert cli("encode", bundle, "a", "--output", f"{tmp_path}/out/", "--format", "parquet").err == said
    assert cli("search", bundle, "a", "--in", parquet).err == said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", ["15.0.2", "9.0"])
def test_an_old_pyarrow(
    cli: Cli, bundle: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(pa, "__version__", version)
    assert cli("encode", bundle, "--input", parquet, "--column", "text").err == (
        f'sestina: error: pyarrow is {version}; tables need 16 or later: pip install --upgrade "sestina[table]"\n'
    )
