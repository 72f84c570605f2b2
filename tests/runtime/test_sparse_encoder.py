"""A sparse encoder as its users call it: its weights, its promises, and one clear error for each bad input."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _made import needs_exporter
from sestina import _familiar

pytestmark = needs_exporter

TEXTS = [
    "attention relates the tokens of a sequence to one another",
    "",
    "numbers like 1, 23 and 456 are tokens too",
    "a",
    "the model embeds the text",
    "the model embeds the text",
]
LONG = "the model embeds the text " * 20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from _heads import head_checkpoint
    from sestina_export import export

    target = tmp_path_factory.mktemp("sparse") / "tiny.sestina"
    return export(head_checkpoint("sparse"), target, precisions=["fp32"]).path


@pytest.fixture
def encoder(bundle: Path) -> Iterator[sestina.SparseEncoder]:
    with sestina.load_sparse_encoder(bundle) as loaded:
        yield loaded


def test_weights_are_pytorchs(encoder: sestina.SparseEncoder) -> None:
    from _heads import head_checkpoint

    checkpoint = head_checkpoint("sparse")
    for call, prompt in (
        (encoder.encode, ""),
        (encoder.encode_query, "find: "),
        (encoder.encode_document, ""),
    ):
        wanted = checkpoint.encode(TEXTS, prompt)
        rows = call(TEXTS)
        assert isinstance(rows, sestina.SparseVectors)
        assert np.abs(rows.to_dense() - wanted).max() <= 1e-5
        assert np.abs(rows.to_dense()[::-1] - wanted).max() > 1e-2  # of other texts
        lone = call(TEXTS[0])
        assert isinstance(lone, sestina.SparseVector)
        assert np.abs(lone.to_dense() - wanted[0]).max() <= 1e-5
    said = encoder.encode(TEXTS, prompt="query").to_dense()
    assert said.tolist() == encoder.encode_query(TEXTS).to_dense().tolist()
    assert said.tolist() == encoder.encode(TEXTS, prompt_text="find: ").to_dense().tolist()
    assert encoder.tokenize("a", prompt="query").prompt == "find: "


def test_a_vector_does_not_depend_on_its_neighbours(encoder: sestina.SparseEncoder, bundle: Path) -> None:
    together = encoder.encode(TEXTS).to_dense()
    assert np.abs(encoder.encode(TEXTS[::-1]).to_dense()[::-1] - together).max() <= 1e-6
    for threads in (1, 3):
        with sestina.load_sparse_encoder(bundle, threads=threads) as other:
            alone = np.stack([other.encode(each).to_dense() for each in TEXTS])
            many = other.encode([f"{each}{' ' * (at % 3)}" for at in range(100) for each in TEXTS]).to_dense()
        assert np.abs(alone - together).max() <= 1e-6
        assert np.abs(many - np.tile(together, (100, 1))).max() <= 1e-6


def test_a_ceiling_of_memory(bundle: Path) -> None:
    """Windows and batches count rows as wide as the vocabulary, and each batch is made sparse at once."""
    from sestina._bundle.bundle import Bundle
    from sestina._schedule.budget import plan

    texts = [f"{each} {number}" for number in range(300) for each in TEXTS]
    with sestina.load_sparse_encoder(bundle) as free:
        wanted, batch = free.encode(texts), free.report().batch_tokens
    with sestina.load_sparse_encoder(bundle, max_memory_mb=1) as small:
        assert small.report().batch_tokens < batch
        found = small.encode(texts)
        assert np.abs(found.to_dense() - wanted.to_dense()).max() <= 1e-6
        assert [each.to_pairs() for each in small.stream(texts[:40])] == [
            each.to_pairs() for each in found[:40]
        ]
    manifest = Bundle(bundle).manifest
    large = manifest._replace(contract=manifest.contract._replace(dimensions=30_522))
    assert plan(large, 2, 64).window_texts < plan(manifest, 2, 64).window_texts
    assert plan(large, 2, 64).batch_tokens < plan(manifest, 2, 64).batch_tokens
    # A static graph has the logits of all of a text's 40 tokens at once, three times.
    least = 3 * 4 * 40 * 30_522 / (1 << 20)
    with pytest.raises(sestina.OptionError, match="a text of 40 tokens needs "):
        plan(large, 2, int(least), static=True)
    assert plan(large, 2, 64, static=True).batch_tokens < plan(large, 2, 64).batch_tokens
    with pytest.raises(sestina.OptionError, match="max_memory_mb is 1; a text of 40 tokens needs "):
        plan(large, 2, 1)


def test_advice_for_names_of_other_libraries_is_of_sparse_vectors(encoder: sestina.SparseEncoder) -> None:
    for name, advice in (
        ("truncate_dim", "max_active= of encode"),
        ("half", "precision= of sestina.load_sparse_encoder"),
        ("max_active_dims", "write max_active$"),
        ("max_seq_length", "max_tokens"),
    ):
        with pytest.raises(
            sestina.UnknownAttributeError, match=f"SparseEncoder has no attribute {name!r}: .*{advice}"
        ):
            getattr(encoder, name)


def test_batches_are_made_sparse_where_they_are_run(encoder: sestina.SparseEncoder) -> None:
    from sestina._text.truncation import TruncationWatch

    watch = TruncationWatch("ignore", 40)
    windows = list(encoder._engine.vectors(TEXTS, lambda: watch, lambda _: None))
    assert [window.dtype for window in windows] == [np.dtype(object)]
    for indices, weights in windows[0]:
        assert (indices.dtype, weights.dtype) == (np.int32, np.float32)
        assert len(indices) == len(weights) < encoder.dimensions
        assert (weights > 0).all()


def test_the_most_weights(encoder: sestina.SparseEncoder) -> None:
    rows = encoder.encode(TEXTS)
    kept = encoder.encode(TEXTS, max_active=4)
    assert np.diff(kept.starts).tolist() == [4] * 6
    assert kept.top() == rows.prune(4).top() == [each[:4] for each in rows.top()]
    assert encoder.encode(TEXTS[0], max_active=4).top() == kept[0].top()
    assert [each.top() for each in encoder.stream(TEXTS, max_active=4)] == kept.top()
    assert encoder.max_active is None


def test_tokens_are_the_vocabularys(encoder: sestina.SparseEncoder) -> None:
    vector = encoder.encode(TEXTS[0])
    spelt = {encoder._engine.tokenizer.token(index): index for index in vector.indices.tolist()}
    assert [spelt[each.token] for each in vector.top(5)] == vector.indices[
        np.argsort(-vector.weights, kind="stable")[:5]
    ].tolist()
    again = pickle.loads(pickle.dumps(vector))
    assert again.top() == vector.top()
    assert encoder._engine.tokenizer.token(10**6) is None


def test_similarity(encoder: sestina.SparseEncoder) -> None:
    rows = encoder.encode(TEXTS)
    assert encoder.similarity_function == "dot"
    found = encoder.similarity(TEXTS, rows)
    assert (found.shape, found.dtype) == ((6, 6), np.float32)
    assert found.tolist() == rows.dot(rows).tolist()
    assert encoder.similarity(TEXTS[0], rows[3]).tolist() == found[:1, 3:4].tolist()


def test_nulls_and_empties(encoder: sestina.SparseEncoder) -> None:
    texts = ["a", None, " ", "b"]
    assert [len(each) > 0 for each in encoder.encode(["a", ""])] == [True, True]
    rows = encoder.encode(texts, on_null="zero", on_empty="zero")
    assert [len(each) > 0 for each in rows] == [True, False, False, True]
    with pytest.raises(sestina.TextTypeError, match="row 1 is null"):
        encoder.encode(texts)
    with pytest.raises(sestina.EmptyTextError, match="text 1 is empty"):
        encoder.encode(["a", " "], on_empty="error")
    with pytest.warns(sestina.EmptyTextWarning) as caught:
        encoder.encode("", on_empty="warn")
    assert caught[0].filename == __file__
    none = encoder.encode([])
    assert (none.shape, none.top(), none.to_dense().shape) == (
        (0, encoder.dimensions),
        [],
        (0, none.shape[1]),
    )
    assert list(encoder.stream([])) == []


def test_texts_beyond_the_limit_are_told(encoder: sestina.SparseEncoder) -> None:
    with pytest.warns(sestina.TruncationWarning, match="^text 1 has more than 40 tokens; only") as caught:
        encoder.encode(["a", LONG])
    assert (caught[0].filename, len(caught)) == (__file__, 1)
    with pytest.raises(sestina.TruncationError) as error:
        encoder.encode(["a", LONG], on_truncate="error")
    assert error.value.position == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode(LONG, on_truncate="ignore")


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"texts": 5}, TypeError, "texts is int"),
    ({"texts": {"a"}}, sestina.TextTypeError, "texts is set, which has no order"),
    ({"texts": ["a", 5]}, TypeError, "text 1 is int; it must be str"),
    ({"texts": ["\udfff"]}, ValueError, "text 0 has a lone surrogate U+DFFF"),
    ({"max_active": 0}, ValueError, "max_active is 0; it must be a whole number from 1 to "),
    (
        {"max_active": 10**6},
        sestina.OptionError,
        "max_active is 1000000; it must be a whole number from 1 to",
    ),
    ({"max_active": "4"}, sestina.OptionError, "max_active is '4'; it must be a whole number from 1 to"),
    (
        {"prompt": "passages"},
        sestina.OptionError,
        "prompt is 'passages'; it must be one of 'query', 'passage'",
    ),
    (
        {"prompt": "query", "prompt_text": "a"},
        sestina.OptionError,
        "prompt and prompt_text exclude each other",
    ),
    ({"on_truncate": "no"}, sestina.OptionError, "on_truncate is 'no'"),
    ({"on_null": "no"}, sestina.OptionError, "on_null is 'no'"),
    ({"on_empty": "no"}, sestina.OptionError, "on_empty is 'no'"),
    ({"progress": "no"}, sestina.OptionError, "progress is 'no'"),
]


@pytest.mark.parametrize(("options", "kind", "said"), BAD, ids=[each[2] for each in BAD])
def test_bad_input(
    options: dict[str, Any], kind: type[Exception], said: str, encoder: sestina.SparseEncoder
) -> None:
    for call in (encoder.encode, encoder.encode_query, encoder.encode_document):
        with pytest.raises(kind) as error:
            call(**{"texts": ["a"], **options})
        assert isinstance(error.value, sestina.SestinaError)
        assert str(error.value).startswith(said)


@pytest.mark.parametrize("name", _familiar.SPARSE)
def test_names_of_sentence_transformers(name: str, encoder: sestina.SparseEncoder) -> None:
    for method in ("encode", "encode_query", "encode_document", "stream"):
        with pytest.raises(sestina.UsageError, match=f"{method} has no argument '{name}': "):
            getattr(encoder, method)(["a"], **{name: 1})
    with pytest.raises(TypeError, match="unexpected keyword argument 'maximum'"):
        encoder.encode("a", maximum=3)  # type: ignore[call-overload]


def test_the_wrong_loader_names_the_right_one(bundle: Path) -> None:
    said = r"is a bundle of the task sparse, and sestina\.load loads embedding: use sestina\.load_sparse_encoder$"
    with pytest.raises(sestina.OptionError, match=said):
        sestina.load(bundle)
    said = r"of the task embedding, and sestina\.load_sparse_encoder loads sparse: use sestina\.load$"
    with pytest.raises(sestina.OptionError, match=said):
        sestina.load_sparse_encoder()
    assert "Returns: a `SparseEncoder`." in (sestina.load_sparse_encoder.__doc__ or "")


def test_what_every_task_has(encoder: sestina.SparseEncoder, bundle: Path) -> None:
    assert encoder.verify().passed
    report = encoder.report()
    assert (report.bundle, report.precision) == (str(bundle), "fp32")
    width = encoder.dimensions
    assert repr(encoder) == f"<sestina.SparseEncoder tiny-sparse: {width} dimensions, 40 tokens, fp32 on cpu>"
    rows = encoder.encode(TEXTS)
    for again in (pickle.loads(pickle.dumps(encoder)), copy.copy(encoder)):
        with again:
            assert isinstance(again, sestina.SparseEncoder)
            assert again.encode(TEXTS).to_dense().tolist() == rows.to_dense().tolist()
    for call in (again.encode, again.stream):
        with pytest.raises(sestina.ClosedError):
            call([])
    assert rows.top(1)[0][0].weight > 0  # data alone, whatever became of the encoder


def replaced(bundle: Path, path: Path, goldens: Any, weights: Any) -> Path:
    """A copy with other goldens, whose manifest states them."""
    import hashlib
    import io
    import shutil

    copied = Path(shutil.copytree(bundle, path))
    stream = io.BytesIO()
    np.save(stream, weights)
    manifest = json.loads((copied / "manifest.json").read_text("utf-8"))
    contents = {"golden.json": json.dumps(goldens).encode(), "golden.npy": stream.getvalue()}
    for name, content in contents.items():
        (copied / name).write_bytes(content)
        (entry,) = (each for each in manifest["files"] if each["file"] == name)
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (copied / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return copied


def test_goldens_are_kept_sparse(bundle: Path, tmp_path: Path) -> None:
    document = json.loads((bundle / "golden.json").read_text("utf-8"))
    weights = np.load(bundle / "golden.npy")
    assert (weights.ndim, weights.dtype) == (1, np.float32)
    assert len(weights) == sum(len(each["indices"]) for each in document["goldens"])
    assert {each.get("prompt", "") for each in document["goldens"]} == {"", "find: "}
    # Negative controls: another weight, and the same at another place.
    other = replaced(
        bundle, tmp_path / "a.sestina", document, np.where(np.arange(len(weights)) == 5, 9, weights)
    )
    with sestina.load_sparse_encoder(other) as encoder:
        assert [each.name for each in encoder.verify().goldens if not each.passed] == [
            next(each["name"] for each in document["goldens"] if each["indices"])
        ]
    last = document["goldens"][-1]["indices"]
    free = next(at for at in range(1000) if at not in last)
    moved = json.loads(json.dumps(document))
    moved["goldens"][-1]["indices"] = sorted([free, *last[1:]])
    with sestina.load_sparse_encoder(replaced(bundle, tmp_path / "b.sestina", moved, weights)) as encoder:
        outcome = encoder.verify()
        assert (outcome.passed, outcome.goldens[-1].passed) == (False, False)


@pytest.mark.parametrize(
    ("indices", "said"),
    [
        (None, "golden 0 needs indices, a list of whole numbers from 0"),
        ([0, 0, 1], "golden 0 needs indices, ascending and below 147"),
        ([3, 2, 1], "golden 0 needs indices, ascending and below 147"),
        ([1, 2, 147], "golden 0 needs indices, ascending and below 147"),
        ([1, 2, True], "golden 0 needs indices, a list of whole numbers from 0"),
        ([1, 2], "golden.npy has 3 weights; it must have one for each index"),
        ([1, 2, 3, 4], "golden.npy has 3 weights; it must have one for each index"),
    ],
)
def test_goldens_that_are_none(indices: Any, said: str, bundle: Path, tmp_path: Path) -> None:
    from sestina._bundle.bundle import Bundle
    from sestina._bundle.goldens import read_goldens

    golden = {"name": "a", "text": "a", "ids": [2, 5, 3], "indices": indices}
    three = np.ones(3, dtype=np.float32)
    copied = replaced(bundle, tmp_path / "a.sestina", {"goldens": [golden]}, three)
    with pytest.raises(sestina.BundleFormatError, match=said):
        read_goldens(Bundle(copied))
    for none in ([], "a", 5, None):
        copied = replaced(bundle, tmp_path / f"{none!r}.sestina", {"goldens": [none]}, three)
        with pytest.raises(sestina.BundleFormatError, match="golden 0 needs indices"):
            read_goldens(Bundle(copied))
    good = {**golden, "indices": [1, 2, 3]}
    for weights, why in (
        (three[None], r"has the shape \(1, 3\); it must be \(weights,\)"),
        (three.astype(np.float64), "holds float64 of shape .*; it must hold float32"),
        (np.array([1, np.nan, 1], np.float32), "numbers that are not finite"),
    ):
        copied = replaced(
            bundle, tmp_path / f"{weights.dtype}{weights.shape}{why[:3]}", {"goldens": [good]}, weights
        )
        with pytest.raises(sestina.BundleFormatError, match=why):
            read_goldens(Bundle(copied))


def test_equal_texts_of_a_stream_share_nothing(bundle: Path) -> None:
    with sestina.load_sparse_encoder(bundle) as encoder:
        one, other = encoder.stream(["the model"] * 2)
        wanted = other.weights.tolist()
        one.weights[:] = 0
        one.indices[:] = 0
        assert other.weights.tolist() == wanted != []
        assert other.indices.any()


def test_an_encoder_starts_without_what_sparse_ones_need() -> None:
    code = (
        "import sys, sestina; sestina.load().encode('a'); "
        "print([name for name in sys.modules if name.startswith('sestina.') and 'sparse' in name])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
