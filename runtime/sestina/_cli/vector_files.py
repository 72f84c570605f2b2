"""Files of vectors: .npy and .jsonl, written as vectors come and read back in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from sestina._bits import signs
from sestina._cli import compressed
from sestina._cli.destination import Destination
from sestina._cli.files import InputFile
from sestina._cli.json_texts import json_objects, text_of
from sestina._cli.texts import Text
from sestina._errors import InputError, OutputError
from sestina._vectors import in_float32, load_array

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Embeddings, Vectors

_ROWS = 4096  # rows of a saved array that are read at once
_HEADER_BYTES = 128  # the fixed room that the .npy header is padded to, magic included


class VectorWriter(Protocol):
    """Takes vectors in order; `finish` after the last."""

    def add(self, text: Text, vector: Embeddings) -> None:
        """Write one vector."""

    def finish(self) -> None:
        """Complete the file."""


def check_finite(text: Text, vector: Embeddings) -> None:
    """Refuse a vector that no search could use, before there is a file of such.

    Raises:
        OutputError: Where it is not finite.
    """
    if not np.isfinite(vector).all():
        raise OutputError(f"the vector of {text.where} is not finite: try sestina verify on the bundle")


class JsonlWriter:
    """One JSON object a line: {"text": ..., "vector": [...]}, or without the text."""

    def __init__(self, out: Destination, *, with_text: bool) -> None:
        self._out = out
        self._with_text = with_text

    def add(self, text: Text, vector: Embeddings) -> None:
        """Write one line. Nine digits hold a float32 exactly.

        Raises:
            OutputError: Where the vector is not finite.
        """
        check_finite(text, vector)
        whole = vector.dtype.kind in "iu"
        numbers = ", ".join([str(value) if whole else f"{value:.9g}" for value in vector.tolist()])
        told = (
            f'"text": {json.dumps(None if text.null else text.value, ensure_ascii=False)}, '
            if self._with_text
            else ""
        )
        self._out.write(f'{{{told}"vector": [{numbers}]}}\n'.encode())

    def finish(self) -> None:
        """Nothing: every line is complete."""


class NpyWriter:
    """One (n, width) array of float32, or of another type as numpy writes it ("<f2", "|i1", "|u1").

    The header comes first and states n. Where n is not known and the header cannot be written anew in the
    end (a pipe), the vectors are held back until n is known.
    """

    def __init__(self, out: Destination, width: int, expected: int | None, dtype: str = "<f4") -> None:
        self._out = out
        self._width, self._dtype = width, dtype
        self._expected = expected
        self._written = 0
        self._held: list[bytes] | None = None if out.patchable or expected is not None else []
        if self._held is None:
            out.write(npy_header(expected or 0, width, dtype))

    def add(self, text: Text, vector: Embeddings) -> None:
        """Write one row.

        Raises:
            OutputError: Where the vector is not finite.
        """
        check_finite(text, vector)
        row = vector.astype(self._dtype, copy=False).tobytes()
        self._written += 1
        if self._held is None:
            self._out.write(row)
        else:
            self._held.append(row)

    def finish(self) -> None:
        """Make the header true.

        Raises:
            InputError: Where the texts became more or fewer since they were counted, too late to say so.
        """
        header = npy_header(self._written, self._width, self._dtype)
        if self._held is not None:
            for part in (header, *self._held):
                self._out.write(part)
        elif self._out.patchable:
            self._out.patch(header)
        elif self._written != self._expected:
            raise InputError(
                f"the input changed while it was read, from {self._expected} texts to {self._written}: "
                "encode a file that stays as it is"
            )


def npy_header(rows: int, width: int, dtype: str = "<f4") -> bytes:
    """The header of a version 1.0 .npy file of (rows, width), always of the same length."""
    described = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    room = _HEADER_BYTES - 10  # after magic, version and the length of what follows
    return b"\x93NUMPY\x01\x00" + room.to_bytes(2, "little") + described.ljust(room - 1).encode() + b"\n"


class Saved(NamedTuple):
    """Consecutive saved vectors.

    Attributes:
        vectors: (n, d) float32, whatever form they were saved in.
        lines: The line or row of each, counted from 1.
        texts: Those that are known.
        directions: Whether their lengths say nothing: they are whole numbers, or signs.
    """

    vectors: Vectors
    lines: list[int]
    texts: list[str | None]
    directions: bool = False


def read_npy(path: str, width: int) -> Iterator[Saved]:
    """A saved array in pieces, mapped rather than loaded.

    Raises:
        InputError: Where it is not an array of vectors of this width.
    """
    # What is not a readable file is refused in the words of every other input.
    if not InputFile(path).rereadable:
        raise InputError(f"{path} is a pipe or a device; an array is read from a file: save it first")
    if compressed.plain_name(path) != path.lower():
        raise InputError(f"{path} is an array in compressed form, which cannot be mapped: unpack it")
    try:
        array = load_array(path, "r")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a whole .npy file: {error}") from None
    bits, directions = array.dtype == np.uint8, array.dtype in (np.int8, np.uint8)
    whole = -(-width // 8) * 8  # of bits
    if array.ndim != 2 or not (directions or np.issubdtype(array.dtype, np.floating)):
        raise InputError(
            f"{path} holds {array.dtype} of shape {array.shape}; it must hold floats or int8 of shape "
            f"(n, {width}), or uint8 of shape (n, {whole // 8}), eight signs a byte"
        )
    check_width(8 * array.shape[1] if bits else array.shape[1], whole if bits else width, path)
    for begin in range(0, len(array), _ROWS):
        rows = array[begin : begin + _ROWS]
        vectors, unfit = in_float32(signs(rows, width) if bits else rows)
        lines = list(range(begin + 1, begin + len(vectors) + 1))
        if unfit is not None:
            what = "too small for float32" if unfit.small else "not finite"
            raise InputError(f"{path} row {lines[unfit.row]} is {what}: encode the texts again")
        yield Saved(vectors, lines, [None] * len(lines), directions)


def read_jsonl(path: str, width: int) -> Iterator[Saved]:
    """Vectors and texts as `sestina encode` writes them.

    Raises:
        InputError: Where a line has no vector of this width.
    """
    file = InputFile(path)
    for number, record in json_objects(file):
        where = f"{file.name} line {number}"
        if "vector" not in record:
            raise InputError(
                f"{where} has no field 'vector': pass --field NAME to read texts from this file, or encode "
                "it first"
            )
        numbers = _numbers(record["vector"])
        vectors, unfit = in_float32(numbers[np.newaxis])
        if not numbers.size or (unfit is not None and not unfit.small):
            raise InputError(f"{where}: field 'vector' is not an array of numbers")
        if unfit is not None:
            raise InputError(f"{where}: field 'vector' is too small for float32: encode the texts again")
        check_width(len(numbers), width, where)
        text = text_of(record["text"], "text", where) if record.get("text") is not None else None
        whole = all(type(each) is int for each in record["vector"])
        yield Saved(vectors, [number], [text], whole)


def _numbers(value: object) -> npt.NDArray[np.float64]:
    """(d,) of a JSON array of numbers; empty where it is anything else, or a number is out of range."""
    nothing = np.empty(0, dtype=np.float64)
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float}:
        return nothing
    try:
        return np.array(value, dtype=np.float64)
    except OverflowError:
        return nothing


def check_space(found: str | None, space: str, where: str) -> None:
    """Refuse vectors of another space, where theirs is stated.

    Raises:
        InputError: Where it is another.
    """
    if found is not None and found != space:
        raise InputError(
            f"{where} has vectors of the space {found}; this bundle's is {space}: use the bundle that "
            "they were encoded with"
        )


def check_width(found: int, width: int, where: str) -> None:
    """Refuse vectors of another width.

    Raises:
        InputError: Where it is another.
    """
    if found != width:
        raise InputError(
            f"{where} has vectors of {found} dimensions; the query has {width}: use the bundle and the "
            "--dimensions that they were encoded with"
        )
