"""Every dtype and every null in every file that holds them: written, read back by search, and gone on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina

Cli = Callable[..., Any]  # the fixture of conftest.py

DTYPES = ["float32", "float16", "int8", "binary"]
TEXTS: list[str | None] = ["the model", None, "", "a sequence of tokens", None, "the text"]
NAMES = [text or "" for text in TEXTS]
OUTPUTS = ["v.npy", "v.jsonl", "v.parquet", "v.arrow", "npy/", "parquet/"]
ZERO = ("--on-null", "zero")
ROWS = ("--shard-rows", "4")


def needs_pyarrow(*names: str) -> None:
    if any(word in name for name in names for word in ("parquet", "arrow")):
        pytest.importorskip("pyarrow")


def source(folder: Path, kind: str, texts: list[Any] = TEXTS) -> tuple[object, ...]:
    """A file of the texts and the options that read it."""
    path = folder / f"in.{kind.rpartition(' ')[2]}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"p": {"t": text}}) + "\n" for text in texts))
    elif kind == "outer jsonl":
        path.write_text(
            "".join(json.dumps({"p": None if text is None else {"t": text}}) + "\n" for text in texts)
        )
    elif kind == "objects json":
        path.write_text(json.dumps([{"p": {"t": text}} for text in texts]))
    elif kind == "json":
        path.write_text(json.dumps(texts))
        return ("--input", path)
    elif kind == "txt":
        path.write_text("".join(f"{text or ''}\n" for text in texts))
        return ("--input", path)
    else:
        import pyarrow as pa
        from pyarrow import feather
        from pyarrow import parquet as pq

        table = pa.table({"id": range(len(texts)), "t": pa.array(texts, pa.string())})
        if kind == "parquet":
            pq.write_table(table, path, row_group_size=2)
        elif kind == "dictionary parquet":
            pq.write_table(table.set_column(1, "t", table.column("t").dictionary_encode()), path)
        else:
            feather.write_feather(table, str(path), compression="uncompressed", chunksize=2)
        return ("--input", path, "--column", "t")
    return ("--input", path, "--field", "p.t")


def stored(path: Path) -> tuple[np.ndarray, list[str | None] | None]:
    """The vectors of an output as they lie there, and its texts if it has them."""
    if path.is_dir():
        parts = [stored(each) for each in sorted(path.glob("shard-*"))]
        texts = [text for _, some in parts for text in some or ()]
        return np.concatenate([vectors for vectors, _ in parts]), texts or None
    if path.suffix == ".npy":
        return np.load(path), None
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return np.array([line["vector"] for line in lines]), [line["text"] for line in lines]
    from pyarrow import feather
    from pyarrow import parquet as pq

    table = pq.read_table(path) if path.suffix == ".parquet" else feather.read_table(str(path))
    flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    name = "t" if "t" in table.column_names else "text"
    return flat.reshape(len(table), -1), table.column(name).to_pylist()


def searched(cli: Cli, bundle: Path, path: Path, *options: object) -> list[dict[str, Any]]:
    outcome = cli("search", bundle, "the model", "--in", path, "--json", *options)
    assert (outcome.code, outcome.err) == (0, "")
    results: list[dict[str, Any]] = sorted(outcome.json["results"], key=lambda hit: hit["line"])
    return results


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(
    cli: Cli, bundle: Path, encoder: sestina.Encoder, tmp_path: Path, name: str, dtype: Any
) -> None:
    needs_pyarrow(name)
    if (name, dtype) == ("v.jsonl", "binary"):
        return  # refused, as test_encode.py holds
    width = ("--dimensions", 13)  # of no whole number of bytes
    form = ("--format", name[:-1], *ROWS) if name.endswith("/") else ()
    output = f"{tmp_path}/{name}"
    given = source(tmp_path, "txt")
    outcome = cli("encode", bundle, *given, "--output", output, "--output-dtype", dtype, *width, *form)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"{output}: 6 vectors of 13 dimensions\n"

    vectors, texts = stored(Path(output))
    wanted = encoder.encode(NAMES, dimensions=13, output=dtype)
    if name != "v.jsonl":
        assert vectors.dtype == wanted.dtype
    assert vectors.dtype.kind == wanted.dtype.kind
    if name.endswith("/"):  # each shard is a corpus of its own
        np.testing.assert_allclose(
            vectors.astype(float),
            np.concatenate(
                [encoder.encode(part, dimensions=13, output=dtype) for part in (NAMES[:4], NAMES[4:])]
            ),
        )
    else:
        np.testing.assert_array_equal(vectors.astype(wanted.dtype), wanted)

    exact = encoder.similarity(
        encoder.encode("the model", dimensions=13), encoder.encode(NAMES, dimensions=13)
    )
    hits = searched(cli, bundle, Path(output), *width)
    off = {"float32": 1e-6, "float16": 1e-3, "int8": 0.02, "binary": 0.6}[dtype]
    np.testing.assert_allclose([hit["score"] for hit in hits], exact[0], atol=off)
    assert [hit["text"] for hit in hits] == (texts or [None] * 6)
    # Of 9 dimensions bits have as many bytes as of 13, and are others.
    refused = cli("search", bundle, "a", "--in", output, "--dimensions", 9)
    if name != "v.npy" or dtype != "binary":
        assert (refused.code, "has vectors of 13 dimensions; the query has 9" in refused.err) == (2, True)


@pytest.mark.parametrize("name", ["v.parquet", "v.arrow", "parquet/", "npy/"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dtype_is_stated(cli: Cli, bundle: Path, tmp_path: Path, name: str, dtype: str) -> None:
    needs_pyarrow(name)
    form = ("--format", name[:-1]) if name.endswith("/") else ()
    output = tmp_path / name.rstrip("/")
    outcome = cli(
        "encode", bundle, "a", "--output", f"{tmp_path}/{name}", "--output-dtype", dtype, "--json", *form
    )
    assert (outcome.json.get("dtype", "float32"), outcome.json["dimensions"]) == (dtype, 32)
    if name.endswith("/"):
        told = json.loads((output / "manifest.json").read_text())
        assert (told["dtype"], told["dimensions"]) == (dtype, 32)
    if name == "npy/":
        return
    import pyarrow as pa
    from pyarrow import ipc
    from pyarrow import parquet as pq

    if name == "v.arrow":
        schema = ipc.open_file(output).schema
    else:
        schema = pq.read_schema(output if output.is_file() else output / "shard-00000.parquet")
    assert (schema.metadata[b"sestina.dtype"], schema.metadata[b"sestina.dimensions"]) == (
        dtype.encode(),
        b"32",
    )
    kind = schema.field("vector").type
    numbers = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8(), "binary": pa.uint8()}
    assert (kind.value_type, kind.list_size) == (numbers[dtype], 4 if dtype == "binary" else 32)


def test_bytes_take_bytes_in_parquet(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    needs_pyarrow("parquet")
    path = tmp_path / "in.txt"
    path.write_text("".join(f"{at} words {at * 7919 % 1000}\n" for at in range(600)))
    sizes = {}
    for dtype in ("float32", "int8"):
        output = tmp_path / f"{dtype}.parquet"
        argv = ("--input", path, "--output", output, "--output-dtype", dtype, "--no-text")
        assert cli("encode", bundle, *argv).code == 0
        sizes[dtype] = output.stat().st_size
    assert sizes["int8"] < 600 * 32 * 1.2 + 4000 < sizes["float32"]


@pytest.mark.parametrize("change", ["dtype", "dimensions", "other dimensions", "type"])
def test_bytes_that_are_not_said_to_be_signs_are_no_vectors(
    cli: Cli, bundle: Path, tmp_path: Path, change: str
) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "v.parquet"
    assert cli("encode", bundle, "a", "--output", path, "--output-dtype", "binary").code == 0
    table = pq.read_table(path)
    told = dict(table.schema.metadata)
    if change == "type":
        kind = pa.list_(pa.int16(), 4)
        table = table.set_column(1, pa.field("vector", kind), table.column("vector").cast(kind))
    elif change == "other dimensions":
        told[b"sestina.dimensions"] = b"33"
    else:
        told.pop(f"sestina.{change}".encode())
    pq.write_table(table.replace_schema_metadata(told), path)
    outcome = cli("search", bundle, "a", "--in", path)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "column 'vector' " in outcome.err


@pytest.mark.parametrize("dtype", ["int8", "binary"])
@pytest.mark.parametrize("name", ["v.npy", "v.jsonl", "v.parquet", "npy/"])
def test_directions_have_no_length(cli: Cli, own_bundle: Path, tmp_path: Path, name: str, dtype: str) -> None:
    """Where vectors of length 1 are compared by their dot product, int8 would outweigh by its scale."""
    needs_pyarrow(name)
    if (name, dtype) == ("v.jsonl", "binary"):
        return
    stated = json.loads((own_bundle / "manifest.json").read_text())
    stated["format_version"] = 2
    stated["contract"]["similarity"] = "dot"
    (own_bundle / "manifest.json").write_text(json.dumps(stated))
    bundle = own_bundle
    output = f"{tmp_path}/{name}"
    given = source(tmp_path, "txt")
    assert cli("encode", bundle, *given, "--output", output, "--output-dtype", dtype).code == 0
    with sestina.load(bundle) as encoder:
        assert (encoder.normalized, encoder.similarity_function) == (True, "dot")
        exact = encoder.similarity("the model", NAMES)[0]
    scores = [hit["score"] for hit in searched(cli, bundle, Path(output))]
    np.testing.assert_allclose(scores, exact, atol=0.02 if dtype == "int8" else 0.6)


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize(
    "kind", ["jsonl", "outer jsonl", "json", "objects json", "parquet", "dictionary parquet", "arrow"]
)
def test_nulls(
    cli: Cli, bundle: Path, encoder: sestina.Encoder, tmp_path: Path, kind: str, name: str
) -> None:
    needs_pyarrow(kind, name)
    given = source(tmp_path, kind)
    output = f"{tmp_path}/{name}"
    form = ("--format", name[:-1], *ROWS) if name.endswith("/") else ()
    argv = ("encode", bundle, *given, "--output", output, *form)
    outcome = cli(*argv)
    assert (outcome.code, Path(output).exists()) == (2, False)
    unit = "line" if "jsonl" in kind else "element" if "json" in kind else "row"
    assert f"{unit} 2" in outcome.err
    assert "is null; it must be" in outcome.err

    outcome = cli(*argv, *ZERO)
    assert (outcome.code, outcome.err) == (0, "")
    vectors, texts = stored(Path(output))
    wanted = encoder.encode(TEXTS, on_null="zero")
    np.testing.assert_allclose(vectors, wanted, atol=1e-6)
    assert [row.any() for row in vectors] == [True, False, True, True, False, True]
    assert texts in (None, TEXTS)

    hits = searched(cli, bundle, Path(output), *(("--texts", *given[1:]) if texts is None else ()))
    assert [hit["text"] for hit in hits] == TEXTS
    assert [hit["score"] == 0 for hit in hits] == [text is None for text in TEXTS]
    # The same texts encoded on the spot.
    spot = ("--in", *given[1:])
    assert "is null; it must be" in cli("search", bundle, "the model", *spot).err
    results = cli("search", bundle, "the model", *spot, *ZERO, "--json").json["results"]
    assert [hit["text"] for hit in sorted(results, key=lambda hit: hit["line"])] == TEXTS


def test_a_null_that_is_no_text_is_told_from_an_empty_one(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    """A pipe is known by its texts alone."""
    output = f"{tmp_path}/out/"
    argv = ("encode", bundle, "--field", "t", *ZERO, "--output", output)
    assert cli(*argv, stdin=b'{"t": null}\n').code == 0
    assert cli(*argv, stdin=b'{"t": null}\n').code == 0
    outcome = cli(*argv, stdin=b'{"t": ""}\n')
    assert (outcome.code, "begun with another input" in outcome.err) == (2, True)


@pytest.mark.parametrize("form", ["npy", "parquet"])
@pytest.mark.parametrize("dtype", ["float16", "int8", "binary"])
def test_a_killed_folder_goes_on_to_the_same_bytes(
    cli: Cli, bundle: Path, tmp_path: Path, dtype: str, form: str
) -> None:
    needs_pyarrow(form)
    given = source(tmp_path, "json")
    options = (*given, "--format", form, "--shard-rows", 2, "--output-dtype", dtype, *ZERO)
    options = (*options, "--on-empty", "zero")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert cli("encode", bundle, *options, "--output", f"{whole}/").code == 0
    expected = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert len(expected) == 4
    # What a run leaves that is killed in its second shard.
    shutil.copytree(whole, killed)
    told = json.loads((killed / "manifest.json").read_text())
    (killed / "unfinished.jsonl").write_text(json.dumps(told["shards"][0]) + "\n")
    for each in told["shards"][1:]:
        (killed / each["file"]).unlink()
    (killed / "manifest.json").write_text(json.dumps({**told, "complete": False, "rows": 6, "shards": []}))
    for other in ("--output-dtype", "--on-null", "--on-empty"):
        at = options.index(other)
        changed = (*options[:at], *options[at + 2 :])
        outcome = cli("encode", bundle, *changed, "--output", f"{killed}/")
        assert outcome.code == 2
        assert other in outcome.err or "is null" in outcome.err
    outcome = cli("encode", bundle, *options, "--output", f"{killed}/", "--json")
    assert (outcome.json["count"], outcome.json["encoded"]) == (6, 4)
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == expected


def test_empty_texts_are_told_of_once_for_a_folder(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    given = source(tmp_path, "txt", ["a", "", "b", " "])
    argv = ("encode", bundle, *given, "--output", f"{tmp_path}/out/", "--shard-rows", 2, "--on-empty")
    outcome = cli(*argv, "warn")
    warning = "2 texts (the first is {} line 2) are empty; a zero vector says nothing"
    assert (outcome.code, outcome.err.strip()) == (0, f"sestina: warning: {warning.format(given[1])}")
    outcome = cli(*argv, "error", "--overwrite")
    assert (outcome.code, "line 2 is empty: leave it out" in outcome.err) == (2, True)
