"""`sestina similar` and `sestina search`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina

Cli = Callable[..., Any]  # the fixture of conftest.py

PASSAGES = [
    "the transformer is a model",
    "",
    "a sestina takes the same words",
    "tokens of a sequence",
    "the model embeds the text",
]
QUERY = "the model"
MUST_HOLD = "it must hold floats or int8 of shape (n, 32), or uint8 of shape (n, 4), eight signs a byte"


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    path = tmp_path / "passages.txt"
    path.write_text("\n".join(PASSAGES) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def saved(tmp_path: Path, encoder: sestina.Encoder) -> Path:
    path = tmp_path / "vectors.npy"
    np.save(path, encoder.encode(PASSAGES))
    return path


@pytest.fixture
def expected(encoder: sestina.Encoder) -> list[tuple[float, int]]:
    """Cosine and line of every passage, the nearest first."""
    cosines = encoder.similarity(QUERY, PASSAGES)[0].tolist()
    return sorted(((cosine, line) for line, cosine in enumerate(cosines, start=1)), reverse=True)


def found(results: list[dict[str, Any]]) -> list[tuple[float, int]]:
    return [(result["score"], result["line"]) for result in results]


class TestSimilar:
    def test_two_texts(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        outcome = cli("similar", bundle, "the model", "a sequence")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == f"{encoder.similarity('the model', 'a sequence')[0, 0]:.4f}\n"

    def test_several(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        one, two = encoder.similarity("the model", ["a", "b\nc"])[0]
        assert cli("similar", bundle, "the model", "a", "b\nc").out == f"{one:7.4f}  a\n{two:7.4f}  b\\nc\n"

    def test_json(self, cli: Cli, bundle: Path, encoder: sestina.Encoder) -> None:
        document = cli("similar", bundle, "the model", "a", "--json", "b").json
        assert document["text"] == "the model"
        assert [result["text"] for result in document["results"]] == ["a", "b"]
        cosines = [result["cosine"] for result in document["results"]]
        np.testing.assert_allclose(cosines, encoder.similarity("the model", ["a", "b"])[0], atol=1e-6)

    def test_truncation_names_the_text(self, cli: Cli, bundle: Path) -> None:
        outcome = cli("similar", bundle, "a", "model " * 100, "--on-truncate", "error")
        assert outcome.err.startswith(
            "sestina: error: text 2 has more than 64 tokens: shorten it, or pass --on"
        )


class TestSearch:
    def test_text_file(
        self, cli: Cli, bundle: Path, passages: Path, expected: list[tuple[float, int]]
    ) -> None:
        document = cli("search", bundle, QUERY, "--in", passages, "--json").json
        assert document["query"] == QUERY
        assert [result["rank"] for result in document["results"]] == [1, 2, 3, 4, 5]
        assert [result["text"] for result in document["results"]] == [
            PASSAGES[line - 1] for _, line in expected
        ]
        np.testing.assert_allclose(found(document["results"]), expected, atol=1e-6)

    def test_for_people(
        self, cli: Cli, bundle: Path, passages: Path, expected: list[tuple[float, int]]
    ) -> None:
        outcome = cli("search", bundle, QUERY, "--in", passages, "--top", "2")
        assert outcome.out == "".join(
            f"{rank}  {score:7.4f}  {line}  {PASSAGES[line - 1]}\n"
            for rank, (score, line) in enumerate(expected[:2], start=1)
        )

    def test_npy(
        self, cli: Cli, bundle: Path, passages: Path, saved: Path, expected: list[tuple[float, int]]
    ) -> None:
        plain = cli("search", bundle, QUERY, "--in", saved, "--json").json["results"]
        np.testing.assert_allclose(found(plain), expected, atol=1e-6)
        assert {result["text"] for result in plain} == {None}
        named = cli("search", bundle, QUERY, "--in", saved, "--texts", passages, "--json").json["results"]
        assert [result["text"] for result in named] == [PASSAGES[line - 1] for _, line in expected]
        assert "the model embeds the text" not in cli("search", bundle, QUERY, "--in", saved).out

    def test_texts_of_another_kind_of_file(self, cli: Cli, bundle: Path, saved: Path, tmp_path: Path) -> None:
        table = tmp_path / "table.csv"
        table.write_text("text\n" + "\n".join(f'"{passage or " "}"' for passage in PASSAGES))
        argv = ("search", bundle, QUERY, "--in", saved, "--texts", table, "--column", "text", "--top", "1")
        (best,) = cli(*argv, "--json").json["results"]
        assert best["text"] == PASSAGES[best["line"] - 2]  # the line in the CSV, whose first is the header

    def test_jsonl_of_encode(
        self, cli: Cli, bundle: Path, passages: Path, tmp_path: Path, expected: list[tuple[float, int]]
    ) -> None:
        saved = tmp_path / "vectors.jsonl"
        cli("encode", bundle, "--input", passages, "--output", saved)
        results = cli("search", bundle, QUERY, "--in", saved, "--json").json["results"]
        np.testing.assert_allclose(found(results), expected, atol=1e-6)
        assert results[0]["text"] == PASSAGES[expected[0][1] - 1]
        packed = tmp_path / "vectors.jsonl.gz"
        packed.write_bytes(gzip.compress(saved.read_bytes()))
        assert cli("search", bundle, QUERY, "--in", packed, "--json").json["results"] == results
        as_texts = cli("search", bundle, QUERY, "--in", saved, "--field", "text", "--json").json["results"]
        np.testing.assert_allclose(found(as_texts), expected, atol=1e-6)

    def test_standard_input(self, cli: Cli, bundle: Path) -> None:
        outcome = cli("search", bundle, QUERY, "--in", "-", "--json", stdin=b"one\nthe model\n")
        assert found(outcome.json["results"])[0] == (pytest.approx(1.0), 2)

    def test_shortened(self, cli: Cli, bundle: Path, tmp_path: Path, encoder: sestina.Encoder) -> None:
        path = tmp_path / "short.npy"
        np.save(path, encoder.encode(PASSAGES, dimensions=8))
        outcome = cli("search", bundle, QUERY, "--in", path, "--dimensions", "8", "--json")
        best = encoder.similarity(
            encoder.encode(QUERY, dimensions=8), encoder.encode(PASSAGES, dimensions=8)
        )[0].max()
        assert outcome.json["results"][0]["score"] == pytest.approx(float(best), abs=1e-6)

    def test_nothing_to_find(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        empty = tmp_path / "empty.npy"
        np.save(empty, np.empty((0, 32), dtype=np.float32))
        for path in (empty, "/dev/null"):
            assert cli("search", bundle, QUERY, "--in", path, "--json").json["results"] == []
            assert cli("search", bundle, QUERY, "--in", path).out == ""

    def test_equal_scores_keep_the_order_and_many_rows_are_read_in_pieces(
        self, cli: Cli, bundle: Path, tmp_path: Path, encoder: sestina.Encoder
    ) -> None:
        path = tmp_path / "many.npy"
        vectors = np.tile(encoder.encode("a sequence"), (9000, 1))
        vectors[[8500, 4100]] = encoder.encode(QUERY)
        np.save(path, vectors)
        results = cli("search", bundle, QUERY, "--in", path, "--top", "4", "--json").json["results"]
        assert [result["line"] for result in results] == [4101, 8501, 1, 2]


class TestBadSearch:
    def error(self, cli: Cli, bundle: Path, *argv: object) -> str:
        outcome = cli("search", bundle, QUERY, *argv)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.count("\n") == 1
        return outcome.err.removeprefix("sestina: error: ").removesuffix("\n")

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (
                np.zeros((2, 8), dtype=np.float32),
                (
                    "has vectors of 8 dimensions; the query has 32: use the bundle and the --dimensions that they "
                    "were encoded with"
                ),
            ),
            (
                np.zeros(32, dtype=np.float32),
                f"holds float32 of shape (32,); {MUST_HOLD}",
            ),
            (
                np.zeros((2, 32), dtype=np.int64),
                f"holds int64 of shape (2, 32); {MUST_HOLD}",
            ),
            (np.array([[0.0] * 32, [np.nan] * 32]), "row 2 is not finite: encode the texts again"),
        ],
    )
    def test_array(self, cli: Cli, bundle: Path, tmp_path: Path, array: np.ndarray, message: str) -> None:
        path = tmp_path / "vectors.npy"
        np.save(path, array)
        assert self.error(cli, bundle, "--in", path) == f"{path} {message}"

    def test_compressed_array(self, cli: Cli, bundle: Path, tmp_path: Path, saved: Path) -> None:
        path = tmp_path / "vectors.npy.gz"
        path.write_bytes(gzip.compress(saved.read_bytes()))
        said = f"{path} is an array in compressed form, which cannot be mapped: unpack it"
        assert self.error(cli, bundle, "--in", path) == said

    def test_not_an_array(self, cli: Cli, bundle: Path, tmp_path: Path, saved: Path) -> None:
        path = tmp_path / "bad.npy"
        np.save(path, np.array([{"pickled": 1}]), allow_pickle=True)
        pickled = path.read_bytes()
        for content in (b"", b"text\n", pickled, saved.read_bytes()[:-1]):
            path.write_bytes(content)
            assert self.error(cli, bundle, "--in", path).startswith(f"{path} is not a whole .npy file: ")
        path.write_bytes(2 * saved.read_bytes())  # of two arrays one would be searched
        size = path.stat().st_size // 2
        said = f"{path} is not a whole .npy file: {size} bytes stand after its array: save one array"
        assert self.error(cli, bundle, "--in", path) == said
        with path.open("wb") as stream:
            np.savez(stream, a=np.zeros((1, 32)))
        said = f"{path} is not a whole .npy file: it holds several arrays"
        assert self.error(cli, bundle, "--in", path) == said

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            (
                {"text": "a"},
                " has no field 'vector': pass --field NAME to read texts from this file, or encode it first",
            ),
            ({"vector": "a"}, ": field 'vector' is not an array of numbers"),
            ({"vector": [[1.0]]}, ": field 'vector' is not an array of numbers"),
            ({"vector": [[1.0], 2.0]}, ": field 'vector' is not an array of numbers"),
            ({"vector": [float("nan")] * 32}, ": field 'vector' is not an array of numbers"),
            ({"vector": []}, ": field 'vector' is not an array of numbers"),
            ({"vector": [0.0] * 32, "text": 1}, ": field 'text' is a number; it must be a string"),
            (
                {"vector": [1, 2, 3]},
                (
                    " has vectors of 3 dimensions; the query has 32: use the bundle and the --dimensions that they "
                    "were encoded with"
                ),
            ),
        ],
    )
    def test_jsonl(
        self, cli: Cli, bundle: Path, tmp_path: Path, record: dict[str, object], message: str
    ) -> None:
        path = tmp_path / "vectors.jsonl"
        path.write_text(json.dumps({"vector": [0.5] * 32}) + "\n" + json.dumps(record))
        assert self.error(cli, bundle, "--in", path) == f"{path} line 2{message}"

    def test_other_number_of_texts(self, cli: Cli, bundle: Path, saved: Path, tmp_path: Path) -> None:
        texts = tmp_path / "texts.txt"
        texts.write_text("one\ntwo\n")
        assert self.error(cli, bundle, "--in", saved, "--texts", texts) == (
            f"{texts} has 2 texts for the 5 vectors of {saved}: name the file that they were made from"
        )

    def test_options(self, cli: Cli, bundle: Path, passages: Path, saved: Path) -> None:
        assert self.error(cli, bundle, "--in", passages, "--texts", passages) == (
            "--texts names the texts of a .npy file; this file has texts of its own"
        )
        assert self.error(cli, bundle, "--in", saved, "--field", "text") == (
            "--field and --column are about texts, and a .npy file has none: pass --texts"
        )
        assert self.error(cli, bundle, "--in", passages, "--top", "0") == "--top is 0; it must be at least 1"

    def test_no_such_file(self, cli: Cli, bundle: Path, tmp_path: Path) -> None:
        for name in ("none.txt", "none.npy", "none.jsonl"):
            path = tmp_path / name
            assert (
                self.error(cli, bundle, "--in", path) == f"{path} cannot be read: No such file or directory"
            )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "content",
    [
        b"", b"junk", b"PK\x03\x04junk",
        b"\x93NUMPY\x01\x00\x05\x00{{{{\n",
        b"\x93NUMPY\x01\x00\x06\x00((((( ",
        b"\x93NUMPY\x01\x00\x50\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1125899906842624, 32), }".ljust(79) + b"\n",
        b"\x93NUMPY\x01\x00\x50\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 32L), }".ljust(79) + b"\n",
    ],
)  # fmt: skip
def test_search_in_junk(content: bytes, cli: Cli, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "junk.npy"
    path.write_bytes(content)
    outcome = cli("search", bundle, QUERY, "--in", path)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"sestina: error: {path} is not a whole .npy file: ")


@pytest.mark.filterwarnings("error")
def test_search_in_vectors_beyond_float32(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "huge.npy"
    np.save(path, np.full((2, 32), 1e300))
    outcome = cli("search", bundle, QUERY, "--in", path)
    assert outcome.err == f"sestina: error: {path} row 1 is not finite: encode the texts again\n"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "vector", [["1", True], ["1"] * 32, [True] * 32, "1", 1, {}, [], [[1.0]], [1e300] * 32, [10**400]]
)
def test_search_takes_only_numbers_as_vectors(vector: Any, cli: Cli, bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "vectors.jsonl"
    path.write_text(json.dumps({"vector": vector}) + "\n")
    outcome = cli("search", bundle, QUERY, "--in", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"sestina: error: {path} line 1: field 'vector' is not an array of numbers\n"


def test_search_in_nothing(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    for name in ("a.txt", "a.jsonl", "a.npy"):
        path = tmp_path / name
        path.write_bytes(b"")
        if name == "a.npy":
            np.save(path, np.zeros((0, 32), np.float32))
        outcome = cli("search", bundle, QUERY, "--in", path)
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err == f"sestina: warning: {path} is empty: there is nothing to search\n"
    outcome = cli("search", bundle, QUERY, "--in", "-", "--json", stdin=b"")
    assert outcome.json["results"] == []
    assert outcome.err == "sestina: warning: standard input is empty: there is nothing to search\n"
