"""Windows, workers, budgets: speed that changes no vector and outlives no error."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import AddedToken

import sestina
from _tiny import tiny_bpe, tiny_unigram, tiny_wordpiece
from _unmeasured import unmeasured
from sestina._bundle.bundle import Bundle
from sestina._schedule.batching import exact_length_batches
from sestina._schedule.budget import plan
from sestina._schedule.pipeline import windows
from sestina._text.tokenizer import Tokenizer

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
    different = (str(number) for number in range(10_000))
    assert [len(texts) for _, texts in windows(different, 1 << 20)] == [256, 1024, 4096, 4096, 528]
    long = [f"{number}{'x' * 600}" for number in range(5)]
    assert [len(texts) for _, texts in windows(long, 1000)] == [2, 2, 1]
    assert [begin for begin, _ in windows(long[:3], 500)] == [0, 1, 2]
    few = (str(number) for number in range(1000))
    assert [len(texts) for _, texts in windows(few, 1 << 20, 300)] == [256, 300, 300, 144]
    assert [len(texts) for _, texts in windows(["same"] * 100_000, 1000)] == [
        1024, 4096, *[16384] * 5, 12960,
    ]  # fmt: skip


def test_a_text_that_occurs_often_is_encoded_once(
    int8: sestina.Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = int8._engine.sessions().shared()
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
    session = int8._engine.sessions().shared()
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
    ("encoder.encode(['model ' * 180_000, 'a'])", 20),  # a text of a megabyte
    ("encoder.encode(['model\\n' * 180_000, 'a'])", 20),
    ("sum(1 for _ in encoder.stream('model ' * 300 for _ in range(3000)))", 20),
    ("sum(1 for _ in encoder.stream(f'{n} ' + 'model ' * 300 for n in range(3000)))", 20),
    # Of what is held 20 MB are texts and vectors; without a ceiling it is 48.
    ("encoder.encode([f'text {n} ' + 'tokens ' * (n % 60) for n in range(40_000)])", 40),
    ("assert sum(1 for _ in itertools.islice(encoder.stream(f'{n} tokens' for n in itertools.count()), 60_000)) == 60_000", 40),
])  # fmt: skip
@pytest.mark.skipif(sys.platform == "win32", reason="resource is not there")
def test_resident_memory_stays_under_the_ceiling(work: str, allowed_mb: int, bundle: Path) -> None:
    code = RESIDENT + work + "\nprint(peak() - before)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)],
        capture_output=True,
        text=True,
        check=True,
        env=unmeasured(),
    )
    assert int(done.stdout) < allowed_mb


def test_the_budget_follows_the_ceiling(bundle: Path) -> None:
    manifest = Bundle(bundle).manifest
    large = manifest._replace(
        encoder={"d_model": 1024, "d_ff": 4096}, contract=manifest.contract._replace(max_tokens=512)
    )
    assert plan(large, 4, None) == plan(large, 4, 10_000)
    assert plan(large, 4, None).workers == 4
    tight = plan(large, 4, 40)
    assert tight.workers == 1
    assert tight.batch_tokens * tight.workers >= 512
    with pytest.raises(
        sestina.OptionError, match="max_memory_mb is 20; a text of 512 tokens needs 36: allow that much"
    ):
        plan(large, 4, 20)
    assert plan(large, 4, 36).batch_tokens >= 512
    for ceiling in (36, 60, 100, 1000):
        less, more = plan(large, 4, ceiling), plan(large, 4, 2 * ceiling)
        assert less.workers <= more.workers
        assert less.window_texts < more.window_texts or more.window_texts == 4096
        assert less.window_characters < more.window_characters or more.window_characters == 1 << 20
        assert less.tokenized_characters < more.tokenized_characters or more.tokenized_characters == 1 << 20


def test_weights_are_held_twice_only_for_who_does_both(bundle: Path) -> None:
    with sestina.load(bundle, threads=2) as encoder:
        sessions = encoder._engine.sessions()
        encoder.encode(["a", "b"])
        assert sessions._alone is None
        encoder.encode("a")
        encoder.encode(["a", "b"])
        assert sessions._alone is not None
        assert sessions._shared is not None
    with sestina.load(bundle, threads=1) as encoder:
        assert encoder._engine.sessions().alone() is encoder._engine.sessions().shared()


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
    assert quick._spaces
    whole._spaces = ""
    assert quick.ids([text, "a"]) == whole.ids([text, "a"])
    assert quick.tokens(text) == whole.tokens(text)


@pytest.mark.parametrize("added", [
    AddedToken("<mask>", lstrip=True), AddedToken("<mask>", rstrip=True), AddedToken("machine learning"),
])  # fmt: skip
def test_tokens_that_reach_over_a_space_switch_the_shortcut_off(added: AddedToken, bundle: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(bundle / "tokenizer.json"))
    assert Tokenizer(tokenizer.to_str().encode(), 64)._spaces
    tokenizer.add_tokens([added])
    assert Tokenizer(tokenizer.to_str().encode(), 64)._spaces == ""


@pytest.mark.parametrize("make", [tiny_wordpiece, tiny_bpe, tiny_unigram])
def test_the_shortcut_changes_no_token(make: Callable[[], tokenizers.Tokenizer]) -> None:
    """On texts made of what stands at a word's end, around the place where the text is cut."""
    content = make().to_str().encode()
    generator = random.Random(0)
    pieces = [
        " ",
        "  ",
        "\n",
        "\t",
        "model",
        "q" * 50,
        "é",
        "e\u0301",
        "注意",
        ".",
        "'s",
        "<mask>",
        "1",
        "\u00a0",
        "\u3000",
    ]
    for limit in (4, 7):
        quick, whole = Tokenizer(content, limit), Tokenizer(content, limit)
        whole._spaces = ""
        assert quick._spaces
        texts = ["".join(generator.choices(pieces, k=generator.randint(20, 300))) for _ in range(1500)]
        assert sum(len(text) > 2 * quick._prefix for text in texts) > 300
        assert quick.ids(texts) == whole.ids(texts)


FORK = """
import os, sys, sestina
encoder = sestina.load(sys.argv[1], threads=2, on_fork="error")
encoder.encode("a"); encoder.encode(["a", "b"]); encoder.encode("a")
child = os.fork()
if not child:
    try: encoder.encode("a")
    except sestina.ForkError: pass
    {child}
    sys.exit(7)
import time
until = time.monotonic() + 20
while time.monotonic() < until:
    done, status = os.waitpid(child, os.WNOHANG)
    if done: break
    time.sleep(0.02)
else:
    os.kill(child, 9); sys.exit("the child hangs")
assert os.waitstatus_to_exitcode(status) == 7, status
assert encoder.encode(["a", "b"]).shape[0] == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("child", [
    "pass",
    "encoder.close()",
    "del encoder",
    "encoder = sestina.load(sys.argv[1], threads=2); encoder.encode('a'); encoder.encode(['a', 'b'])",
])  # fmt: skip
def test_a_forked_child_can_close_reload_and_end(child: str, bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK.format(child=child), str(bundle)],
        capture_output=True, text=True, timeout=60, env=unmeasured(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_closing_while_encoding_is_said_plainly(bundle: Path) -> None:
    for delay in (0.0, 0.002, 0.01, 0.03):
        encoder = sestina.load(bundle, threads=2)
        threading.Timer(delay, encoder.close).start()
        try:
            for _ in range(200):
                encoder.encode(TEXTS)
                encoder.encode("a")
        except sestina.ClosedError as error:
            assert str(error).startswith("this encoder")  # noqa: PT017
        else:
            pytest.fail("the encoder was never closed")


def test_leaving_the_program_does_not_wait_for_a_stream(bundle: Path) -> None:
    code = (
        "import sys, time, sestina\n"
        "encoder = sestina.load(sys.argv[1], threads=2)\n"
        "honest = encoder._engine.sessions().shared().run\n"
        "encoder._engine.sessions().shared().run = lambda *a: (time.sleep(0.05), honest(*a))[1]\n"
        "stream = encoder.stream(f'model {n} ' + 'tokens ' * (n % 50) for n in range(20_000))\n"
        "next(stream)\n"
        "print(time.time(), flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, timeout=60, check=True
    )
    assert time.time() - float(done.stdout) < 2


def test_a_list_that_changes_meanwhile(int8: sestina.Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, honest = list(TEXTS), int8._engine.vectors

    def clearing(*arguments: Any) -> Any:
        texts.clear()  # as another thread may at any moment of the work
        return honest(*arguments)

    monkeypatch.setattr(int8._engine, "vectors", clearing)
    vectors = int8.encode(texts)
    assert not texts
    monkeypatch.undo()
    assert np.array_equal(vectors, int8.encode(TEXTS))


def test_a_str_with_its_own_idea_of_equality(int8: sestina.Encoder) -> None:
    class Folded(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 0

    vectors = int8.encode([Folded("model"), Folded("tokens")])
    assert np.array_equal(vectors, int8.encode(["model", "tokens"]))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_bundle_under_a_name_that_is_not_unicode(bundle: Path, tmp_path: Path) -> None:
    own = shutil.copytree(bundle, tmp_path / os.fsdecode(b"caf\xe9.sestina"))
    with sestina.load(own) as encoder:
        assert encoder.verify().passed
