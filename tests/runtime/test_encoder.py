"""The promises of the runtime's face."""

from __future__ import annotations

import itertools
import multiprocessing
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _made import needs_exporter
from _tiny import TEXTS, tiny_checkpoint, tiny_wordpiece
from sestina._providers.choice import has_fast_int8

MIXED = [
    f"{text} {number}" for number in range(12) for text in ("a", "the model", "tokens of a sequence " * 4)
]


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Iterator[sestina.Encoder]:
    """In fp32, which is held to PyTorch itself."""
    with sestina.load(bundle, precision="fp32") as loaded:
        yield loaded


@needs_exporter
def test_vectors_are_those_of_pytorch(encoder: sestina.Encoder) -> None:
    reference = tiny_checkpoint(tiny_wordpiece())
    vectors = encoder.encode(TEXTS, on_truncate="ignore")
    assert (vectors.shape, vectors.dtype) == ((len(TEXTS), 32), np.float32)
    np.testing.assert_allclose(vectors, reference.encode(TEXTS), atol=1e-5)
    # Negative control: the same vectors in another order do not pass for each other.
    assert np.abs(vectors - np.roll(vectors, 1, axis=0)).max(axis=1).min() > 1e-3


def test_one_text_gives_one_vector(encoder: sestina.Encoder) -> None:
    assert encoder.encode("the model").shape == (32,)
    np.testing.assert_allclose(encoder.encode("the model"), encoder.encode(["the model"])[0], atol=1e-6)


def test_empty_list(encoder: sestina.Encoder) -> None:
    assert encoder.encode([]).shape == (0, 32)
    assert encoder.encode([]).dtype == np.float32
    assert encoder.encode((), dimensions=8).shape == (0, 8)
    assert list(encoder.stream([])) == []
    assert encoder.hidden_states([]) == []
    assert encoder.similarity([], ["a"]).shape == (0, 1)


@needs_exporter
def test_a_vector_does_not_depend_on_its_neighbours(bundle: Path) -> None:
    """Order, company, batch size and threads change nothing."""
    reference = tiny_checkpoint(tiny_wordpiece()).encode(MIXED)
    order = np.random.default_rng(0).permutation(len(MIXED))
    for threads, memory in itertools.product((1, 2), (16, None)):
        with sestina.load(bundle, precision="fp32", threads=threads, max_memory_mb=memory) as encoder:
            together = encoder.encode(MIXED)
            np.testing.assert_allclose(together, reference, atol=1e-6)
            np.testing.assert_allclose(
                encoder.encode([MIXED[at] for at in order]), together[order], atol=1e-6
            )
            np.testing.assert_allclose([encoder.encode(text) for text in MIXED[:6]], together[:6], atol=1e-6)


def test_stream_is_encode(encoder: sestina.Encoder) -> None:
    streamed = list(encoder.stream(text for text in MIXED))
    np.testing.assert_array_equal(np.array(streamed), encoder.encode(MIXED))
    assert [vector.shape for vector in encoder.stream(["a"], dimensions=5)] == [(5,)]


def test_stream_takes_an_endless_generator(encoder: sestina.Encoder) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"text {taken % 7}"

    vectors = list(itertools.islice(encoder.stream(endless()), 5))
    assert len(vectors) == 5
    assert taken <= 4 * (256 + 1024)


def test_hidden_states(encoder: sestina.Encoder) -> None:
    states = encoder.hidden_states(["the model", "a", "tokens of a sequence"])
    for text, state in zip(["the model", "a", "tokens of a sequence"], states, strict=True):
        assert state.shape == (len(encoder.tokenize(text).ids), 32)
        mean = state.mean(0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), encoder.encode(text), atol=1e-6)


def test_a_text_without_tokens_has_the_zero_vector(make_bundle: Callable[..., Path]) -> None:
    with sestina.load(make_bundle("bpe"), precision="fp32") as encoder:
        vectors = encoder.encode(["a", "", "b"])
        assert not vectors[1].any()
        assert np.linalg.norm(vectors[[0, 2]], axis=1) == pytest.approx([1, 1], abs=1e-6)
        assert not encoder.encode("").any()
        assert encoder.hidden_states("")[0].shape == (0, 32)
        assert encoder.similarity("", "a")[0, 0] == 0
        assert encoder.tokenize("").ids == ()
        assert encoder.verify().passed


def test_dimensions(encoder: sestina.Encoder) -> None:
    full, short = encoder.encode(MIXED), encoder.encode(MIXED, dimensions=7)
    assert short.shape == (len(MIXED), 7)
    np.testing.assert_allclose(short, full[:, :7] / np.linalg.norm(full[:, :7], axis=1)[:, None], atol=1e-6)
    for wrong in (0, 33, -1, 2.0, "8", True):
        with pytest.raises(
            sestina.OptionError, match=r"dimensions is .*; it must be a whole number from 1 to 32"
        ):
            encoder.encode("a", dimensions=wrong)  # type: ignore[arg-type]


def test_tokenize(encoder: sestina.Encoder) -> None:
    tokens = encoder.tokenize("the Model zz")
    assert tokens.tokens == ("[CLS]", "the", "model", "z", "##z", "[SEP]")
    assert tokens.offsets == ((0, 0), (0, 3), (4, 9), (10, 11), (11, 12), (0, 0))
    assert len(tokens.ids) == 6
    assert (tokens.truncated, tokens.max_tokens) == (False, 64)
    long = encoder.tokenize("model " * 63)
    assert (len(long.ids), long.truncated) == (64, True)
    assert encoder.tokenize("model " * 62).truncated is False


def test_truncation_is_loud(encoder: sestina.Encoder) -> None:
    at_limit, over = "model " * 62, "model " * 63
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = encoder.encode(at_limit)
        np.testing.assert_array_equal(encoder.encode(over, on_truncate="ignore"), kept)
    with pytest.warns(sestina.TruncationWarning) as caught:
        encoder.encode([over, "a", over])
    assert [str(warning.message) for warning in caught] == [
        "2 texts (the first is text 0) have more than 64 tokens; only the beginning was encoded"
    ]
    assert caught[0].filename == __file__
    with pytest.warns(
        sestina.TruncationWarning, match="^the text has more than 64 tokens; only the beginning"
    ):
        encoder.encode(over)
    with pytest.warns(sestina.TruncationWarning, match="^text 1 has more than 64 tokens"):
        list(encoder.stream(["a", over]))
    with pytest.warns(sestina.TruncationWarning, match="^text 1 has more than 64 tokens"):
        encoder.hidden_states(["a", over])
    with pytest.raises(
        sestina.TruncationError, match=r"^text 2 has more than 64 tokens: shorten it, or pass"
    ):
        encoder.encode(["a", "b", over], on_truncate="error")
    with pytest.raises(ValueError, match="^the text has more than 64 tokens"):
        encoder.encode(over, on_truncate="error")
    with pytest.raises(
        sestina.OptionError, match="on_truncate is 'silent'; it must be one of error, warn, ignore"
    ):
        encoder.encode("a", on_truncate="silent")  # type: ignore[arg-type]


CALLS: dict[str, Callable[[sestina.Encoder, Any], object]] = {
    "encode": lambda encoder, texts: encoder.encode(texts),
    "stream": lambda encoder, texts: list(encoder.stream(texts)),
    "hidden_states": lambda encoder, texts: encoder.hidden_states(texts),
    "similarity": lambda encoder, texts: encoder.similarity(texts, "a"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("texts, said", [
    (["a", 7], "text 1 is int; it must be str"),
    ([None], "row 0 is null; it must be str: leave it out, or pass on_null='zero' for a zero vector"),
    (["a", b"bytes"], "text 1 is bytes; it must be str"),
    ([["nested"]], "text 0 is list; it must be str"),
])  # fmt: skip
def test_wrong_types_in_the_list(call: str, texts: Any, said: str, encoder: sestina.Encoder) -> None:
    with pytest.raises(sestina.TextTypeError, match=f"^{re.escape(said)}$") as caught:
        CALLS[call](encoder, texts)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("texts", [7, None, b"bytes", 1.5])
def test_neither_text_nor_sequence(texts: Any, encoder: sestina.Encoder) -> None:
    for call in CALLS.values():
        with pytest.raises(sestina.TextTypeError, match=f"^texts is {type(texts).__name__}; it must be"):
            call(encoder, texts)
    with pytest.raises(sestina.TextTypeError, match="^the text is"):
        encoder.tokenize(texts)


def test_lone_surrogates(encoder: sestina.Encoder) -> None:
    said = "has a lone surrogate U+DC80 at character 2; decode its source with errors='replace'"
    with pytest.raises(sestina.TextValueError, match=re.escape(f"text 1 {said}")) as caught:
        encoder.encode(["fine", "ab\udc80"])
    assert isinstance(caught.value, ValueError)
    with pytest.raises(sestina.TextValueError, match=re.escape(f"the text {said}")):
        encoder.encode("ab\udc80")
    with pytest.raises(sestina.TextValueError, match=re.escape(f"the text {said}")):
        encoder.tokenize("ab\udc80")


def test_similarity(encoder: sestina.Encoder) -> None:
    vectors = encoder.encode(["the model", "a"])
    matrix = encoder.similarity(["the model", "a"], vectors)
    np.testing.assert_allclose(matrix, vectors @ vectors.T, atol=1e-6)
    assert matrix.dtype == np.float32
    assert encoder.similarity("a", "a").shape == (1, 1)
    np.testing.assert_allclose(encoder.similarity(10 * vectors, vectors[0]), matrix[:, :1], atol=1e-6)
    with pytest.raises(sestina.OptionError, match="vectors of 32 and 5 dimensions have no cosine"):
        encoder.similarity("a", np.ones(5, np.float32))
    with pytest.raises(sestina.OptionError, match=r"vectors are int64 of shape \(3,\); they must be floats"):
        encoder.similarity("a", np.array([1, 2, 3]))


def test_verify(encoder: sestina.Encoder) -> None:
    verification = encoder.verify()
    assert verification.passed
    assert len(verification.goldens) >= 32
    assert 0 < verification.worst_error <= verification.tolerance == 1e-5
    assert verification.worst_error == max(golden.error for golden in verification.goldens)


def test_verify_fails_on_what_is_not_right(encoder: sestina.Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: goldens of other texts, other ids, and a vector that is not a number."""
    honest = encoder._engine.vectors
    monkeypatch.setattr(
        encoder._engine, "vectors", lambda *a: [np.roll(rows, 1, axis=0) for rows in honest(*a)]
    )
    swapped = encoder.verify()
    assert not swapped.passed
    assert swapped.worst_error > 1e-2
    monkeypatch.setattr(encoder._engine, "vectors", lambda *a: [rows * np.nan for rows in honest(*a)])
    broken = encoder.verify()
    assert not broken.passed
    assert not any(golden.passed for golden in broken.goldens)
    assert np.isnan(broken.worst_error)
    monkeypatch.setattr(encoder._engine, "vectors", honest)
    ids = encoder._engine.ids
    monkeypatch.setattr(encoder._engine, "ids", lambda *a: [row[:-1] or row for row in ids(*a)])
    assert not any(golden.ids_equal for golden in encoder.verify().goldens if golden.name == "sentence")


def test_report(bundle: Path) -> None:
    with sestina.load(bundle, threads=1) as encoder:
        report = encoder.report()
    assert (report.provider_asked, report.provider) == ("auto", "cpu")
    assert (report.precision_asked, report.precision) == ("auto", "int8" if has_fast_int8() else "fp32")
    assert (report.variant, report.threads) == (f"cpu-{report.precision}.onnx", 1)
    assert len(report.passed_over) == 1
    assert report.placement["CPUExecutionProvider"]["MultiHeadAttention"] == 2
    assert report.space == encoder.space
    assert encoder.dimensions == 32
    assert repr(encoder) == f"<sestina.Encoder tiny: 32 dimensions, 64 tokens, {report.precision} on cpu>"


def test_close(bundle: Path) -> None:
    with sestina.load(bundle) as encoder:
        encoder.encode("a")
    encoder.close()
    for use in (
        lambda: encoder.encode("a"),
        lambda: encoder.encode([]),
        lambda: encoder.stream(["a"]),
        lambda: encoder.hidden_states("a"),
        encoder.verify,
    ):
        with pytest.raises(sestina.ClosedError, match="this encoder is closed: load the bundle again"):
            use()


def test_many_threads_share_one_encoder(encoder: sestina.Encoder) -> None:
    expected = encoder.encode(MIXED)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: encoder.encode(MIXED), range(24)):
            np.testing.assert_allclose(vectors, expected, atol=1e-6)


def _use_in_child(encoder: sestina.Encoder, queue: Any) -> None:
    try:
        encoder.encode("a")
    except sestina.ForkError as error:
        queue.put(str(error))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_is_told(bundle: Path) -> None:
    encoder = sestina.load(bundle, on_fork="error")
    encoder.encode("a")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_use_in_child, args=(encoder, queue))
    child.start()
    assert "loaded before a fork" in queue.get(timeout=30)
    child.join()


class Gone:
    """A standard error whose other end is closed, from the first or from a later line on."""

    encoding = "utf-8"

    def __init__(self, lines: int) -> None:
        self.lines = lines

    def write(self, _: str) -> None:
        self.lines -= 1
        if self.lines < 0:
            raise BrokenPipeError

    def flush(self) -> None:
        if self.lines < 0:
            raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("stream", [None, Gone(0), Gone(1), Gone(2)])
def test_a_bar_that_cannot_be_drawn_costs_nothing(
    bundle: Path, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a program without a console, whose standard error is None."""
    pytest.importorskip("tqdm")
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    texts = [f"text {at}" for at in range(600)]
    with sestina.load(bundle) as encoder:
        right = encoder.encode(texts)
        monkeypatch.setattr(sys, "stderr", stream)
        found = encoder.encode(texts, progress=True)
        monkeypatch.undo()
    np.testing.assert_array_equal(found, right)
