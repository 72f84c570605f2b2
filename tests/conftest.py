"""Bundles that several rooms of tests read: exported once a session, never written to."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sestina
from _tiny import tiny_bpe, tiny_bundle, tiny_checkpoint, tiny_unigram, tiny_wordpiece
from sestina_model import checkpoint
from sestina_model.checkpoint import Checkpoint

# A shell that runs the suite in the background lets it ignore interrupts, and whatever a test starts inherits
# that: tests of interrupts would wait for what cannot come.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHECKPOINTS: dict[str, Callable[[], Checkpoint]] = {
    "wordpiece": lambda: tiny_checkpoint(tiny_wordpiece()),
    "bpe": lambda: tiny_checkpoint(
        tiny_bpe(), activation="relu", positions="sinusoidal", scale_embeddings=True, norm_embeddings=False
    ),
    "unigram": lambda: tiny_checkpoint(
        tiny_unigram(), norm="pre", pooling="cls", normalize=False, max_tokens=50, seed=3
    ),
}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny WordPiece bundle. Shared: do not write to it."""
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.sestina")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of the tiny bundle, as a folder. Shared: do not write to it."""
    path = tmp_path_factory.mktemp("source") / "tiny"
    checkpoint.save(CHECKPOINTS["wordpiece"](), path)
    return path


@pytest.fixture
def own_bundle(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    return shutil.copytree(bundle, tmp_path / "own.sestina")


@pytest.fixture(scope="session")
def encoder(bundle: Path) -> Iterator[sestina.Encoder]:
    """The tiny WordPiece bundle, loaded as users load it: int8 where the processor is good at that."""
    with sestina.load(bundle) as loaded:
        yield loaded
