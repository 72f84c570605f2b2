"""What several rooms of tests read: checkpoints and bundles, made once and never written to."""

from __future__ import annotations

import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import _made
import _untraced
import sestina

pytest_plugins = ["_slow"]

# A shell that runs the suite in the background lets it ignore interrupts, and whatever a test starts inherits
# that: tests of interrupts would wait for what cannot come.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # nohup has it ignored, and commands respect that
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Where PyTorch and the exporter are not installed, the runtime is tested alone, by the files that need neither.
HEAVY = re.compile(
    r"^(?:from|import) (?:torch|onnx|safetensors|transformers|sestina_export|sestina_model|_masked|_fakes|_trained)\b",
    re.MULTILINE,
)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if _made.FULL or not collection_path.name.startswith("test_"):
        return None
    return HEAVY.search(collection_path.read_text("utf-8")) is not None or None


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and _made.FULL:
        _made.remove_older()


MakeBundle = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def quick_torch() -> None:
    """One thread: sums of a few numbers on several wait for one another, longest where others work too."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
        _untraced.spare()


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., Path]:
    """make_checkpoint(kind, **changes): the folder of a tiny checkpoint. Shared: do not write to it.

    Kinds are those of `_made.KINDS`, changes those that `_tiny.tiny_checkpoint` takes.
    """
    return _made.kept_checkpoint


@pytest.fixture(scope="session")
def make_bundle() -> MakeBundle:
    """make_bundle(kind, targets=, precisions=, **changes): the bundle of such a checkpoint. Shared: do not write to it."""
    return _made.kept_bundle


@pytest.fixture(scope="session")
def bundle(make_bundle: MakeBundle) -> Path:
    """The tiny WordPiece bundle. Shared: do not write to it."""
    return make_bundle()


@pytest.fixture(scope="session")
def source(make_checkpoint: Callable[..., Path]) -> Path:
    """The checkpoint of the tiny bundle, as a folder. Shared: do not write to it."""
    return make_checkpoint()


@pytest.fixture
def own_bundle(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    return shutil.copytree(bundle, tmp_path / "own.sestina")


@pytest.fixture(scope="session")
def encoder(bundle: Path) -> Iterator[sestina.Encoder]:
    """The tiny WordPiece bundle, loaded as users load it: int8 where the processor is good at that."""
    with sestina.load(bundle) as loaded:
        yield loaded
