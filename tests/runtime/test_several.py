"""Several outputs of one pass: what is asked for, what a text gets in any company, and what is refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _m3 import several_bundle
from _made import kept_bundle
from _tiny import LINES
from sestina import _familiar
from sestina.__main__ import main
from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import read_goldens
from sestina._providers.attached_provider import CPU
from sestina._selection.candidate_session import CandidateSession, Terms
from sestina._session.session import Session

NAMES = ("dense", "sparse", "multi-vector")
TEXTS = [*LINES, "the model", LINES[0], "a", ""]


@pytest.fixture(scope="module")
def bundle() -> Path:
    return several_bundle()


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Any:
    with sestina.load(bundle, threads=2) as loaded:
        yield loaded


def same(left: Any, right: Any) -> bool:
    """Whether two are equal, bit by bit."""
    if left.outputs != right.outputs:
        return False
    equal = [np.array_equal(left.dense, right.dense)] if "dense" in left.outputs else []
    if "sparse" in left.outputs:
        rows = [
            each if isinstance(each, sestina.SparseVectors) else each.rows()
            for each in (left.sparse, right.sparse)
        ]
        equal += [
            np.array_equal(getattr(rows[0], name), getattr(rows[1], name))
            for name in ("starts", "indices", "weights")
        ]
    if "multi-vector" in left.outputs:
        matrices = [
            each if isinstance(each, list) else [each] for each in (left.multi_vector, right.multi_vector)
        ]
        equal += [np.array_equal(*pair) for pair in zip(*matrices, strict=True)]
    return all(equal)


def test_all_come_of_one_pass(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[list[str]] = []
    run = Session.feed_for

    def counted(self: Session, outputs: Any, feeds: Any, start: int = 0) -> Any:
        runs.append([*outputs])
        return run(self, outputs, feeds, start)

    monkeypatch.setattr(Session, "feed_for", counted)
    with sestina.load(bundle) as encoder:
        encoder.encode("the model", outputs=NAMES)
        assert runs == [["sentence_embedding", "token_weights", "token_embeddings"]]
        runs.clear()
        encoder.encode(["the model", "a model"], outputs=("sparse", "dense"))
        assert runs == [["token_weights", "sentence_embedding"]]
        runs.clear()
        encoder.encode("the model")
        encoder.encode(["the model"], outputs=["dense"])
        assert runs == [["sentence_embedding"]] * 2


def test_who_asks_for_vectors_alone_opens_a_graph_that_computes_nothing_else(encoder: Any) -> None:
    """The last layer of all tokens is no part of it, nor are the maps of tokens."""
    sessions = encoder._engine.sessions()
    encoder.encode(["the model"])
    names = [each.name for each in sessions.shared()._session.get_outputs()]
    assert names == ["sentence_embedding"]
    whole = [each.name for each in sessions.whole_shared()._session.get_outputs()]
    assert whole == ["sentence_embedding", "last_hidden_state", "token_weights", "token_embeddings"]


def test_a_text_gets_the_same_in_any_company(encoder: Any) -> None:
    together = encoder.encode(TEXTS, outputs=NAMES)
    assert together.dense.shape == (len(TEXTS), encoder.dimensions)
    assert np.array_equal(together.dense, encoder.encode(TEXTS))
    for at, text in enumerate(TEXTS):
        alone = encoder.encode(text, outputs=NAMES)
        assert np.abs(alone.dense - together.dense[at]).max() <= 1e-6
        assert alone.sparse.to_pairs() == pytest.approx(together.sparse[at].to_pairs(), abs=1e-6)
        assert np.abs(alone.multi_vector - together.multi_vector[at]).max() <= 1e-6
        assert len(alone.multi_vector) == len(encoder.tokenize(text).ids) - 1
    reverse = encoder.encode(TEXTS[::-1], outputs=NAMES)
    assert np.abs(reverse.dense[::-1] - together.dense).max() <= 1e-6
    assert [len(each) for each in reverse.multi_vector[::-1]] == [len(each) for each in together.multi_vector]


def test_equal_texts_have_matrices_of_their_own(encoder: Any) -> None:
    found = encoder.encode(["the model", "the model"], outputs=["multi-vector"]).multi_vector
    found[0][:] = 0
    assert found[1].any()


def test_special_tokens_weigh_nothing(encoder: Any) -> None:
    row = encoder.encode("the <s> model </s> the", outputs=["sparse"]).sparse
    assert len(row)
    assert not {0, 1, 2, 3} & {*row.indices.tolist()}
    assert row.dimensions == encoder._bundle.manifest.encoder["vocab_size"]


def test_the_names_that_were_given_are_the_order(encoder: Any) -> None:
    found = encoder.encode(["the model"], outputs=["multi-vector", "dense", "dense"])
    assert found.outputs == ("multi-vector", "dense")
    assert repr(found) == "<sestina.Outputs: multi-vector, dense>"
    with pytest.raises(
        sestina.UsageError, match=r"have no sparse: it was not asked for; write outputs=\(.*'sparse'\)"
    ):
        found.sparse  # noqa: B018
    assert encoder.encode([], outputs=NAMES).dense.shape == (0, encoder.dimensions)
    assert len(encoder.encode([], outputs=NAMES).sparse) == 0


@pytest.mark.parametrize(
    "outputs, said",
    [
        (
            "dense",
            "outputs is 'dense'; it must be a sequence of one or more names: this bundle has 'dense', 'sparse'",
        ),
        ((), r"outputs is \(\); it must be a sequence of one or more names"),
        (7, "outputs is 7; it must be a sequence"),
        (["dense", "colbert"], "outputs has 'colbert'; this bundle has 'dense', 'sparse', 'multi-vector'"),
        ([None], "outputs has None; this bundle has"),
        ({"dense"}, "it must be a sequence"),
        (
            memoryview(np.ones((2, 2))),
            "outputs is <memory at .*>; it must be a sequence",
        ),  # raises where it is read
    ],
    ids=range(7),
)
def test_names_that_are_none_are_one_line(encoder: Any, outputs: Any, said: str) -> None:
    with pytest.raises(sestina.OptionError, match=said) as error:
        encoder.encode(["a"], outputs=outputs)
    assert "\n" not in str(error.value)


def test_a_bundle_without_them_says_what_it_has() -> None:
    with sestina.load(kept_bundle()) as encoder:
        assert encoder.outputs == ("dense",)
        assert np.array_equal(encoder.encode(["a"], outputs=["dense"]).dense, encoder.encode(["a"]))
        with pytest.raises(sestina.OptionError, match="outputs has 'sparse'; this bundle has 'dense'$"):
            encoder.encode(["a"], outputs=["dense", "sparse"])


def test_width_and_form_are_those_of_the_dense_vectors(encoder: Any) -> None:
    whole, cut = (
        encoder.encode(TEXTS, outputs=NAMES, **options)
        for options in ({}, {"dimensions": 8, "output": "float16"})
    )
    assert cut.dense.dtype == np.float16
    assert np.array_equal(cut.dense, encoder.encode(TEXTS, dimensions=8, output="float16"))
    assert all(map(np.array_equal, cut.multi_vector, whole.multi_vector))
    assert encoder.encode("a", outputs=NAMES, output="binary").dense.shape == (4,)
    for options in ({"dimensions": 8}, {"output": "int8"}):
        with pytest.raises(sestina.OptionError, match="are of dense vectors, and outputs has none"):
            encoder.encode(TEXTS, outputs=["sparse"], **options)


def test_texts_that_are_cut_empty_or_null(encoder: Any) -> None:
    long = "the model " * 60
    with pytest.warns(sestina.TruncationWarning, match="2 texts"):
        found = encoder.encode([long, "a", long], outputs=NAMES)
    assert len(found.multi_vector[0]) == encoder.max_tokens - 1
    with pytest.raises(sestina.TruncationError):
        encoder.encode(long, outputs=["sparse"], on_truncate="error")
    found = encoder.encode(["", None, "a"], outputs=NAMES, on_empty="zero", on_null="zero")
    assert not found.dense[:2].any()
    assert found.dense[2].any()
    assert [len(each) for each in found.sparse][:2] == [0, 0]
    assert [each.shape for each in found.multi_vector[:2]] == [(0, 16), (0, 16)]
    with pytest.warns(sestina.EmptyTextWarning, match="is empty and got zeros, no weights and no rows"):
        alone = encoder.encode("", outputs=NAMES, on_empty="warn")
    assert (alone.dense.any(), len(alone.sparse), alone.multi_vector.shape) == (False, 0, (0, 16))
    with pytest.raises(sestina.TextTypeError, match="1"):
        encoder.encode(["a", None], outputs=NAMES)


def test_prompts_stand_before_all(encoder: Any) -> None:
    named, written = (
        encoder.encode(["model"], outputs=NAMES, **options)
        for options in ({"prompt": "query"}, {"prompt_text": "the "})
    )
    assert same(named, written)
    assert not same(named, encoder.encode(["model"], outputs=NAMES))
    assert np.array_equal(named.dense, encoder.encode_query(["model"]))
    assert same(named, encoder.encode(["the model"], outputs=NAMES))


def test_other_loaders_give_the_same_numbers(bundle: Path, encoder: Any) -> None:
    found = encoder.encode(TEXTS, outputs=NAMES, prompt="document")
    with sestina.load_sparse_encoder(bundle) as sparse:
        rows = sparse.encode_document(TEXTS)
        assert np.array_equal(rows.indices, found.sparse.indices)
        assert rows.weights == pytest.approx(found.sparse.weights, abs=1e-6)
        assert [*sparse.stream(TEXTS[:2], prompt="document")][1].to_pairs() == pytest.approx(
            found.sparse[1].to_pairs(), abs=1e-6
        )
        again = pickle.loads(pickle.dumps(sparse))
        assert again.encode(TEXTS[0]).to_pairs() == sparse.encode(TEXTS[0]).to_pairs()
        assert sparse.report().variant == encoder.report().variant
        assert sparse.space == encoder.space
        assert sparse.similarity("the model", "the model").shape == (1, 1)
    with sestina.load_multi_vector_encoder(bundle) as vectors:
        assert vectors.dimensions == 16
        matrices = vectors.encode_document(TEXTS)
        assert max(np.abs(a - b).max() for a, b in zip(matrices, found.multi_vector, strict=True)) <= 1e-6
        assert vectors.similarity_function == "meanmaxsim"
        assert pickle.loads(pickle.dumps(vectors)).dimensions == 16


def test_copies_and_coroutines_ask_alike(encoder: Any) -> None:
    wanted = encoder.encode(TEXTS, outputs=NAMES)
    assert same(pickle.loads(pickle.dumps(encoder)).encode(TEXTS, outputs=NAMES), wanted)
    assert same(pickle.loads(pickle.dumps(wanted)), wanted)

    async def ask() -> Any:
        async with sestina.AsyncEncoder(encoder) as asked:
            return await asyncio.gather(asked.encode(TEXTS, outputs=NAMES), asked.encode(TEXTS))

    several, dense = asyncio.run(ask())
    assert same(several, wanted)
    assert np.array_equal(dense, wanted.dense)


def test_a_closed_encoder_and_little_memory(bundle: Path, encoder: Any) -> None:
    with sestina.load(bundle, max_memory_mb=4) as small:
        found = small.encode(TEXTS * 3, outputs=NAMES)
    assert np.abs(found.dense - np.tile(encoder.encode(TEXTS), (3, 1))).max() <= 1e-6
    for texts in ("a", ["a"], []):
        with pytest.raises(sestina.ClosedError):
            small.encode(texts, outputs=NAMES)


def altered(bundle: Path, to: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy whose manifest is another."""
    shutil.copytree(bundle, to)
    document = json.loads((to / "manifest.json").read_text("utf-8"))
    change(document)
    (to / "manifest.json").write_text(json.dumps(document), "utf-8")
    return to


def _results(document: dict[str, Any]) -> Any:
    return document["contract"]["results"]


def _output(document: dict[str, Any], name: str) -> Any:
    return next(each for each in document["variants"][0]["outputs"] if each["name"] == name)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda each: _results(each).clear(), "results has nothing; it must have sparse or multi-vector"),
        (lambda each: _results(each).update(colbert={}), "results has .*'colbert'; it must have"),
        (
            lambda each: each["contract"].update(results=[]),
            "member 'results' is missing or of the wrong type",
        ),
        (lambda each: _results(each)["sparse"].update(skip=[1, 1]), "skip of sparse must be different ids"),
        (
            lambda each: _results(each)["sparse"].update(dimensions=0),
            "dimensions is 0; it must be at least 1",
        ),
        (
            lambda each: _results(each)["sparse"].update(dimensions=10),
            "sparse has 10 dimensions; it must have as many as the encoder's vocab_size, 136",
        ),
        (
            lambda each: _results(each)["sparse"].update(skip=[136]),
            "skip of sparse must be different ids below 136",
        ),
        (
            lambda each: _results(each)["multi-vector"].update(dimensions=17),
            r"has no token_embeddings in float32 of shape \[batch, length, 17\]",
        ),
        (lambda each: _results(each)["multi-vector"].update(first=-1), "first is -1; it must be at least 0"),
        (lambda each: _results(each)["multi-vector"].update(similarity="cosine"), "similarity is 'cosine'"),
        (
            lambda each: _output(each, "token_weights").update(name="weights"),
            "has no token_weights in float32",
        ),
        (
            lambda each: _output(each, "token_weights").update(shape=["batch", 1]),
            "has no token_weights in float32",
        ),
        (
            lambda each: _output(each, "token_weights").update(dtype="float16"),
            "has no token_weights in float32",
        ),
        (lambda each: each["files"].pop(3), r"golden\.sparse\.npy is not listed, and results has sparse"),
        (lambda each: each["variants"][0]["outputs"].pop(2), "has no token_weights in float32"),
    ],
    ids=range(15),
)
def test_a_manifest_that_says_otherwise_is_refused_at_load(
    bundle: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    with pytest.raises(sestina.BundleFormatError, match=said) as error:
        sestina.load(altered(bundle, tmp_path / "altered.sestina", change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change, said",
    [
        (
            lambda each: each.pop(3),
            r"has the outputs \['token_embeddings'\] besides, unlike its manifest entry",
        ),
        (
            lambda each: each.append({**each[3], "name": "token_sums"}),
            r"has the outputs \['sentence_embedding'\], unlike its manifest entry",
        ),
    ],
    ids=["more", "fewer"],
)
def test_a_graph_that_gives_other_results_is_refused_at_load(
    bundle: Path, tmp_path: Path, change: Callable[[list[Any]], object], said: str
) -> None:
    def restate(document: dict[str, Any]) -> None:
        _results(document).pop("multi-vector")
        change(document["variants"][0]["outputs"])

    with pytest.raises(sestina.BundleFormatError, match=said):
        sestina.load(altered(bundle, tmp_path / "altered.sestina", restate))


@pytest.mark.parametrize("name", ["sparse", "multi-vector"])
def test_verify_holds_every_output_to_its_goldens(bundle: Path, tmp_path: Path, name: str) -> None:
    file = f"golden.{name}.npy"
    content = np.load(bundle / file)
    content.flat[0] += 0.02
    path = shutil.copytree(bundle, tmp_path / "altered.sestina")
    np.save(path / file, content)

    def restate(document: dict[str, Any]) -> None:
        entry = next(each for each in document["files"] if each["file"] == file)
        entry["sha256"] = hashlib.sha256((path / file).read_bytes()).hexdigest()

    document = json.loads((path / "manifest.json").read_text("utf-8"))
    restate(document)
    (path / "manifest.json").write_text(json.dumps(document), "utf-8")
    for load in (sestina.load, sestina.load_sparse_encoder, sestina.load_multi_vector_encoder):
        with load(path) as encoder:
            found = encoder.verify()
        assert not found.passed
        assert 0.005 < found.worst_error < 0.05
    with sestina.load(bundle) as encoder:
        assert encoder.verify().passed


def test_an_id_beyond_the_dimensions_makes_no_vector(bundle: Path, tmp_path: Path) -> None:
    """Also where the whole manifest agrees: whoever multiplied by such a row read memory that is not its own."""

    def fewer(document: dict[str, Any]) -> None:
        document["encoder"]["vocab_size"] = _results(document)["sparse"]["dimensions"] = 10

    path = altered(bundle, tmp_path / "altered.sestina", fewer)
    with (
        sestina.load(path) as encoder,
        pytest.raises(
            sestina.BundleFormatError, match="gives the id .*; this bundle's sparse vectors have 10"
        ),
    ):
        encoder.encode(["the model"], outputs=("sparse",))


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_are_held_by_what_is_used_alone(bundle: Path, threads: int) -> None:
    def held(encoder: Any) -> int:
        sessions = encoder._engine.sessions()
        kinds = (sessions._alone, sessions._shared, sessions._whole, sessions._whole_shared)
        return len({id(each) for each in kinds if each is not None})

    with sestina.load(bundle, threads=threads) as encoder:
        encoder.encode(["the model", "a"], outputs=("dense", "sparse"))
        assert held(encoder) == 1
        encoder.report()
        encoder.encode("the model", outputs=("sparse",))
        assert held(encoder) == threads
        encoder.encode(["the model", "a"])
        assert held(encoder) == threads + 1
        encoder.encode(["the model", "a"])
        encoder.encode("the model")
        assert held(encoder) == 2 * threads
    with sestina.load_sparse_encoder(bundle, threads=threads) as sparse:
        sparse.encode(["the model", "a"])
        assert held(sparse) == 1
    with sestina.load_multi_vector_encoder(bundle, threads=threads) as late:
        late.encode_document(["the model", "a"])
        assert held(late) == 1


def test_vectors_of_many_texts_take_their_own_memory(bundle: Path) -> None:
    """Blocks of them, put together at the end, took it twice."""
    texts = [f"the model {number}" for number in range(4000)]
    with sestina.load(bundle, max_memory_mb=4, threads=1) as small:
        small.encode(texts[:10], outputs=("dense", "sparse"))
        tracemalloc.start()
        try:
            small.encode(texts, outputs=("sparse",))
            alone = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            dense = small.encode(texts, outputs=("dense", "sparse")).dense
            both = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert both - alone < 1.6 * dense.nbytes


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda golden: golden["indices"].append(10**6), "golden 1 needs indices"),
        (lambda golden: golden.pop("rows"), "golden 1 has None rows; of [0-9]+ tokens there are"),
        (lambda golden: golden.update(rows=0), "golden 1 has 0 rows; of [0-9]+ tokens there are"),
    ],
    ids=range(3),
)
def test_goldens_that_do_not_fit_are_one_line(
    bundle: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    path = shutil.copytree(bundle, tmp_path / "altered.sestina")
    goldens = json.loads((path / "golden.json").read_text("utf-8"))
    change(goldens["goldens"][1])
    (path / "golden.json").write_text(json.dumps(goldens), "utf-8")
    document = json.loads((path / "manifest.json").read_text("utf-8"))
    entry = next(each for each in document["files"] if each["file"] == "golden.json")
    content = (path / "golden.json").read_bytes()
    entry.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (path / "manifest.json").write_text(json.dumps(document), "utf-8")
    with (
        sestina.load(path) as encoder,
        pytest.raises(sestina.BundleFormatError, match=said),
    ):
        encoder.verify()


def test_a_provider_is_held_to_the_goldens_of_all(bundle: Path, tmp_path: Path) -> None:
    """As one that computes the tokens' weights otherwise would be: the CPU, and goldens of something else."""

    def opened(path: Path) -> float:
        held = Bundle(path)
        terms = Terms(1, strict=False, goldens=tuple(read_goldens(held)), contexts=None)
        candidate = CandidateSession(held, held.manifest.variants[0], CPU, terms)
        candidate.open(None)
        assert candidate.probe is not None
        return candidate.probe.error

    assert opened(bundle) < 1e-5
    path = shutil.copytree(bundle, tmp_path / "altered.sestina")
    content = np.load(path / "golden.sparse.npy") + np.float32(0.01)
    np.save(path / "golden.sparse.npy", content)
    document = json.loads((path / "manifest.json").read_text("utf-8"))
    entry = next(each for each in document["files"] if each["file"] == "golden.sparse.npy")
    entry["sha256"] = hashlib.sha256((path / "golden.sparse.npy").read_bytes()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(sestina.ProviderError, match=r"its vectors are 0\.0\d+ from PyTorch's"):
        opened(path)


@pytest.mark.parametrize("name", _familiar.MULTI_VECTOR)
def test_another_library_s_names_say_what_to_write(bundle: Path, name: str) -> None:
    with sestina.load_multi_vector_encoder(bundle) as vectors:
        for call in (
            vectors.encode_query,
            vectors.encode_document,
            vectors.score,
            vectors.rank,
            vectors.maxsim,
        ):
            with pytest.raises(
                sestina.UsageError, match=f"{call.__name__} has no argument '{name}': "
            ) as error:
                call("a", **{name: 1})
            assert str(error.value).endswith(_familiar.MULTI_VECTOR[name])


def test_another_library_s_attributes_say_what_to_write(bundle: Path) -> None:
    with sestina.load_multi_vector_encoder(bundle) as vectors:
        for name, advice in _familiar.MULTI_VECTOR_ATTRIBUTES.items():
            with pytest.raises(
                sestina.UnknownAttributeError, match=f"MultiVectorEncoder has no attribute '{name}'"
            ) as error:
                getattr(vectors, name)
            assert str(error.value).endswith(advice)
        assert not hasattr(vectors, "anything_else")


def test_inspect_says_what_there_is(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert "  sparse        a weight of each of 136 tokens\n" in shown
    assert "  multi-vector  16 dimensions of each token; meanmaxsim\n" in shown
    assert main(["inspect", str(bundle), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert results["multi-vector"] == {"dimensions": 16, "first": 1, "similarity": "meanmaxsim"}
    assert main(["inspect", str(kept_bundle()), "--json"]) == 0
    assert "results" not in json.loads(capsys.readouterr().out)
