"""Texts and the teacher's vectors of them, kept on disk: the teacher reads each text once, in any run.

A folder holds the texts' UTF-8 bytes, the student's token ids, the kind of each text and, for each teacher,
vectors in float16, filled as they are asked for. The flag of a vector is written after the vector.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from sestina_model._errors import FileError
from sestina_model._files import file_sha256
from sestina_model._folders import folder_in_place
from sestina_model.distillation.corpus import Rows
from sestina_model.distillation.material import KINDS, material
from sestina_model.evaluation.scores import TextEncoder

__all__ = ["KeptTexts", "KeptVectors", "keep_texts"]

Integers = npt.NDArray[np.int64]

_WINDOW = 4096  # texts tokenized at a time
_VERSION = 1  # of how texts are drawn


class KeptTexts(NamedTuple):
    """Texts of several kinds.

    Attributes:
        student: Token ids.
        bytes: UTF-8.
        kinds: Of each text, its place in `KINDS`, uint8.
        folder: Where they are kept.
        fingerprint: Of the files, the tokenizer and the limits.
    """

    student: Rows
    bytes: Rows
    kinds: npt.NDArray[np.uint8]
    folder: Path
    fingerprint: str

    def text(self, number: int) -> str:
        """One text."""
        return self.bytes[number].tobytes().decode()


def keep_texts(
    paths: Sequence[Path],
    kinds: Sequence[str],
    student: Tokenizer,
    cache: Path,
    *,
    longest: int,
    advance: Callable[[int], object] = lambda _: None,
) -> KeptTexts:
    """The texts of these kinds in these files, from the cache where they are there, else drawn into it.

    Texts of more than `longest` student tokens are left out. `advance` is called with numbers of lines.

    Raises:
        FileError: Where a file cannot be read, the cache cannot be written, or a kind has no text.
    """
    identity = [
        [[path.name, file_sha256(path)] for path in paths],
        sorted(kinds),
        hashlib.sha256(student.to_str().encode()).hexdigest(),
        [longest, _VERSION],
    ]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    folder = cache / f"texts-{fingerprint}"
    if not folder.is_dir():
        try:
            _write(folder, paths, kinds, student, longest, advance)
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        parts = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in ("student.values", "student.ends", "bytes.values", "bytes.ends", "kinds")
        }
    except (OSError, ValueError) as error:
        raise FileError(f"{folder} is not whole ({error}); delete it to draw it again") from error
    student_rows = Rows(parts["student.values"], parts["student.ends"])
    return KeptTexts(
        student_rows, Rows(parts["bytes.values"], parts["bytes.ends"]), parts["kinds"], folder, fingerprint
    )


def _write(
    folder: Path,
    paths: Sequence[Path],
    kinds: Sequence[str],
    student: Tokenizer,
    longest: int,
    advance: Callable[[int], object],
) -> None:
    ids, id_ends, raw, raw_ends, of = array("H"), array("q"), bytearray(), array("q"), array("B")
    texts = material(paths, kinds, advance)
    while window := list(islice(texts, _WINDOW)):
        for (kind, text), encoding in zip(
            window, student.encode_batch([text for _, text in window]), strict=True
        ):
            if 0 < len(encoding) <= longest:
                ids.extend(encoding.ids)
                id_ends.append(len(ids))
                raw += text.encode()
                raw_ends.append(len(raw))
                of.append(KINDS.index(kind))
    if missing := [kind for kind in kinds if KINDS.index(kind) not in of]:
        raise FileError(
            f"the texts hold no {', no '.join(missing)} of up to {longest} tokens; name more files, or take "
            f"{' and '.join(missing)} out of the mix"
        )
    with folder_in_place(folder) as fresh:
        np.save(fresh / "student.values.npy", np.frombuffer(ids, dtype=np.uint16))
        np.save(fresh / "student.ends.npy", np.frombuffer(id_ends, dtype=np.int64))
        np.save(fresh / "bytes.values.npy", np.frombuffer(raw, dtype=np.uint8))
        np.save(fresh / "bytes.ends.npy", np.frombuffer(raw_ends, dtype=np.int64))
        np.save(fresh / "kinds.npy", np.frombuffer(of, dtype=np.uint8))


class KeptVectors:
    """A teacher's vectors of kept texts.

    Args:
        texts: Theirs.
        teacher: What names the teacher: no two have one name.
        width: T, the width of its vectors.
        encoder: Computes those that are not there yet.

    Raises:
        FileError: Where they cannot be read or written.
    """

    def __init__(self, texts: KeptTexts, teacher: str, width: int, encoder: TextEncoder) -> None:
        self._texts, self._encoder, self.width = texts, encoder, width
        n = len(texts.student)
        self._path = texts.folder / f"vectors-{teacher[:16]}.npy"
        self._vectors = self._map(self._path, np.float16, (n, width))
        self._known = self._map(self._path.with_suffix(".known.npy"), np.uint8, (n,))

    def of(self, numbers: Integers) -> npt.NDArray[np.float32]:
        """The vectors of these texts, (n, T)."""
        missing = np.unique(numbers[self._known[numbers] == 0])
        if len(missing):
            vectors = self._encoder.encode([self._texts.text(int(number)) for number in missing])
            try:
                self._vectors[missing] = vectors.astype(np.float16)
                self._vectors.flush()
                self._known[missing] = 1
            except OSError as error:
                raise FileError(f"{self._path} cannot be written: {error.strerror or error}") from error
        return self._vectors[numbers].astype(np.float32)

    def _map(self, path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
        try:
            if not path.is_file():
                temporary = path.with_suffix(".tmp.npy")
                np.lib.format.open_memmap(temporary, "w+", dtype, shape).flush()  # sparse: no bytes yet
                temporary.replace(path)
            rows = np.lib.format.open_memmap(path, "r+")
        except (OSError, ValueError) as error:
            raise FileError(f"{path} cannot be used ({error}); delete it") from error
        if rows.shape != shape or rows.dtype != dtype:
            raise FileError(f"{path} holds {rows.shape} of {rows.dtype}, not {shape}; delete it")
        return rows
