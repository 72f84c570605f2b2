"""Late interaction as its users call it: matrices, scores, promises, and one clear error for each bad input."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _made import needs_exporter
from sestina._maxsim import maxsim_score

pytestmark = needs_exporter

Cli = Callable[..., Any]
QUERY = "which model, relates tokens"
TEXTS = [
    "attention relates the tokens of a sequence to one another.",
    "",
    "numbers like 1, 23 and 456 are tokens too",
    "...",
    "a",
    "the model embeds the text",
    "the model embeds the text",
]
LONG = "the model embeds the text " * 20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from _heads import late_checkpoint, late_pairs
    from sestina_export import RankGate, export

    target = tmp_path_factory.mktemp("late") / "tiny.sestina"
    gate = RankGate(rank_correlation=0.5, top_overlap=0.2)
    return export(late_checkpoint(), target, gate=gate, calibration=late_pairs()).path


@pytest.fixture
def encoder(bundle: Path) -> Iterator[sestina.MultiVectorEncoder]:
    with sestina.load_multi_vector_encoder(bundle, precision="fp32") as loaded:
        yield loaded


def near(a: list[Any], b: list[Any], most: float = 1e-6) -> bool:
    return all(x.shape == y.shape and np.abs(x - y).max(initial=0) <= most for x, y in zip(a, b, strict=True))


def test_matrices_are_pytorchs(encoder: sestina.MultiVectorEncoder) -> None:
    from _heads import late_checkpoint
    from sestina_model.inputs import Query

    checkpoint = late_checkpoint()
    skip = checkpoint.model.head.late_interaction.document.skip
    queries = encoder.encode_query(TEXTS, on_truncate="ignore")
    documents = encoder.encode_document(TEXTS)
    for at, text in enumerate(TEXTS):
        ids = np.array(checkpoint.tokenize([text])[0])
        assert near([queries[at]], [checkpoint.encode([Query(text)])], 1e-5)
        assert near([documents[at]], [checkpoint.encode([text])[~np.isin(ids, skip)]], 1e-5)
    assert [len(each) for each in queries] == [
        12,
        10,
        12,
        10,
        10,
        10,
        10,
    ]  # filled up to ten, and cut at twelve
    assert len(documents[3]) == 3  # "a ..." without the dots
    assert queries[0].dtype == np.float32
    assert encoder.dimensions == 16
    assert (encoder.max_query_tokens, encoder.max_document_tokens, encoder.similarity_function) == (
        12,
        40,
        "maxsim",
    )


def test_a_matrix_does_not_depend_on_its_neighbours(
    encoder: sestina.MultiVectorEncoder, bundle: Path
) -> None:
    for role in ("query", "document"):
        together = getattr(encoder, f"encode_{role}")(TEXTS, on_truncate="ignore")
        for threads in (1, 3):
            with sestina.load_multi_vector_encoder(bundle, precision="fp32", threads=threads) as other:
                encode = getattr(other, f"encode_{role}")
                assert near([encode(each, on_truncate="ignore") for each in TEXTS], together)
                many = encode([*TEXTS * 50, *map(str, range(300)), *TEXTS], on_truncate="ignore")
            assert near(many[-7:], together)
            assert near(many[:350], together * 50)
        with sestina.load_multi_vector_encoder(bundle, precision="int8") as int8:
            encode = getattr(int8, f"encode_{role}")
            found = encode(TEXTS, on_truncate="ignore")
            assert all(
                (encode(a, on_truncate="ignore") == b).all() for a, b in zip(TEXTS, found, strict=True)
            )


def test_equal_texts_share_nothing(encoder: sestina.MultiVectorEncoder) -> None:
    *_, first, second = encoder.encode_document(TEXTS)
    first[:] = 0
    assert second.any()
    assert all(each.base is None for each in encoder.encode_query(TEXTS, on_truncate="ignore"))


def test_scores_and_ranks(encoder: sestina.MultiVectorEncoder) -> None:
    matrix = encoder.encode_query(QUERY)
    documents = encoder.encode_document(TEXTS)
    scores = encoder.score(QUERY, TEXTS)
    wanted = [(matrix @ each.T).max(1).sum() for each in documents]
    assert scores.dtype == np.float32
    assert np.abs(scores - wanted).max() <= 1e-5
    assert np.abs(scores - wanted[::-1]).max() > 1e-3
    assert encoder.score(matrix, np.array(TEXTS)).tolist() == scores.tolist()
    ranked = encoder.rank(QUERY, TEXTS)
    assert [each.position for each in ranked] == np.argsort(-scores, kind="stable").tolist()
    assert [(each.text, each.score) for each in ranked] == [
        (TEXTS[each.position], scores[each.position]) for each in ranked
    ]
    assert encoder.rank(QUERY, TEXTS, 2) == ranked[:2]
    assert encoder.maxsim(matrix, documents).shape == (7,)
    assert np.abs(encoder.maxsim([matrix, matrix[:3]], documents)[0] - wanted).max() <= 1e-5


def test_maxsim_in_blocks_is_maxsim() -> None:
    generator = np.random.default_rng(5)
    query, document = (generator.normal(size=(n, 24)).astype(np.float32) for n in (9, 700))
    whole = (query @ document.T).max(1).sum()
    for room in (1, 8 * 9 * 7, 1 << 20):
        assert maxsim_score(query, document, room=room) == pytest.approx(whole, abs=1e-4)
        assert maxsim_score(query, document, mean=True, room=room) == pytest.approx(whole / 9, abs=1e-5)
    assert maxsim_score(query, document[:0]) == -1e9
    assert maxsim_score(query[:0], document) == 0


def test_maxsim_stays_in_its_room(encoder: sestina.MultiVectorEncoder) -> None:
    import tracemalloc

    query, document = (np.ones((n, 16), np.float32) for n in (512, 40_000))  # 80 MB of products
    tracemalloc.start()
    scores = encoder.maxsim(query, document, max_memory_mb=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scores.tolist() == [512 * 16]
    assert peak < 6 << 20


@pytest.mark.parametrize("kind", ["f2", "f8"])
def test_matrices_of_other_floats_are_turned_piece_by_piece(
    kind: str, encoder: sestina.MultiVectorEncoder
) -> None:
    import tracemalloc

    query, documents = np.ones((4, 16), kind), [np.ones((2000, 16), kind)] * 100  # 12 MB in float32
    tracemalloc.start()
    scores = encoder.maxsim(query, documents, max_memory_mb=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (scores.dtype, scores.tolist()) == (np.float32, [64.0] * 100)
    assert peak < 3 << 20


def test_scores_beyond_float32_are_refused(encoder: sestina.MultiVectorEncoder) -> None:
    query, document = np.zeros((2, 16), np.float32), np.zeros((2, 16), np.float32)
    query[0, :2], document[0, :2] = 3e38, (3e38, -3e38)
    with pytest.raises(sestina.OptionError, match="too large: their score is beyond float32"):
        encoder.maxsim([query], [document])
    with pytest.raises(sestina.OptionError, match="too large: their score is beyond float32"):
        encoder.score(np.sign(encoder.encode_document("the model")) * np.float32(3e38), ["the model"])


def test_a_ceiling_of_memory(bundle: Path) -> None:
    texts = [f"{each} {number}" for number in range(80) for each in TEXTS]
    with sestina.load_multi_vector_encoder(bundle, precision="fp32") as free:
        wanted = free.score(QUERY, texts)
    with sestina.load_multi_vector_encoder(bundle, precision="fp32", max_memory_mb=1) as small:
        assert small.report().batch_tokens < 512
        assert np.abs(small.score(QUERY, texts) - wanted).max() <= 1e-5


def test_the_mean_of_the_same(tmp_path: Path) -> None:
    from _heads import late_checkpoint
    from sestina_export import export

    made = late_checkpoint(similarity="meanmaxsim", attended=True)
    result = export(made, tmp_path / "mean.sestina", precisions=["fp32"])
    assert [each.name for each in result.manifest.variants[0].inputs] == ["input_ids"]
    with sestina.load_multi_vector_encoder(result.path) as encoder:
        matrix, documents = encoder.encode_query(QUERY), encoder.encode_document(TEXTS)
        wanted = [(matrix @ each.T).max(1).mean() for each in documents]
        assert np.abs(encoder.score(QUERY, TEXTS) - wanted).max() <= 1e-5


def test_texts_beyond_the_limit_are_told(encoder: sestina.MultiVectorEncoder) -> None:
    said = "text 1 has more than 12 tokens, its prompt included; only the beginning was encoded"
    with pytest.warns(sestina.TruncationWarning, match=f"^{said}$") as caught:
        encoder.encode_query(["a", LONG, "b"])
    assert (caught[0].filename, len(caught)) == (__file__, 1)
    # Over the limit of queries, and not of the bundle; and over both, in one call.
    between = "the model embeds the text " * 4
    with pytest.warns(sestina.TruncationWarning, match=r"^3 texts \(the first is text 0\) have more than 12"):
        encoder.encode_query([between, LONG, "a", between + "a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode_document([between])
        encoder.encode_query(LONG, on_truncate="ignore")
    with pytest.raises(sestina.TruncationError, match="^text 2 has more than 40 tokens") as error:
        encoder.encode_document(["a", "b", LONG], on_truncate="error")
    assert error.value.position == 2
    with pytest.raises(sestina.TruncationError, match="^the query has more than 12 tokens"):
        encoder.score(LONG, ["a"], on_truncate="error")
    with pytest.warns(sestina.TruncationWarning, match="^document 1 has more than 40 tokens"):
        encoder.rank("a", ["a", LONG])


def test_nulls_and_empty_texts(encoder: sestina.MultiVectorEncoder) -> None:
    found = encoder.encode_document(["a", None, ""], on_null="zero", on_empty="zero")
    assert [each.shape for each in found] == [(4, 16), (0, 16), (0, 16)]
    assert encoder.encode_query("", on_empty="zero").shape == (0, 16)
    assert encoder.encode_query([None], on_null="zero")[0].shape == (0, 16)
    assert encoder.encode_document([]) == []
    assert encoder.maxsim(encoder.encode_query("a"), found).tolist()[1:] == [-1e9, -1e9]
    with pytest.raises(sestina.TextTypeError, match="row 1 is null; it must be str"):
        encoder.encode_document(["a", None])
    with pytest.raises(
        sestina.EmptyTextError, match="text 0 is empty: .*on_empty='zero' for a matrix without rows"
    ):
        encoder.encode_query([" "], on_empty="error")
    with pytest.warns(sestina.EmptyTextWarning, match="the text is empty and got a matrix without rows"):
        encoder.encode_document("", on_empty="warn")


def test_bad_input(encoder: sestina.MultiVectorEncoder) -> None:
    matrix = encoder.encode_query("a")
    masked, tiny = np.ma.array(matrix, mask=matrix == matrix.max()), matrix.astype(np.float64)
    tiny[3] *= 1e-300
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: encoder.encode_query(5), "texts is int"),  # type: ignore[call-overload]
        (lambda: encoder.encode_document(["a", 5]), "text 1 is int; it must be str"),  # type: ignore[list-item]
        (lambda: encoder.encode_query("\ud800"), "the text has a lone surrogate U+D800"),
        (lambda: encoder.score("", ["a"]), "the query is empty: ask something"),
        (lambda: encoder.score(5, ["a"]), "the query is int; it must be str"),  # type: ignore[arg-type]
        (lambda: encoder.score("a", []), "documents is empty: give at least one"),
        (lambda: encoder.rank("a", "b"), "documents is a str; it must be a sequence of str"),
        (lambda: encoder.rank("a", ["b", None]), "document 1 is null"),  # type: ignore[list-item]
        (lambda: encoder.rank("a", ["b"], 0), "top_k is 0; it must be a whole number"),
        (lambda: encoder.score("a", ["b"], progress=2), "progress is 2; it must be True or False"),  # type: ignore[arg-type]
        (lambda: encoder.encode_query("a", on_truncate="no"), "on_truncate is 'no'"),  # type: ignore[call-overload]
        (lambda: encoder.maxsim("a", ["b"]), "queries is str; it must be a matrix"),  # type: ignore[arg-type,list-item]
        (lambda: encoder.maxsim(matrix, [matrix[:, :3]]), "documents[0] is float32 of shape (10, 3); it must be floats of shape (n, 16)"),
        (lambda: encoder.maxsim(matrix, [matrix, matrix * np.nan]), "documents[1] has numbers that are not finite"),
        (lambda: encoder.maxsim(matrix.astype(int), matrix), "queries is int64 of shape (10, 16)"),  # type: ignore[arg-type]
        (lambda: encoder.maxsim(matrix, matrix, max_memory_mb=0), "max_memory_mb is 0"),
        (lambda: encoder.score(matrix[:, :3], ["a"]), "query is float32 of shape (10, 3)"),
        (lambda: encoder.maxsim(memoryview(matrix), matrix), "queries is memoryview; it must be a matrix"),  # type: ignore[arg-type]
        (lambda: encoder.maxsim(masked, matrix), "the rows of queries have masked values"),
        (lambda: encoder.maxsim(matrix, [matrix, masked]), "the rows of documents[1] have masked values"),
        (lambda: encoder.rank(masked, ["a"]), "the rows of query have masked values"),
        (lambda: encoder.maxsim(matrix, tiny), "documents row 3 is too small for float32: scale it up"),  # type: ignore[arg-type]
        (lambda: encoder.score(tiny, ["a"]), "query row 3 is too small for float32: scale it up"),  # type: ignore[arg-type]
    ]  # fmt: skip
    for call, said in cases:
        with pytest.raises(sestina.SestinaError) as error:
            call()
        assert str(error.value).startswith(said), str(error.value)
        assert "\n" not in str(error.value)


def test_what_every_task_has(encoder: sestina.MultiVectorEncoder, bundle: Path) -> None:
    assert encoder.verify().passed
    assert encoder.report().precision == "fp32"
    assert (
        repr(encoder)
        == "<sestina.MultiVectorEncoder tiny-late: 16 dimensions a token, 40 tokens, fp32 on cpu>"
    )
    wanted = encoder.encode_query(QUERY)
    for again in (pickle.loads(pickle.dumps(encoder)), copy.copy(encoder)):
        with again:
            assert (again.encode_query(QUERY) == wanted).all()
    for closed in (lambda: again.encode_query([]), lambda: again.score(QUERY, [])):
        with pytest.raises(sestina.ClosedError):
            closed()


def test_the_wrong_loader_names_the_right_one(bundle: Path) -> None:
    said = r"is a bundle of the task multi-vector, and sestina\.load loads embedding: use sestina\.load_multi_vector_encoder$"
    with pytest.raises(sestina.OptionError, match=said):
        sestina.load(bundle)
    with pytest.raises(
        sestina.OptionError,
        match=r"sestina\.load_multi_vector_encoder loads multi-vector: use sestina\.load$",
    ):
        sestina.load_multi_vector_encoder()
    assert "Returns: a `MultiVectorEncoder`" in (sestina.load_multi_vector_encoder.__doc__ or "")


def test_goldens_hold_the_whole_contract(bundle: Path, tmp_path: Path) -> None:
    """A golden that is read in another way fails: of other tokens, attended to otherwise, of the other role."""
    import hashlib
    import shutil

    document = json.loads((bundle / "golden.json").read_text("utf-8"))
    first = next(at for at, golden in enumerate(document["goldens"]) if golden.get("attended", 0) > 4)
    for change in ({"attended": 4}, {"role": "document", "attended": 0}, {"text": "others"}):
        edited = shutil.copytree(bundle, tmp_path / "-".join(change))
        goldens = json.loads(json.dumps(document))
        goldens["goldens"][first].update(change)
        content = json.dumps(goldens).encode()
        (edited / "golden.json").write_bytes(content)
        manifest = json.loads((edited / "manifest.json").read_text("utf-8"))
        (entry,) = [each for each in manifest["files"] if each["file"] == "golden.json"]
        entry.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        (edited / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        with sestina.load_multi_vector_encoder(edited, precision="fp32") as encoder:
            found = encoder.verify()
        assert [each.name for each in found.goldens if not each.passed] == [
            document["goldens"][first]["name"]
        ]


def test_commands(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    shown = cli("inspect", bundle).out
    assert "12 tokens; filled up to 10 with the token 4, which are not attended to" in shown
    assert "40 tokens; without the vectors of 2 tokens" in shown
    found = cli("inspect", bundle, "--json").json
    assert (found["task"], found["late_interaction"]["query"]["expansion"]["attended"]) == (
        "multi-vector",
        False,
    )
    assert not {"similarity", "pooling"} & set(found)  # neither says anything of it
    assert cli("verify", bundle).code == 0
    assert cli("providers", bundle).code == 0
    assert cli("bench", bundle, "--quick", "--rounds", 1).code == 0
    passages = tmp_path / "passages.txt"
    lines = [text for text in dict.fromkeys(TEXTS) if text]
    passages.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    with sestina.load_multi_vector_encoder(bundle) as loaded:
        wanted = [
            (each.position + 1, each.text) for each in loaded.rank(QUERY, lines, 3, on_truncate="ignore")
        ]
    for command in (("rerank", bundle, QUERY), ("search", QUERY, "--rerank", bundle)):
        done = cli(*command, "--in", passages, "--top", 3, "--json")
        assert [(each["line"], each["text"]) for each in done.json["results"]] == wanted
    passages.write_text(f"a\n{LONG}\n", "utf-8")
    told = cli("rerank", bundle, LONG, "--in", passages)
    assert "the query has more than 12 tokens" in told.err
    assert "line 2" in told.err
    assert "has more than 40 tokens" in told.err
    for wrong in (LONG, "a"):
        refused = cli("rerank", bundle, wrong, "--in", passages, "--on-truncate", "error")
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.count("\n") == 1
    assert cli("rerank", bundle, " ", "--in", passages).code == 2
    assert "is a bundle of the task multi-vector" in cli("encode", bundle, "a").err


def test_a_role_without_room_is_refused(bundle: Path, tmp_path: Path) -> None:
    import shutil

    from _heads import late_checkpoint
    from sestina_export import ExportError, export

    edited = shutil.copytree(bundle, tmp_path / "edited.sestina")
    manifest = json.loads((edited / "manifest.json").read_text("utf-8"))
    manifest["contract"]["late_interaction"]["document"]["max_tokens"] = 2
    (edited / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with sestina.load_multi_vector_encoder(edited) as encoder:
        assert len(encoder.encode_query("a")) == 10
        with pytest.raises(sestina.BundleFormatError, match="a max_tokens of 2 for these texts"):
            encoder.encode_document("a")
    with pytest.raises(ExportError, match="max_tokens is 2, and special tokens take 2 of them"):
        export(late_checkpoint(asked=2, filled=2), tmp_path / "no.sestina", precisions=["fp32"])
