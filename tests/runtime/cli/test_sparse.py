"""What the commands make of a sparse encoder: its facts, its goldens, its speed, and its vectors in files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _made import needs_exporter

pytestmark = needs_exporter

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from _heads import head_checkpoint
    from sestina_export import export

    target = tmp_path_factory.mktemp("sparse") / "splade.sestina"
    return export(head_checkpoint("sparse"), target, precisions=["fp32"]).path


def test_facts(cli: Cli, bundle: Path) -> None:
    shown = cli("inspect", bundle).out
    assert "task        sparse" in shown
    assert "dimensions  147" in shown
    assert "similarity  dot" in shown
    document = cli("inspect", bundle, "--json").json
    assert (document["task"], document["max_active"], document["dimensions"]) == ("sparse", None, 147)
    assert "labels" not in document
    verified = cli("verify", bundle, "--json").json
    assert verified["passed"]
    assert verified["passed_count"] > 30
    found = cli("providers", bundle, "--json").json
    (cpu,) = [each for each in found["providers"] if each["name"] == "cpu"]
    assert (cpu["runs"]["variant"], cpu["runs"]["share"]) == ("cpu-fp32.onnx", 1)


def test_bench(cli: Cli, bundle: Path) -> None:
    document = cli("bench", bundle, "--quick", "--rounds", 1, "--json").json
    assert document["task"] == "sparse"
    assert [each["name"] for each in document["results"]] == ["sestina fp32"]
    assert document["results"][0]["per_second"] > 0


def test_bench_beside_its_source(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from _heads import head_folder
    from sestina_export import export

    folder = head_folder("bert", tmp_path / "checkpoint", kind="MaskedLM")
    made = export(folder, tmp_path / "a.sestina", task="sparse", precisions=["fp32"]).path
    document = cli("bench", made, "--source", folder, "--quick", "--rounds", 1, "--json").json
    ours, peer = document["results"]
    assert (ours["name"], peer["name"]) == ("sestina fp32", "SparseEncoder fp32")
    assert ours["difference"] <= 1e-4
    assert ours["ratio"]["value"] > 0
    other = head_folder("bert", tmp_path / "other", kind="MaskedLM", seed=8)
    refused = cli("bench", made, "--source", other, "--quick", "--rounds", 1)
    assert refused.code == 2
    assert "does not match --source" in refused.err


TEXTS = ["the model", "", "naïve café", "the model", "all you need"]


@pytest.fixture(scope="module")
def vectors(bundle: Path) -> sestina.SparseVectors:
    with sestina.load_sparse_encoder(bundle) as encoder:
        return encoder.encode(TEXTS)


def test_encode_to_lines(cli: Cli, bundle: Path, vectors: sestina.SparseVectors, tmp_path: Path) -> None:
    done = cli("encode", bundle, *TEXTS)
    assert (done.code, done.err) == (0, "")
    assert [list(line) for line in done.lines] == [["text", "indices", "values"]] * len(TEXTS)
    for text, line, vector in zip(TEXTS, done.lines, vectors, strict=True):
        assert line["text"] == text
        assert line["indices"] == vector.indices.tolist()
        assert np.array_equal(np.float32(line["values"]), vector.weights)
    few = cli("encode", bundle, *TEXTS, "--max-active", 3, "--no-text").lines
    assert [line["indices"] for line in few] == [each.indices.tolist() for each in vectors.prune(3)]
    assert {tuple(line) for line in few} == {("indices", "values")}
    source, out = tmp_path / "texts.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"body": "the model"}\n{"body": null}\n', "utf-8")
    assert cli("encode", bundle, "--input", source, "--field", "body", "--output", out).code == 2
    told = cli("encode", bundle, "--input", source, "--field", "body", "--on-null", "zero", "--output", out)
    weights = len(vectors[0])
    assert told.out == f"{out}: 2 sparse vectors of 147 dimensions, {weights} weights\n"
    records = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert records[1] == {"text": None, "indices": [], "values": []}


def test_encode_to_a_matrix(cli: Cli, bundle: Path, vectors: sestina.SparseVectors, tmp_path: Path) -> None:
    source, out = tmp_path / "texts.txt", tmp_path / "out.npz"
    source.write_text("\n".join(TEXTS) + "\n", "utf-8")
    told = cli("encode", bundle, "--input", source, "--output", out, "--json").json
    with sestina.load_sparse_encoder(bundle) as encoder:
        space = encoder.space
    assert told == {
        "output": str(out),
        "format": "npz",
        "count": len(TEXTS),
        "dimensions": 147,
        "space": space,
        "weights": len(vectors.indices),
    }
    with np.load(out, allow_pickle=False) as arrays:
        assert np.array_equal(arrays["indptr"], vectors.starts)
        assert np.array_equal(arrays["indices"], vectors.indices)
        assert np.array_equal(arrays["data"], vectors.weights)
        assert arrays["shape"].tolist() == [len(TEXTS), 147]
        assert (arrays["format"].item(), str(arrays["space"])) == (b"csr", space)
    # The same to a pipe, which cannot be written over, and once more in the place of the first.
    piped = cli("encode", bundle, "--format", "npz", stdin=source.read_bytes())
    assert piped.stdout == out.read_bytes()
    before = out.read_bytes()
    assert cli("encode", bundle, "--input", source, "--output", out).code == 0
    assert out.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out.npz", "texts.txt"]
    assert cli("encode", bundle, "--output", tmp_path / "none.npz", stdin=b"").code == 0
    with np.load(tmp_path / "none.npz") as arrays:
        assert (arrays["shape"].tolist(), arrays["indptr"].tolist()) == ([0, 147], [0])


def test_scipy_reads_it(cli: Cli, bundle: Path, vectors: sestina.SparseVectors, tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    out = tmp_path / "out.npz"
    assert cli("encode", bundle, *TEXTS, "--output", out).code == 0
    matrix = sparse.load_npz(out)
    assert isinstance(matrix, sparse.csr_array)
    assert matrix.dtype == np.float32
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32  # scikit-learn's solvers take no other
    assert np.array_equal(matrix.toarray(), vectors.to_dense())
    with np.load(out) as ours:  # by the names that scipy itself writes, and the space
        sparse.save_npz(tmp_path / "theirs.npz", matrix)
        with np.load(tmp_path / "theirs.npz") as theirs:
            assert set(ours) == {*theirs, "space"}


def test_what_a_sparse_bundle_has_no_form_of(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "out.npz").write_bytes(b"before")
    for options, said in (
        (["--dimensions", 8], "--dimensions is for bundles that embed"),
        (["--output-dtype", "int8"], "--output-dtype is for bundles that embed"),
        (["--vector-column", "v"], "--vector-column is for bundles that embed"),
        (["--format", "npy"], "--format is npy; sparse vectors are npz or jsonl"),
        (["--format", "parquet"], "--format is parquet; sparse vectors are npz or jsonl"),
        (["--output", tmp_path / "a.npy"], "ends in none of .npz, .jsonl: rename it"),
        (["--output", f"{tmp_path / 'shards'}/"], "shards are of dense vectors: name a .npz or .jsonl file"),
        (["--output", tmp_path / "out.npz", "--max-active", 0], "--max-active is 0; it must be at least 1"),
        (["--output", tmp_path / "out.npz", "--max-active", 999], "--max-active is 999; it must be at most"),
        (["--output", tmp_path / "out.npz", "--prompt", "none"], "none"),
        (["--output", tmp_path / "out.npz", "--on-truncate", "error"], "more than"),
    ):
        done = cli("encode", bundle, "a " * 5000, *options)
        assert (done.code, done.out) == (2, "")
        assert said in done.err
        assert done.err.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["out.npz"]
    assert (tmp_path / "out.npz").read_bytes() == b"before"


def test_what_a_dense_bundle_has_no_form_of(cli: Cli) -> None:
    for options, said in (
        (["--max-active", 3], "--max-active is for sparse bundles"),
        (["--format", "npz"], "--format is npz; vectors of this bundle are npy or jsonl"),
        (["--output", "a.npz"], "a.npz ends in none of .npy"),
    ):
        done = cli("encode", "a text", *options)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


def test_a_bundle_that_cannot_be_read_is_told_first(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.sestina").mkdir()
    (tmp_path / "broken.sestina" / "manifest.json").write_text("{")
    for options in (["--max-active", 3], ["--output", tmp_path / "a.npz"]):
        done = cli("encode", tmp_path / "broken.sestina", "a", *options)
        assert (done.code, done.out) == (2, "")
        assert "manifest.json" in done.err
        assert done.err.count("\n") == 1


def test_commands_of_other_tasks(cli: Cli, bundle: Path) -> None:
    for arguments in (("similar", bundle, "a", "b"), ("explain", bundle, "a")):
        done = cli(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "is a bundle of the task sparse, and sestina.load loads embedding" in done.err
        assert done.err.count("\n") == 1
