"""Files of sparse vectors, written as they come: .npz as scipy.sparse.load_npz reads it, and .jsonl."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from sestina._cli.destination import Destination, unwritable_named
from sestina._cli.texts import Text
from sestina._cli.vector_files import check_finite

if TYPE_CHECKING:
    from sestina._sparse_vectors import SparseVector

_COPIED = 1 << 20  # bytes at a time, a whole number of numbers
_MOST_INT32 = (1 << 31) - 1
_UNIX = 3  # what an entry says of the system that made it


class SparseJsonlWriter:
    """One JSON object a line: {"text": ..., "indices": [...], "values": [...]}, or without the text.

    Attributes:
        weights: How many were written.
    """

    def __init__(self, out: Destination, *, with_text: bool) -> None:
        self._out, self._with_text = out, with_text
        self.weights = 0

    def add(self, text: Text, vector: SparseVector) -> None:
        """Write one line. Nine digits hold a float32 exactly.

        Raises:
            OutputError: Where a weight is not finite.
        """
        check_finite(text, vector.weights)
        self.weights += len(vector)
        indices = ", ".join(map(str, vector.indices.tolist()))
        values = ", ".join([f"{weight:.9g}" for weight in vector.weights.tolist()])
        told = (
            f'"text": {json.dumps(None if text.null else text.value, ensure_ascii=False)}, '
            if self._with_text
            else ""
        )
        self._out.write(f'{{{told}"indices": [{indices}], "values": [{values}]}}\n'.encode())

    def finish(self) -> None:
        """Nothing: every line is complete."""

    def close(self) -> None:
        """Nothing: there is nothing but the output."""


class NpzWriter:
    """One matrix in compressed sparse rows, (n, dimensions) float32, and beside it the space of the vectors.

    Each array of an .npz states how long it is before it begins, so they wait in files without a name, beside
    the output or where it is a pipe in the system's folder for such, until all vectors are there. The bytes
    depend on the vectors alone. Indices are int32 wherever they fit: scipy makes both arrays of them as wide
    as the wider, and much that takes its matrices takes no int64.

    Args:
        out: Where to.
        dimensions: Tokens of the vocabulary.
        space: Of the vectors.

    Attributes:
        weights: How many were written.

    Raises:
        OutputError: Where no such file can be made.
    """

    def __init__(self, out: Destination, dimensions: int, space: str) -> None:
        self._out, self._dimensions, self._space = out, dimensions, space
        self._rows = self.weights = 0
        beside = Path(os.path.realpath(out.name)).parent if out.patchable else None
        self._waiting = out.name if beside else f"{tempfile.gettempdir()} (TMPDIR)"
        with unwritable_named(self._waiting):
            self._indices, self._values, self._starts = (
                tempfile.TemporaryFile(dir=beside)  # noqa: SIM115  gone when this is
                for _ in range(3)
            )
            self._starts.write(bytes(8))

    def add(self, text: Text, vector: SparseVector) -> None:
        """Write one row.

        Raises:
            OutputError: Where a weight is not finite, or cannot be written.
        """
        check_finite(text, vector.weights)
        self._rows += 1
        self.weights += len(vector)
        with unwritable_named(self._waiting):
            self._indices.write(vector.indices.astype("<i4", copy=False).tobytes())
            self._values.write(vector.weights.astype("<f4", copy=False).tobytes())
            self._starts.write(self.weights.to_bytes(8, "little"))

    def finish(self) -> None:
        """Put the arrays together, by the names and in the order of `scipy.sparse.save_npz`."""
        stream: Any = _Appended(self._out)
        wide = "<i4" if self.weights <= _MOST_INT32 else "<i8"
        with zipfile.ZipFile(stream, "w") as archive:
            self._copy(archive, "indices", self._indices, "<i4", self.weights, wide)
            self._copy(archive, "indptr", self._starts, "<i8", self._rows + 1, wide)
            _put(archive, "format", np.array(b"csr"))
            _put(archive, "shape", np.array([self._rows, self._dimensions], "<i8"))
            self._copy(archive, "data", self._values, "<f4", self.weights, "<f4")
            _put(archive, "_is_array", np.array(True))  # a csr_array, not a csr_matrix
            _put(archive, "space", np.array(self._space))

    def close(self) -> None:
        """Take away what waited; to be called whatever became of the output."""
        for stream in (self._indices, self._values, self._starts):
            with contextlib.suppress(OSError):  # of bytes that it could not write
                stream.close()

    def _copy(
        self, archive: zipfile.ZipFile, name: str, stream: IO[bytes], waiting: str, count: int, kind: str
    ) -> None:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": kind, "fortran_order": False, "shape": (count,)}
        )
        with _entry(archive, name) as entry:
            entry.write(header.getvalue())
            with unwritable_named(self._waiting):
                stream.seek(0)
            while part := stream.read(_COPIED):
                entry.write(np.frombuffer(part, waiting).astype(kind, copy=False).tobytes())


class _Appended:
    """A destination as zipfile writes to it: what is written stays as it is, as in a pipe."""

    def __init__(self, out: Destination) -> None:
        self._out = out

    def write(self, data: Any) -> int:
        self._out.write(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing: the destination is flushed when it is finished."""


def _put(archive: zipfile.ZipFile, name: str, array: Any) -> None:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    with _entry(archive, name) as entry:
        entry.write(content.getvalue())


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Of whatever size, and of no time: the default is the first that zip has."""
    info = zipfile.ZipInfo(f"{name}.npy")
    info.create_system = _UNIX  # the same bytes on all
    return archive.open(info, "w", force_zip64=True)
