"""An encoder travels by recipe: to another process, into a copy, into a pool."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

import sestina

TEXTS = ["model", "tokens of a model", ""]


@pytest.fixture
def encoder(bundle: Path) -> Iterator[sestina.Encoder]:
    with sestina.load(bundle, precision="fp32", threads=1, max_memory_mb=64) as loaded:
        yield loaded


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_is_an_encoder_of_its_own(way: object, encoder: sestina.Encoder) -> None:
    wanted = encoder.encode(TEXTS)
    assert callable(way)
    with way(encoder) as other:
        assert np.array_equal(other.encode(TEXTS), wanted)
        assert other.space == encoder.space
        mine, its = encoder.report(), other.report()
        assert its == mine
    assert np.array_equal(encoder.encode(TEXTS), wanted)


def test_a_pickle_is_a_recipe(encoder: sestina.Encoder) -> None:
    assert len(pickle.dumps(encoder)) < 1000


def test_a_relative_path_arrives_as_an_absolute_one(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(bundle.parent)
    with sestina.load(bundle.name, provider=["cpu"]) as encoder:
        content = pickle.dumps(encoder)
        monkeypatch.chdir(tmp_path)
        with pickle.loads(content) as other:
            assert np.array_equal(other.encode("model"), encoder.encode("model"))


def test_another_space_is_refused_where_it_arrives(
    tmp_path: Path, bundle: Path, make_bundle: Callable[..., Path]
) -> None:
    place = shutil.copytree(bundle, tmp_path / "model.sestina")
    with sestina.load(place) as encoder:
        content, space = pickle.dumps(encoder), encoder.space
    shutil.rmtree(place)
    with pytest.raises(sestina.BundleNotFoundError, match="there is no bundle"):
        pickle.loads(content)
    shutil.copytree(make_bundle("unigram", precisions=["fp32"]), place)
    with pytest.raises(sestina.BundleIntegrityError, match=space):
        pickle.loads(content)


def test_a_closed_encoder_has_no_recipe(bundle: Path) -> None:
    encoder = sestina.load(bundle)
    encoder.close()
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(sestina.ClosedError):
            way(encoder)


@pytest.mark.parametrize("value", ["fork", None, True, "RELOAD"])
def test_on_fork_is_one_of_two(value: object, bundle: Path) -> None:
    with pytest.raises(sestina.OptionError, match="on_fork is .*; it must be one of reload, error"):
        sestina.load(bundle, on_fork=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="one of the two ways is missing here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_method_goes_to_a_pool(method: str, encoder: sestina.Encoder) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        vectors = pool.submit(encoder.encode, TEXTS).result(timeout=120)
    assert np.array_equal(vectors, encoder.encode(TEXTS))


def test_the_bundle_in_the_box_arrives_wherever_that_is() -> None:
    with sestina.load() as encoder:
        content = pickle.dumps(encoder)
        wanted = encoder.encode("a text")
    assert b"default.sestina" not in content
    code = "import pickle, sys; e = pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(e.encode('a text').tobytes())"
    done = subprocess.run(
        [sys.executable, "-c", code], input=content, capture_output=True, check=True, timeout=120
    )
    assert done.stdout == wanted.tobytes()
