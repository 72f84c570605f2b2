"""A corpus as units: any stretch of it, or any row of its words, is a text that is tokenized already.

A unit is a word or a mark of punctuation. Tokenizers that split at white space and punctuation before they
look at anything else cut a unit alike wherever it stands: the tokens of a text are those of its units, one
after another. Each distinct unit is tokenized once.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import category

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from sestina_model._errors import ConfigError, FileError
from sestina_model._files import file_sha256
from sestina_model._folders import folder_in_place
from sestina_model._lines import read_lines
from sestina_model.distillation.corpus import Rows
from sestina_model.evaluation.held_out import is_held_out

__all__ = ["Units", "keep_units", "split_units"]

_VERSION = 2  # of how units are cut
_ASCII = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"  # some of these are symbols to Unicode
_COMPARED = 500  # lines whose tokens are compared with those of their units
_ALIKE = 0.98  # of them at least must be alike: a sign that only one side takes for punctuation is rare
_LETTERS = range(2, 25)  # of a word that is a text of its own

_PARTS = ("values", "ends")  # of rows
_FLAT = ("units", "lines", "blocks", "words")


class Units(NamedTuple):
    """A corpus. U units of V distinct ones in L lines.

    Attributes:
        units: (U,) int32, which of the distinct ones each is.
        lines: (L,) int64, where each line ends in `units`.
        blocks: (L,) int32, of each line the block that it is in. A passage does not reach over a block's
            end: there a file ends, or a line is held out for measuring.
        words: (V,) bool, which of the distinct ones are words that stand more than once.
        student: Of each distinct one its token ids.
        teachers: The same for each teacher, without special tokens.
        bytes: Of each distinct one, its UTF-8.
        fingerprint: Of the files and the tokenizers.
    """

    units: npt.NDArray[np.int32]
    lines: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int32]
    words: npt.NDArray[np.bool_]
    student: Rows
    teachers: tuple[Rows, ...]
    bytes: Rows
    fingerprint: str

    def text(self, units: npt.NDArray[np.integer]) -> str:
        """These units as a text that has these tokens."""
        return " ".join(self.bytes[int(unit)].tobytes().decode() for unit in units)


def split_units(text: str) -> list[str]:
    """Words and marks of punctuation, in lower case."""
    return _unit().findall(text.lower())


@functools.cache
def _unit() -> re.Pattern[str]:
    """A mark of punctuation, or what stands between two. Looking for all marks takes a tenth of a second."""
    every = map(chr, range(sys.maxunicode + 1))
    marks = re.escape("".join(sorted({*_ASCII, *(each for each in every if category(each)[0] == "P")})))
    return re.compile(rf"[{marks}]|[^{marks}\s]+")


def keep_units(
    paths: Sequence[Path],
    student: Tokenizer,
    teachers: Sequence[Tokenizer],
    cache: Path,
    *,
    advance: Callable[[int], object] = lambda _: None,
) -> Units:
    """The units of these files, from the cache where they are there, else cut into it.

    What is held out for measuring is left out. `advance` is called with numbers of lines.

    Raises:
        ConfigError: Where a tokenizer cuts a unit otherwise in a text than alone.
        FileError: Where a file cannot be read, the cache cannot be written, or no text is left.
    """
    tokenizers = {"student": student} | {f"teacher-{n}": each for n, each in enumerate(teachers, 1)}
    identity = [
        [[path.name, file_sha256(path)] for path in paths],
        [hashlib.sha256(each.to_str().encode()).hexdigest() for each in tokenizers.values()],
        _VERSION,
    ]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    folder = cache / f"units-{fingerprint}"
    if not folder.is_dir():
        try:
            _write(folder, paths, tokenizers, advance)
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        units, lines, blocks, words = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _FLAT)
        rows = {
            name: Rows(*(np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in _PARTS))
            for name in (*tokenizers, "bytes")
        }
    except (OSError, ValueError) as error:
        raise FileError(f"{folder} is not whole ({error}); delete it to cut it again") from error
    theirs = tuple(rows[name] for name in tokenizers if name != "student")
    return Units(units, lines, blocks, words, rows["student"], theirs, rows["bytes"], fingerprint)


def _write(
    folder: Path, paths: Sequence[Path], tokenizers: dict[str, Tokenizer], advance: Callable[[int], object]
) -> None:
    units, lines, blocks = array("i"), array("q"), array("i")
    numbers: dict[str, int] = {}
    compared: list[str] = []
    for block, line in _lines(paths, advance):
        if len(compared) < _COMPARED and len(lines) % 97 == 0:
            compared.append(line.lower())
        # setdefault with the length numbers each distinct unit as it comes.
        units.extend([numbers.setdefault(unit, len(numbers)) for unit in split_units(line)])
        lines.append(len(units))
        blocks.append(block)
    if not units:
        raise FileError("the files hold no text that is not held out for measuring; name files that do")
    names = list(numbers)
    counts = np.bincount(np.frombuffer(units, dtype=np.int32), minlength=len(names))
    words = [name.isalpha() and len(name) in _LETTERS for name in names]
    with folder_in_place(folder) as fresh:
        for side, tokenizer in tokenizers.items():
            _must_be_apart(tokenizer, compared, side)
            _save(fresh, side, _encoded(tokenizer, names), np.uint16)
        _save(fresh, "bytes", [list(name.encode()) for name in names], np.uint8)
        np.save(fresh / "units.npy", np.frombuffer(units, dtype=np.int32))
        np.save(fresh / "lines.npy", np.frombuffer(lines, dtype=np.int64))
        np.save(fresh / "blocks.npy", np.frombuffer(blocks, dtype=np.int32))
        np.save(fresh / "words.npy", np.array(words) & (counts > 1))


def _lines(paths: Sequence[Path], advance: Callable[[int], object]) -> Iterator[tuple[int, str]]:
    """Lines that hold something, each with the number of its block."""
    block = 0
    for path in paths:
        block += 1
        for number, line in enumerate(read_lines(path), 1):
            if number % 4096 == 0:
                advance(4096)
            if is_held_out(line):
                block += 1
            elif line.strip():
                yield block, line


def _encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [each.ids for each in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def _must_be_apart(tokenizer: Tokenizer, lines: Sequence[str], side: str) -> None:
    """Refuse a tokenizer to which a word is not the same in every text.

    Raises:
        ConfigError: Where it is such a one.
    """
    alike = 0
    for line in lines:
        parts = _encoded(tokenizer, split_units(line))
        alike += [token for part in parts for token in part] == _encoded(tokenizer, [line])[0]
    if alike < _ALIKE * len(lines):
        raise ConfigError(
            f"the tokenizer of {side} cuts words otherwise in a text than alone ({len(lines) - alike} of "
            f"{len(lines)} lines differ), so crops cannot be made of its tokens; state a mix instead"
        )


def _save(folder: Path, name: str, rows: Sequence[Sequence[int]], dtype: type[np.generic]) -> None:
    values, ends = _PARTS
    flat = np.concatenate([np.asarray(row, dtype=dtype) for row in rows])
    np.save(folder / f"{name}.{values}.npy", flat)
    np.save(folder / f"{name}.{ends}.npy", np.cumsum([len(row) for row in rows], dtype=np.int64))
