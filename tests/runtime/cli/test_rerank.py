"""`sestina rerank`, `sestina search --rerank`, and what other commands make of a reranker."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sestina
from _made import needs_exporter
from sestina._bundle.default import default_bundle

pytestmark = needs_exporter

Cli = Callable[..., Any]
TEXTS = ["numbers are tokens", "attention relates the tokens", "a", "the model embeds the text", "b c"]
QUERY = "the model"


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from _heads import head_checkpoint
    from sestina_export import export

    target = tmp_path_factory.mktemp("rerank") / "reranker.sestina"
    return export(head_checkpoint("rerank"), target, precisions=["fp32"]).path


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    path = tmp_path / "passages.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS), "utf-8")
    return path


def best(reranker: Path, top: int) -> list[tuple[int, str]]:
    with sestina.load_reranker(reranker) as loaded:
        return [(each.position + 1, each.text) for each in loaded.rank(QUERY, TEXTS, top)]


def test_rerank(cli: Cli, reranker: Path, passages: Path) -> None:
    done = cli("rerank", reranker, QUERY, "--in", passages, "--top", 3)
    assert done.code == 0
    rows = [line.split(maxsplit=3) for line in done.out.splitlines()]
    assert [(int(row[2]), row[3]) for row in rows] == best(reranker, 3)
    found = cli("rerank", reranker, QUERY, "--in", passages, "--top", 3, "--json").json
    assert [(each["line"], each["text"]) for each in found["results"]] == best(reranker, 3)
    assert found["query"] == QUERY


def test_a_search_that_reranks(cli: Cli, reranker: Path, passages: Path) -> None:
    found = cli("search", QUERY, "--in", passages, "--rerank", reranker, "--top", 2, "--json").json
    assert [(each["line"], each["text"]) for each in found["results"]] == best(reranker, 2)
    plain = cli("search", QUERY, "--in", passages, "--top", 2, "--json").json
    few = cli(
        "search", QUERY, "--in", passages, "--rerank", reranker, "--candidates", 2, "--top", 2, "--json"
    ).json
    assert {each["line"] for each in few["results"]} == {each["line"] for each in plain["results"]}
    assert [each["line"] for each in few["results"]] != [each["line"] for each in found["results"]]


def given(folder: Path, kind: str, texts: list[str | None]) -> tuple[object, ...]:
    """The texts in files of a kind, and the options that read them."""
    objects = [json.dumps({"page": {"body": text}}) + "\n" for text in texts]
    if kind == "several":
        (folder / "p1.txt").write_text(f"{texts[0]}\n{texts[1]}\n")
        (folder / "p2.txt").write_text("".join(f"{text}\n" for text in texts[2:]))
        return ("--in", folder / "p1.txt", "--in", folder / "p2.txt")
    if kind == "pattern":
        given(folder, "several", texts)
        return ("--in", folder / "p*.txt")
    if kind == "jsonl.gz":
        (folder / "p.jsonl.gz").write_bytes(gzip.compress("".join(objects).encode()))
        return ("--in", folder / "p.jsonl.gz", "--field", "page.body")
    if kind == "json":
        (folder / "p.json").write_text(json.dumps(texts))
        return ("--in", folder / "p.json")
    if kind == "csv":
        (folder / "p.csv").write_text("id;t\n" + "".join(f"7;{text}\n" for text in texts))
        return ("--in", folder / "p.csv", "--column", "t", "--delimiter", ";")
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({"id": range(len(texts)), "t": pa.array(texts)}), folder / "p.parquet")
    return ("--in", folder / "p.parquet", "--column", "t")


@pytest.mark.parametrize("kind", ["several", "pattern", "jsonl.gz", "json", "csv", "parquet"])
def test_whatever_holds_texts(cli: Cli, reranker: Path, tmp_path: Path, kind: str) -> None:
    options = given(tmp_path, kind, [*TEXTS])
    wanted = best(reranker, 3)
    for command in (("rerank", reranker, QUERY), ("search", QUERY, "--rerank", reranker)):
        results = cli(*command, *options, "--top", 3, "--json").json["results"]
        assert [each["text"] for each in results] == [text for _, text in wanted]
        if kind in ("several", "pattern"):
            places = [
                (tmp_path / ("p1.txt" if n <= 2 else "p2.txt"), n if n <= 2 else n - 2) for n, _ in wanted
            ]
            assert [(Path(each["file"]), each["line"]) for each in results] == places
        else:
            lines = [each["line"] - (kind == "csv") for each in results]  # the first row has the names
            assert lines == [n for n, _ in wanted]
            assert "file" not in results[0]


@pytest.mark.parametrize("output", ["v.npy", "v.jsonl", "v.parquet", "v.arrow", "npy/", "parquet/"])
def test_saved_vectors_that_have_texts(
    cli: Cli, reranker: Path, passages: Path, tmp_path: Path, output: str
) -> None:
    if "parquet" in output or "arrow" in output:
        pytest.importorskip("pyarrow")
    folder = output.endswith("/")
    form = ("--format", output.strip("/"), "--shard-rows", 2) if folder else ()
    saved = f"{tmp_path / output}{'/' if folder else ''}"
    assert cli("encode", "--input", passages, "--output", saved, *form).code == 0
    texts = ("--texts", passages) if "npy" in output else ()
    results = cli("search", QUERY, "--in", saved, *texts, "--rerank", reranker, "--top", 3, "--json").json[
        "results"
    ]
    assert [(each["line"], each["text"]) for each in results] == best(reranker, 3)
    if texts:
        refused = cli("search", QUERY, "--in", saved, "--rerank", reranker)
        assert (refused.code, refused.out) == (2, "")
        assert "--rerank reads texts, and " in refused.err
        assert "pass --texts" in refused.err


def test_nulls(cli: Cli, reranker: Path, tmp_path: Path) -> None:
    """A reranker refuses them; what a search found without a text is left out, and told."""
    texts = [*TEXTS[:2], None, *TEXTS[2:], None]
    options = given(tmp_path, "jsonl.gz", texts)
    for refused in (
        cli("rerank", reranker, QUERY, *options),
        cli("search", QUERY, *options, "--rerank", reranker),
    ):
        assert refused.code == 2
        assert "line 3: field 'page.body' is null; it must be a string" in refused.err
    done = cli("search", QUERY, *options, "--on-null", "zero", "--rerank", reranker, "--json")
    assert [each["text"] for each in done.json["results"]] == [text for _, text in best(reranker, 5)]
    path = tmp_path / "p.jsonl.gz"
    assert f"2 that were found (the first is {path} line 3) have no text for --rerank to read" in done.err
    for option in ("--on-null", "--on-empty"):
        unknown = cli("rerank", reranker, QUERY, *options, option, "zero")
        assert unknown.code == 2
        assert option in unknown.err


def test_truncation_is_told_by_line(cli: Cli, reranker: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text(f"a\n{'the model ' * 60}\n", "utf-8")
    done = cli("rerank", reranker, QUERY, "--in", path)
    assert done.code == 0
    said = f"{path} line 2 has together with the query more than 40 tokens; only the beginning was encoded"
    assert said in done.err
    refused = cli("rerank", reranker, QUERY, "--in", path, "--on-truncate", "error")
    assert refused.code == 2
    assert f"{path} line 2 has together with the query more than 40 tokens: shorten it" in refused.err


def test_errors(cli: Cli, reranker: Path, passages: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("", "utf-8")
    for arguments, said in (
        (("rerank", QUERY, "--in", passages), "rerank needs the bundle of a reranker, and none comes with"),
        (("rerank", reranker, " ", "--in", passages), "the query is empty: ask something"),
        (("search", " ", "--in", passages, "--rerank", reranker), "the query is empty: ask something"),
        (("rerank", reranker, QUERY, "--in", passages, "--top", 0), "--top is 0; it must be at least 1"),
        (("search", QUERY, "--in", passages, "--candidates", 5), "--candidates is about --rerank: pass both"),
        (
            ("search", QUERY, "--in", "a.npy", "--rerank", reranker),
            "--rerank reads texts, and a .npy file has",
        ),
        (
            ("search", QUERY, "--in", passages, "--rerank", default_bundle()),
            "sestina.load_reranker loads rerank",
        ),
        (("encode", reranker, "a"), "is a bundle of the task rerank, and sestina.load loads embedding"),
        (("bench", reranker, "--against", "all"), "--against is for bundles that embed"),
    ):
        done = cli(*arguments)
        assert done.code == 2, done
        assert said in done.err
        assert done.err.count("\n") == 1
    empty = cli("rerank", reranker, QUERY, "--in", tmp_path / "empty.txt")
    assert (empty.code, empty.out) == (0, "")
    assert "empty.txt is empty: there is nothing to rank" in empty.err


def test_facts(cli: Cli, reranker: Path) -> None:
    shown = cli("inspect", reranker).out
    assert "task        rerank" in shown
    assert "40 tokens of a query and a document together" in shown
    document = cli("inspect", reranker, "--json").json
    assert (document["task"], document["labels"], document["activation"]) == (
        "rerank",
        ["label 0"],
        "sigmoid",
    )
    verified = cli("verify", reranker, "--json").json
    assert verified["passed"]
    assert verified["passed_count"] > 30


def test_a_damaged_golden_is_found(cli: Cli, reranker: Path, tmp_path: Path) -> None:
    """Negative control: another document in the place of a golden's has other ids and another score."""
    import hashlib
    import shutil

    copied = Path(shutil.copytree(reranker, tmp_path / "other.sestina"))
    goldens = json.loads((copied / "golden.json").read_text("utf-8"))
    goldens["goldens"][4]["pair"] = "another text"
    content = json.dumps(goldens).encode()
    (copied / "golden.json").write_bytes(content)
    manifest = json.loads((copied / "manifest.json").read_text("utf-8"))
    for each in manifest["files"]:
        if each["file"] == "golden.json":
            each.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (copied / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    done = cli("verify", copied)
    assert done.code == 1
    assert "failed: sentence (other token ids" in done.out


def test_bench(cli: Cli, reranker: Path) -> None:
    document = cli("bench", reranker, "--quick", "--rounds", 1, "--json").json
    assert document["task"] == "rerank"
    assert [each["name"] for each in document["results"]] == ["sestina fp32"]
    assert document["results"][0]["per_second"] > 0
    assert "sestina fp32" in cli("bench", reranker, "--quick", "--rounds", 1).out


def test_providers(cli: Cli, reranker: Path) -> None:
    found = cli("providers", reranker, "--json").json
    (cpu,) = [each for each in found["providers"] if each["name"] == "cpu"]
    assert cpu["runs"]["variant"] == "cpu-fp32.onnx"
    assert cpu["runs"]["share"] == 1
    assert "goldens within " in cli("providers", reranker).out.splitlines()[0]
