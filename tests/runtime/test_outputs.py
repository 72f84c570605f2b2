"""The forms in which vectors are handed over: what they hold, that they are found again, and what is refused."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from sestina import Corpus
from sestina._output import OutputForm

TEXTS = [f"the model {at} tokens{' a' * (at % 7)}" for at in range(60)]
FORMS = {"float32": np.float32, "float16": np.float16, "int8": np.int8, "binary": np.uint8}


def formed(vectors: Any, output: str) -> Any:
    """By the definition, in float64."""
    if output == "binary":
        return np.packbits(vectors > 0, axis=1)
    if output == "int8":
        largest = np.abs(vectors.astype(np.float64)).max(axis=1, keepdims=True)
        return np.rint(vectors / np.where(largest, largest, 1) * 127).astype(np.int8)
    return vectors.astype(output)


@pytest.fixture(scope="module")
def int8(bundle: Path) -> Iterator[sestina.Encoder]:
    with sestina.load(bundle, precision="int8", threads=1) as loaded:
        yield loaded


@pytest.mark.parametrize("dimensions", [None, 8, 13])
@pytest.mark.parametrize("output", FORMS)
def test_what_a_form_holds(output: Any, dimensions: int | None, int8: sestina.Encoder) -> None:
    options: dict[str, Any] = {"dimensions": dimensions, "on_empty": "zero"}
    texts = [*TEXTS, "", TEXTS[0]]
    vectors = int8.encode(texts, **options)
    wanted = formed(vectors, output)
    found = int8.encode(texts, output=output, **options)
    assert (found.dtype, found.shape) == (FORMS[output], wanted.shape)
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= (1 if output == "int8" else 0)
    if output == "int8":
        assert (np.abs(found).max(axis=1)[:-2] == 127).all()
    assert np.array_equal(found[0], found[-1])
    assert not found[-2].any()
    assert np.array_equal(list(int8.stream(texts, output=output, **options)), found)
    assert np.array_equal(int8.encode_query(texts, output=output, **options), found)
    assert np.array_equal(int8.encode_document(texts, output=output, **options), found)
    alone = int8.encode(TEXTS[3], output=output, dimensions=dimensions)
    assert (alone.dtype, alone.ndim) == (FORMS[output], 1)
    assert np.array_equal(alone, found[3])  # whatever stood beside it
    empty = int8.encode([], output=output, dimensions=dimensions)
    assert (empty.dtype, empty.shape) == (FORMS[output], (0, wanted.shape[1]))


@pytest.mark.parametrize("output", FORMS)
def test_awaited(output: Any, int8: sestina.Encoder) -> None:
    async def run() -> list[Any]:
        async with sestina.AsyncEncoder(int8) as encoder:
            return await asyncio.gather(*(encoder.encode(text, output=output) for text in TEXTS))

    found = asyncio.run(run())
    assert np.array_equal(found, int8.encode(TEXTS, output=output))
    assert found[0].dtype == FORMS[output]


@pytest.mark.parametrize("output", FORMS)
def test_a_corpus_of_each_form_finds_itself(output: Any, int8: sestina.Encoder) -> None:
    vectors = int8.encode(TEXTS)
    corpus = Corpus(int8.encode(TEXTS, output=output))
    exact = Corpus(vectors).search(vectors, 5)
    for queries in (vectors, int8.encode(TEXTS, output=output)):
        found = corpus.search(queries, 5)
        if output == "binary":
            apart = (formed(vectors, "binary")[:, None] ^ corpus._vectors[None]).astype(np.uint8)
            scores = 1 - 2 * np.unpackbits(apart, axis=2).sum(2) / 32
            np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :5], atol=1e-6)
        else:
            np.testing.assert_allclose(found.scores, exact.scores, atol=0.02)


def test_bits_that_fill_no_byte(int8: sestina.Encoder) -> None:
    vectors = int8.encode(TEXTS, dimensions=13)
    packed = int8.encode(TEXTS, dimensions=13, output="binary")
    assert packed.shape == (60, 2)
    corpus = Corpus(packed)
    assert corpus.dimensions == 16
    signs = np.where(vectors > 0, 1.0, -1.0)
    wanted = -np.sort(-(signs @ signs.T / 13), axis=1)[:, :5]
    np.testing.assert_allclose(corpus.search(vectors, 5).scores, wanted, atol=1e-6)
    assert np.array_equal(corpus.search(packed, 5).indices, corpus.search(vectors, 5).indices)
    for width in (8, 17, 32):
        with pytest.raises(sestina.OptionError, match=f"queries have {width} dimensions, and the corpus 16"):
            corpus.search(np.ones(width), 5)


class TestRescore:
    def test_all_that_was_found_comes_in_the_order_of_the_other_corpus(self) -> None:
        random = np.random.default_rng(7)
        vectors = random.normal(size=(300, 40)).astype(np.float32)
        queries = random.normal(size=(6, 40)).astype(np.float32)
        bits = Corpus(np.packbits(vectors > 0, axis=1))
        coarse = bits.search(queries, 300)
        for metric in ("cosine", "dot", "euclidean", "manhattan"):
            exact = Corpus(vectors, metric=metric)  # type: ignore[arg-type]
            wanted, found = exact.search(queries, 12), exact.rescore(queries, coarse, 12)
            assert np.array_equal(found.indices, wanted.indices)
            np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5, atol=1e-5)
        few = Corpus(vectors).rescore(queries, bits.search(queries, 30), 5)
        for row, candidates in zip(few.indices, bits.search(queries, 30).indices, strict=True):
            assert set(row.tolist()) <= set(candidates.tolist())

    def test_bits_themselves_by_a_query_that_is_not_packed(self) -> None:
        random = np.random.default_rng(8)
        vectors = random.normal(size=(200, 13)).astype(np.float32)
        bits = Corpus(np.packbits(vectors > 0, axis=1))
        signs = np.where(vectors > 0, 1.0, -1.0)
        wanted = (signs @ vectors[5]) / np.sqrt(13) / np.linalg.norm(vectors[5])
        found = bits.rescore(vectors[5], bits.search(vectors[5], 200), 10)
        np.testing.assert_allclose(found.scores[0], -np.sort(-wanted)[:10], atol=1e-6)
        assert found.scores.dtype == np.float32

    def test_of_equal_scores_the_first(self) -> None:
        corpus = Corpus(np.ones((5, 4), np.float32))
        matches = sestina.Matches(np.array([[4, 2, 3]]), np.zeros((1, 3), np.float32))
        assert corpus.rescore(np.ones(4), matches, 2).indices.tolist() == [[2, 3]]
        assert corpus.rescore(np.ones(4), matches, 9).indices.shape == (1, 3)
        assert corpus.rescore(np.ones((0, 4)), corpus.search(np.ones((0, 4)), 3)).indices.shape[0] == 0

    @pytest.mark.parametrize(
        "indices, said",
        [
            (np.array([[0, 5]]), "matches have rows from 0 to 5; there are 5"),
            (np.array([[-1, 0]]), "matches have rows from -1 to 0; there are 5"),
            (
                np.array([[0], [1]]),
                r"matches are int64 of shape \(2, 1\); they must be whole numbers of shape \(1, k\)",
            ),
            (np.array([0]), r"of shape \(1,\)"),
            (np.array([[0.5]]), "matches are float64"),
        ],
    )
    def test_what_is_refused(self, indices: Any, said: str) -> None:
        matches = sestina.Matches(indices, np.zeros(indices.shape, np.float32))
        with pytest.raises(sestina.OptionError, match=said):
            Corpus(np.ones((5, 4), np.float32)).rescore(np.ones(4), matches)


def test_lengths_are_not_lost_in_silence(make_bundle: Any, restated_dot: Any) -> None:
    """A bundle that compares by lengths has no form without them."""
    with sestina.load(restated_dot) as encoder:
        assert not encoder.normalized
        for output in ("int8", "binary"):
            with pytest.raises(sestina.OptionError, match=f"output is '{output}', which keeps no lengths"):
                encoder.encode([], output=output)  # type: ignore[arg-type]
            with pytest.raises(sestina.OptionError, match="keeps no lengths"):
                encoder.stream([], output=output)  # type: ignore[arg-type]
        assert encoder.encode("a", output="float16").dtype == np.float16
    with sestina.load(make_bundle("unigram")) as encoder:  # compared by the cosine
        assert encoder.encode("a", output="int8").dtype == np.int8


@pytest.fixture
def restated_dot(make_bundle: Any, tmp_path: Path) -> Path:
    path = shutil.copytree(make_bundle("unigram"), tmp_path / "dot.sestina")
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    manifest["format_version"] = 2
    manifest["contract"].update(prompts={}, default_prompt=None, similarity="dot")
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return path


def test_what_float16_cannot_hold(int8: sestina.Encoder) -> None:
    form = OutputForm("float16", direction=True)
    with pytest.raises(sestina.OptionError, match="a number beyond 65504"):
        form.of(np.array([[1.0, 7e4]], np.float32))
    assert form.of(np.array([[1e-9, 65504.0]], np.float32)).tolist() == [[0.0, 65504.0]]
    tiny = np.array([[1e-44, -1e-44, 0.0]], np.float32)
    assert OutputForm("int8", direction=True).of(tiny).tolist() == [[127, -127, 0]]


@pytest.mark.parametrize("output", ["float16", "int8", "binary"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_hidden(output: Any, number: float) -> None:
    """int8 made zeros of it, and binary a sign like others."""
    rows = np.array([[1.0, 2.0], [number, 1.0]], np.float32)
    with pytest.raises(sestina.OptionError, match=f"^output is '{output}', and a vector is not finite: "):
        OutputForm(output, direction=True).of(rows)
    np.testing.assert_array_equal(OutputForm("float32", direction=True).of(rows), rows)


@pytest.mark.parametrize("output", ["uint8", "INT8", None, 5])
def test_no_other_form(output: Any, int8: sestina.Encoder) -> None:
    said = f"^{re.escape(f'output is {output!r}; it must be one of float32, float16, int8, binary')}$"
    for call in (int8.encode, int8.stream, int8.encode_query):
        with pytest.raises(sestina.OptionError, match=said):
            call([], output=output)


def test_what_measures_recall_finds_the_forms_in_their_order() -> None:
    """tests/speed/outputs.py, of whose figures the documentation speaks, on vectors that are drawn."""
    path = Path(__file__).parents[1] / "speed" / "outputs.py"
    if not path.is_file():
        pytest.skip("tests/speed is not here")
    spec = importlib.util.spec_from_file_location("speed_outputs", path)
    assert spec is not None
    assert spec.loader is not None
    outputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(outputs)
    random = np.random.default_rng(5)
    vectors = random.normal(size=(2000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = Corpus(vectors[50:]).search(vectors[:50], outputs.K)
    recall = {
        name: outputs.recall(search(vectors[:50]), wanted)
        for name, (_, search) in outputs.forms(vectors[50:]).items()
    }
    assert recall["float16"] > 0.99
    assert recall["int8"] > 0.95
    assert (
        0.1
        < recall["binary"]
        < recall["binary, 40 rescored by int8"]
        < recall["binary, 400 rescored by int8"]
    )
    assert outputs.recall(wanted, wanted) == 1
    assert outputs.recall(wanted._replace(indices=wanted.indices + 5000), wanted) == 0
