"""Windows, workers, budgets: speed that changes no vector and outlives no error."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from sestina._batching import exact_length_batches
from sestina._budget import plan
from sestina._bundle import Bundle
from sestina._pipeline import windows
from sestina._text import Tokenizer

TEXTS = [f"{'model ' * (number % 23)}{number % 57}" for number in range(900)]


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> Iterator[sestina.Encoder]:
    """In fp32, which is held to PyTorch itself."""
    with sestina.load(bundle, precision="fp32") as loaded:
        yield loaded


@pytest.fixture
def int8(bundle: Path) -> Iterator[sestina.Encoder]:
    with sestina.load(bundle, precision="int8") as encoder:
        yield encoder


def test_int8_vectors_are_bit_equal_in_any_company(bundle: Path, int8: sestina.Encoder) -> None:
    together = int8.encode(TEXTS)
    order = np.random.default_rng(1).permutation(len(TEXTS))
    assert np.array_equal(int8.encode([TEXTS[at] for at in order]), together[order])
    assert np.array_equal(np.array([int8.encode(text) for text in TEXTS[:40]]), together[:40])
    assert np.array_equal(np.array(list(int8.stream(iter(TEXTS)))), together)
    for threads, memory in ((1, None), (2, 1), (3, 2)):
        with sestina.load(bundle, precision="int8", threads=threads, max_memory_mb=memory) as other:
            assert np.array_equal(other.encode(TEXTS), together)
            assert np.array_equal(other.encode(TEXTS[7]), together[7])


def test_int8_is_near_fp32_but_not_it(encoder: sestina.Encoder, int8: sestina.Encoder) -> None:
    exact, near = encoder.encode(TEXTS), int8.encode(TEXTS)
    cosine = (exact * near).sum(1)
    assert cosine.min() > 0.98
    assert np.abs(exact - near).max() > 1e-4


def test_batches_are_of_one_length_within_the_budget() -> None:
    generator = np.random.default_rng(0)
    ids = [list(range(length)) for length in generator.integers(0, 40, 500)]
    seen: list[int] = []
    lengths = []
    for positions, batch in exact_length_batches(ids, 100):
        assert batch.shape == (len(positions), len(ids[positions[0]]))
        assert batch.size <= 100
        assert [list(row) for row in batch] == [ids[at] for at in positions]
        seen += positions
        lengths.append(batch.shape[1])
    assert sorted(seen) == [at for at, row in enumerate(ids) if row]
    assert lengths == sorted(lengths, reverse=True)
    assert [batch.shape for _, batch in exact_length_batches([[1] * 300, [1] * 300], 100)] == [(1, 300)] * 2


def test_windows_are_bounded_in_texts_and_characters() -> None:
    sizes = [len(texts) for _, texts in windows("a" for _ in range(10_000))]
    assert sizes == [256, 1024, 4096, 4096, 528]
    assert [len(texts) for _, texts in windows(["x" * (3 << 20)] * 5)] == [2, 2, 1]
    assert [begin for begin, _ in windows(["x" * (5 << 20)] * 3)] == [0, 1, 2]


def test_a_text_that_occurs_often_is_encoded_once(
    int8: sestina.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = int8._engine.sessions.shared()
    honest, rows = session.run, []

    def counting(output: str, ids: Any) -> Any:
        rows.append(len(ids))
        return honest(output, ids)

    monkeypatch.setattr(session, "run", counting)
    vectors = int8.encode(["a", "model", "a", "a", "model", "the"] * 40)
    assert sum(rows) == 3
    assert np.array_equal(vectors[:6], vectors[6:12])
    assert np.array_equal(vectors[0], int8.encode("a"))


def test_an_exception_in_a_worker_surfaces_as_itself(
    int8: sestina.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = int8._engine.sessions.shared()
    expected = int8.encode(TEXTS)
    honest = session.run

    def failing(output: str, ids: Any) -> Any:
        if ids.shape[1] == 9:
            raise ZeroDivisionError("in a worker")
        return honest(output, ids)

    with monkeypatch.context() as patch:
        patch.setattr(session, "run", failing)
        with pytest.raises(ZeroDivisionError, match="in a worker"):
            int8.encode(TEXTS)
        with pytest.raises(ZeroDivisionError, match="in a worker"):
            list(int8.stream(TEXTS))
    assert np.array_equal(int8.encode(TEXTS), expected)


def test_a_reader_that_stops_leaves_the_encoder_usable(int8: sestina.Encoder) -> None:
    stream = int8.stream(TEXTS * 20)
    first = next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert np.array_equal(int8.encode(TEXTS[0]), first)


def test_interrupting_stops_promptly_and_leaves_the_encoder_usable(bundle: Path) -> None:
    code = (
        "import sys, time, threading, os, signal, sestina\n"
        "encoder = sestina.load(sys.argv[1], precision='int8')\n"
        "texts = [f'model {n} ' + 'tokens ' * (n % 40) for n in range(200_000)]\n"
        "threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try: encoder.encode(texts); print('finished')\n"
        "except KeyboardInterrupt: pass\n"
        "begun = time.monotonic()\n"
        "print(encoder.encode(['a', 'b']).shape, time.monotonic() - begun < 1)\n"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "(2, 32) True\n"
    assert time.monotonic() - begun < 20


RESIDENT = """
import gc, itertools, resource, sys, warnings
import sestina
warnings.simplefilter("ignore")
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
encoder = sestina.load(sys.argv[1], precision="int8", max_memory_mb=8)
encoder.encode(["a", "model b"] * 3)
before = peak()
"""


@pytest.mark.parametrize("work, allowed_mb", [
    ("encoder.encode(['model ' * 180_000, 'a'])", 40),  # a text of a megabyte
    ("encoder.encode([f'text {n} ' + 'tokens ' * (n % 60) for n in range(100_000)])", 100),  # 51 MB are texts and vectors
    ("assert sum(1 for _ in itertools.islice(encoder.stream(f'{n} tokens' for n in itertools.count()), 60_000)) == 60_000", 40),
])  # fmt: skip
@pytest.mark.skipif(sys.platform == "win32", reason="resource is not there")
def test_resident_memory_stays_under_the_ceiling(work: str, allowed_mb: int, bundle: Path) -> None:
    code = RESIDENT + work + "\nprint(peak() - before)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < allowed_mb


def test_the_budget_follows_the_ceiling(bundle: Path) -> None:
    manifest = Bundle(bundle).manifest
    large = replace(
        manifest, encoder={"d_model": 1024, "d_ff": 4096}, contract=replace(manifest.contract, max_tokens=512)
    )
    assert plan(large, 4, None) == plan(large, 4, 10_000)
    assert plan(large, 4, None).workers == 4
    tight = plan(large, 4, 40)
    assert tight.workers == 1
    assert tight.batch_tokens * tight.workers >= 512
    with pytest.raises(
        sestina.OptionError, match="max_memory_mb is 20; a text of 512 tokens needs 30: allow that much"
    ):
        plan(large, 4, 20)


def test_weights_are_held_twice_only_for_who_does_both(bundle: Path) -> None:
    with sestina.load(bundle, threads=2) as encoder:
        sessions = encoder._engine.sessions
        encoder.encode(["a", "b"])
        assert sessions._alone is None
        encoder.encode("a")
        encoder.encode(["a", "b"])
        assert sessions._alone is not None
        assert sessions._shared is not None
    with sestina.load(bundle, threads=1) as encoder:
        assert encoder._engine.sessions.alone() is encoder._engine.sessions.shared()


def test_nothing_spins_when_idle(bundle: Path) -> None:
    with sestina.load(bundle, threads=2) as encoder:
        encoder.encode("warm")
        encoder.encode(TEXTS[:50])
        time.sleep(0.05)
        begun = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - begun < 0.05


def test_closing_ends_the_workers(bundle: Path) -> None:
    others = set(threading.enumerate())
    encoder = sestina.load(bundle, threads=2)
    encoder.encode(TEXTS)
    assert len(set(threading.enumerate()) - others) == 2
    encoder.close()
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - others:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("text", [
    "the model " * 20_000,
    "a " + "model " * 5000 + "x" * 30_000,
    "x" * 200_000,
    "\u200b" * 100_000 + " tokens of a sequence " * 100,
    " " * 100_000 + "model " * 100,
    ("naïve 注意力 👩‍👩‍👧‍👦 e\u0301 " * 4000),
])  # fmt: skip
def test_the_beginning_of_a_long_text_has_the_tokens_of_the_whole(text: str, bundle: Path) -> None:
    content = (bundle / "tokenizer.json").read_bytes()
    quick, whole = Tokenizer(content, 64), Tokenizer(content, 64)
    assert quick._prefix is not None
    whole._prefix = None
    assert quick.ids([text, "a"]) == whole.ids([text, "a"])
    assert quick.tokens(text) == whole.tokens(text)
