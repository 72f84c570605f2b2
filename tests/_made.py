"""Checkpoints and bundles that tests read: each made once, and kept until what makes it changes.

They lie in build/tests/made-KEY, for every process of a run and for later runs; KEY is a digest of the code and of the
packages that make them. Where PyTorch is not installed, SESTINA_TESTS_MADE names such a folder, made elsewhere by
`python tests/_made.py`, and nothing is made.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from _tiny import tiny_bpe, tiny_checkpoint, tiny_unigram, tiny_wordpiece

if TYPE_CHECKING:
    from sestina_model.checkpoint import Checkpoint

ROOT = Path(__file__).resolve().parents[1]
FULL = importlib.util.find_spec("torch") is not None
# For the few tests in a file of the runtime's that need more than the runtime.
needs_exporter = pytest.mark.skipif(not FULL, reason="PyTorch and the exporter are not installed")
# What making took, for _slow.py: of each that was asked for, in this process or when it was made; and in this process.
asked: list[float] = []
making = 0.0

_PACKAGES = ("sestina", "sestina_model", "sestina_export")
_TOOLS = ("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "tokenizers", "numpy")

# But for the CPU: one bundle of them is read by tests of several kinds.
EVERY_TARGET = ("portable", "cuda", "qnn", "webgpu", "mobile-cpu")

# One of each family of tokenizers; beside it, what of an encoder differs between the families.
KINDS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "wordpiece": (tiny_wordpiece, {}),
    "bpe": (
        tiny_bpe,
        {"activation": "relu", "positions": "sinusoidal", "scale_embeddings": True, "norm_embeddings": False},
    ),
    "unigram": (
        tiny_unigram,
        {"norm": "pre", "pooling": "cls", "normalize": False, "max_tokens": 50, "seed": 3},
    ),
}


def new_checkpoint(kind: str = "wordpiece", **changes: Any) -> Checkpoint:
    """A checkpoint of one of `KINDS`, with changes as `_tiny.tiny_checkpoint` takes them."""
    tokenizer, options = KINDS[kind]
    return tiny_checkpoint(tokenizer(), **{**options, **changes})


def kept_checkpoint(kind: str = "wordpiece", **changes: Any) -> Path:
    """The same as a folder."""

    def make(path: Path) -> None:
        from sestina_model import checkpoint

        checkpoint.save(new_checkpoint(kind, **changes), path)

    return kept([kind, changes], "checkpoint", make)


def kept_bundle(
    kind: str = "wordpiece",
    *,
    targets: Sequence[str] = ("cpu",),
    precisions: Sequence[str] | None = None,
    **changes: Any,
) -> Path:
    """The bundle of such a checkpoint, or of one of `_trained.NAMES`, which has no changes."""
    recipe: list[Any] = [kind, list(targets), precisions and list(precisions), changes]
    if kind not in KINDS:
        from _trained import trained_folder

        assert not changes
        folder = trained_folder(kind)
        recipe += [
            hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.safetensors"))
        ]

    def make(path: Path) -> None:
        from sestina_export import export

        source = new_checkpoint(kind, **changes) if kind in KINDS else folder
        export(source, path, targets=targets, precisions=precisions)

    return kept(recipe, "sestina", make)


def kept(recipe: list[Any], suffix: str, make: Callable[[Path], object]) -> Path:
    """Where it lies, made if it is not there yet; another process that wants the same one waits."""
    text = json.dumps(recipe, sort_keys=True)
    name = f"{recipe[0]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.{suffix}"
    path = folder() / name
    if not path.exists():
        _make(path, make, text)
    asked.append(float((folder() / f"{name}.seconds").read_text("utf-8")))
    return path


def _make(path: Path, make: Callable[[Path], object], text: str) -> None:
    if not FULL:
        pytest.skip(f"{text} was not made by python tests/_made.py")
    from filelock import FileLock

    global making
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / f"{path.name}.lock"):
        if not path.exists():
            begun = spent()
            unfinished = path.with_name(f"unfinished-{path.name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            path.with_name(f"{path.name}.seconds").write_text(f"{spent() - begun:.2f}", "utf-8")
            unfinished.rename(path)
            making += spent() - begun


def spent() -> float:
    """Seconds that processors worked for this process and for those that it has waited for."""
    return sum(os.times()[:4])


@functools.cache
def folder() -> Path:
    """Of the code that is installed here; those of other code are removed."""
    if given := os.environ.get("SESTINA_TESTS_MADE"):
        return Path(given)
    digest = hashlib.sha256(Path(__file__).with_name("_tiny.py").read_bytes())
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        place = Path(spec.origin).parent
        for file in sorted(place.rglob("*.py")):
            digest.update(file.relative_to(place).as_posix().encode() + file.read_bytes())
    for tool in _TOOLS:
        digest.update(metadata.version(tool).encode())
    return ROOT / "build" / "tests" / f"made-{digest.hexdigest()[:16]}"


def remove_older() -> None:
    """What other code made; for a run's one process that starts the others."""
    for path in folder().parent.glob("made-*"):
        if path != folder():
            shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    # What the tests of the runtime need where PyTorch is not.
    kept_bundle()
    print(folder(), file=sys.stdout)
