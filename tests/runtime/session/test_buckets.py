"""Graphs of static shapes: the smallest bucket that holds a text, what pads it masked exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _masked import BUCKETS, for_cpu, masked_bundle, masked_graph, portable, reference, variant
from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest_reader import read
from sestina._session.buckets import BucketSession
from sestina._session.session import Session, Setting

TEXTS = ["", "a", "the model embeds", "a sestina takes the same words anew in each stanza", "model " * 70]


@pytest.fixture(scope="module")
def masked(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masked_bundle(bundle, tmp_path_factory.mktemp("masked") / "masked.sestina", portable())


@pytest.fixture(scope="module")
def encoder(masked: Path) -> Iterator[sestina.Encoder]:
    with sestina.load(masked) as loaded:
        yield loaded


def ids_of(encoder: sestina.Encoder, text: str) -> tuple[int, ...]:
    return encoder.tokenize(text).ids


def test_padded_vectors_equal_unpadded_ones(encoder: sestina.Encoder) -> None:
    assert encoder.verify().passed
    lengths = set()
    for text in TEXTS:
        ids = ids_of(encoder, text)
        lengths.add(len(ids))
        vector, states = reference(ids)
        assert np.abs(encoder.encode(text, on_truncate="ignore") - vector).max() < 1e-6
        (own,) = encoder.hidden_states(text, on_truncate="ignore")
        assert own.shape == states.shape
        assert np.abs(own - states).max() < 1e-6
    assert min(lengths) < BUCKETS[0] < max(lengths) == BUCKETS[-1]


def test_a_graph_that_does_not_mask_is_caught(bundle: Path, tmp_path: Path) -> None:
    """The negative control: the same graph without the mask in its attention."""
    faulty = masked_bundle(bundle, tmp_path / "faulty.sestina", portable(masks=False))
    with sestina.load(faulty) as encoder:
        outcome = encoder.verify()
        ids = ids_of(encoder, TEXTS[2])
        assert np.abs(encoder.encode(TEXTS[2]) - reference(ids)[0]).max() > 1e-3
    assert not outcome.passed
    full = [golden for golden in outcome.goldens if golden.error < 1e-6]
    assert len(full) < len(outcome.goldens)


def test_every_way_to_encode_gives_the_same(encoder: sestina.Encoder) -> None:
    together = encoder.encode(TEXTS * 3, on_truncate="ignore")
    assert np.array_equal(together[: len(TEXTS)], together[len(TEXTS) : 2 * len(TEXTS)])
    alone = np.array([encoder.encode(text, on_truncate="ignore") for text in TEXTS])
    assert np.array_equal(together[: len(TEXTS)], alone)
    streamed = np.array(list(encoder.stream(iter(TEXTS), on_truncate="ignore")))
    assert np.array_equal(streamed, alone)
    order = [3, 0, 4, 1, 2]
    shuffled = encoder.encode([TEXTS[at] for at in order], on_truncate="ignore")
    assert np.array_equal(shuffled, alone[order])
    report = encoder.report()
    assert (report.provider, report.variant, report.share) == ("cpu", "portable-fp32.onnx", 1.0)
    assert (report.probe_error, report.first_run_ms, report.fell_back) == (None, None, {})


def test_the_smallest_bucket_is_taken_and_sessions_are_bounded(masked: Path) -> None:
    opened: list[int] = []
    graph = Bundle(masked).graph("portable-fp32.onnx")
    content_variant = portable()[0]._replace(buckets=(2, 4, 8, 16, 64))

    def open_bucket(length: int) -> Session:
        opened.append(length)
        return Session(graph, content_variant, Setting(length=length))

    buckets = BucketSession(content_variant, open_bucket, most_open=2)
    assert opened == [2]
    assert [buckets.bucket(length) for length in (1, 2, 3, 8, 9, 64)] == [2, 2, 4, 8, 16, 64]
    with pytest.raises(sestina.OptionError, match=r"a text has 65 tokens; portable-fp32\.onnx takes 64"):
        buckets.bucket(65)

    def run(length: int) -> None:
        row = np.full((1, length), 7, dtype=np.int64)
        vector = buckets.run("sentence_embedding", row)[0]
        assert np.abs(vector - reference((7,) * length)[0]).max() < 1e-6

    run(3)
    run(2)  # so that 4 was used longest ago
    run(8)
    assert (opened, list(buckets._sessions)) == ([2, 4, 8], [2, 8])
    run(1)
    assert opened == [2, 4, 8]
    run(4)  # 8 goes
    assert (opened, list(buckets._sessions)) == ([2, 4, 8, 4], [2, 4])


def test_many_threads_share_sessions_that_come_and_go(masked: Path) -> None:
    graph, entry = (
        Bundle(masked).graph("portable-fp32.onnx"),
        portable()[0]._replace(buckets=(2, 4, 8, 16, 64)),
    )
    buckets = BucketSession(entry, lambda length: Session(graph, entry, Setting(length=length)), most_open=2)
    lengths = [1 + (7 * number) % 60 for number in range(120)]

    def run(length: int) -> Any:
        return buckets.run("sentence_embedding", np.full((2, length), 9, dtype=np.int64))

    with ThreadPoolExecutor(8) as pool:
        for length, vectors in zip(lengths, pool.map(run, lengths), strict=True):
            assert np.abs(vectors - reference((9,) * length)[0]).max() < 1e-6
    assert len(buckets._sessions) == 2


def test_a_variant_without_hidden_states_says_so(bundle: Path, tmp_path: Path) -> None:
    path = masked_bundle(bundle, tmp_path / "plain.sestina", portable(states=False))
    with sestina.load(path) as encoder:
        assert encoder.verify().passed
        with pytest.raises(
            sestina.OptionError, match=r"portable-fp32\.onnx gives no hidden states: load another"
        ):
            encoder.hidden_states("a text")


def test_axes_must_have_their_names(bundle: Path, tmp_path: Path) -> None:
    content = masked_graph().replace(b"length", b"lenght")
    path = masked_bundle(
        bundle, tmp_path / "other.sestina", (variant("x.onnx", content, "portable", "fp32"), content)
    )
    with pytest.raises(sestina.BundleFormatError, match="its axes must be named batch and length"):
        sestina.load(path)


def test_the_unmasked_graph_for_the_cpu_comes_first(bundle: Path, tmp_path: Path) -> None:
    path = masked_bundle(bundle, tmp_path / "both.sestina", portable(), for_cpu())
    with sestina.load(path, provider="cpu") as encoder:
        report = encoder.report()
        assert encoder.verify().passed
    assert (report.variant, report.reason) == ("cpu-fp32.onnx", "the only one made for cpu")
    assert report.passed_over == (
        "portable-fp32.onnx: cpu-fp32.onnx was preferred: the only one made for cpu",
    )


@pytest.mark.parametrize(
    "buckets, said",
    [
        ([], "buckets must be 1 to 64 whole numbers above 0, ascending"),
        ([8, 8, 64], "buckets must be"),
        ([64, 8], "buckets must be"),
        ([0, 64], "buckets must be"),
        ([True, 64], "buckets must be"),
        (["64"], "buckets must be"),
        (list(range(1, 66)), "buckets must be"),
        (None, "member 'buckets' is missing or of the wrong type"),
        ([8, 32], "the longest bucket of portable-fp32.onnx is 32; it must be from max_tokens"),
        ([8, 65], "the longest bucket of portable-fp32.onnx is 65; it must be from max_tokens"),
    ],
)
def test_buckets_in_a_manifest(masked: Path, buckets: Any, said: str) -> None:
    text = (masked / "manifest.json").read_text()
    manifest = read(text, "here")
    assert manifest.variants[0].buckets == BUCKETS
    assert read(manifest.to_json(), "here") == manifest
    document = json.loads(text)
    document["variants"][0]["buckets"] = buckets
    with pytest.raises(sestina.BundleFormatError) as caught:
        read(json.dumps(document), "here")
    assert said in str(caught.value)


def test_dynamic_variants_have_no_buckets_in_the_manifest(bundle: Path) -> None:
    assert "buckets" not in (bundle / "manifest.json").read_text()
