"""The texts, tokenized once for student and teacher and kept as flat arrays that are mapped, not loaded.

A corpus folder holds, for each of the two, every text's token ids, and the places of those tokens that both
cut alike: NAME.values.npy, uint16, one text's after another's, and NAME.ends.npy, int64, where each ends.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from sestina_model._errors import FileError
from sestina_model._files import file_sha256
from sestina_model._folders import folder_in_place
from sestina_model._lines import read_lines
from sestina_model.checkpoint import Checkpoint
from sestina_model.distillation.alignment import shared_places

__all__ = ["Corpus", "Reading", "Rows", "passages", "sample_lines", "stretches", "tokenized"]

_WINDOW = 4096  # lines tokenized at a time
_SHORT = 200  # characters of a sampled line
_STRIDE = 7  # neighbouring lines are alike, so most are passed over
_ROWS = ("student", "teacher", "student-places", "teacher-places")


class Rows:
    """Token ids of many texts, or places of tokens, or bytes, as a sequence."""

    def __init__(self, values: npt.NDArray[Any], ends: npt.NDArray[np.int64]) -> None:
        self.values, self.ends = values, ends
        self.lengths: npt.NDArray[np.int64] = np.diff(ends, prepend=0)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        end = int(self.ends[index])
        return self.values[end - int(self.lengths[index]) : end]

    def flat(self, indices: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
        """Those of these texts, one after another."""
        return self.values[stretches(self.ends[indices] - self.lengths[indices], self.lengths[indices])]


def stretches(begins: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The numbers from each begin on, so many of them, one stretch after another."""
    ends = np.cumsum(lengths, dtype=np.int64)
    whole = int(ends[-1]) if len(ends) else 0
    numbers: npt.NDArray[np.int64] = np.arange(whole) + np.repeat(begins - (ends - lengths), lengths)
    return numbers


class Reading(NamedTuple):
    """One text as student and teacher read it; uint16, as in `Corpus`."""

    student: npt.NDArray[np.uint16]
    teacher: npt.NDArray[np.uint16]
    student_places: npt.NDArray[np.uint16]
    teacher_places: npt.NDArray[np.uint16]


class Corpus(NamedTuple):
    """The same texts as the student and as the teacher read them.

    Attributes:
        student, teacher: Token ids.
        student_places, teacher_places: Where in these the tokens stand that cover the same characters in
            both, in the same order.
        fingerprint: Of the texts, the tokenizers and the limits.
    """

    student: Rows
    teacher: Rows
    student_places: Rows
    teacher_places: Rows
    fingerprint: str

    def reading(self, number: int) -> Reading:
        """One text."""
        rows = (self.student, self.teacher, self.student_places, self.teacher_places)
        return Reading(*(row[number] for row in rows))


def sample_lines(paths: Sequence[Path], n: int) -> list[str]:
    """Up to `n` short lines, as many from each file; always the same ones, and none of it read to its end."""
    each = -(-n // len(paths))
    found: list[str] = []
    for path in paths:
        short = (line for line in read_lines(path) if line.strip() and len(line) <= _SHORT)
        found += islice(short, 0, each * _STRIDE, _STRIDE)
    return found[:n]


def passages(paths: Sequence[Path], join_lines: int) -> Iterator[str]:
    """Every line that is not blank, and after each `join_lines` of a file those lines as one passage."""
    for path in paths:
        recent: list[str] = []
        for line in read_lines(path):
            if not line.strip():
                continue
            yield line
            if join_lines:
                recent.append(line)
                if len(recent) == join_lines:
                    yield " ".join(recent)
                    recent.clear()


def tokenized(
    paths: Sequence[Path],
    student: Tokenizer,
    teacher: Checkpoint,
    cache: Path,
    *,
    longest: int,
    join_lines: int = 0,
    advance: Callable[[int], object] = lambda _: None,
) -> Corpus:
    """The corpus of these files, from the cache where it is there, else tokenized into it.

    Texts of more than `longest` student tokens are left out. `advance` is called with numbers of lines.

    Raises:
        FileError: Where a file cannot be read, the cache cannot be written, or no text is left.
    """
    for tokenizer in (student, teacher.tokenizer):
        if tokenizer.get_vocab_size() > np.iinfo(np.uint16).max + 1:
            raise FileError(
                f"a tokenizer has {tokenizer.get_vocab_size()} entries; the cache holds ids up to 65535"
            )
    recipe = [
        [[path.name, file_sha256(path)] for path in paths],
        [
            hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
            for tokenizer in (student, teacher.tokenizer)
        ],
        [longest, teacher.model.head.max_tokens, join_lines, _ROWS],
    ]
    fingerprint = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    folder = cache / f"corpus-{fingerprint}"
    if not folder.is_dir():
        try:
            _write(folder, passages(paths, join_lines), student, teacher, longest, advance)
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{folder} cannot be written: {error.strerror or error}") from error
    mine, theirs, my_places, their_places = (_map(folder, name) for name in _ROWS)
    return Corpus(mine, theirs, my_places, their_places, fingerprint)


def _write(
    folder: Path,
    texts: Iterator[str],
    student: Tokenizer,
    teacher: Checkpoint,
    longest: int,
    advance: Callable[[int], object],
) -> None:
    values = {name: array("H") for name in _ROWS}
    ends = {name: array("q") for name in _ROWS}
    while window := list(islice(texts, _WINDOW)):
        kept, mine = [], []
        for text, encoding in zip(window, student.encode_batch(window), strict=True):
            if 0 < len(encoding) <= longest:
                kept.append(text)
                mine.append(encoding)
        for encoding, theirs in zip(mine, teacher.encodings(kept), strict=True):
            rows = (encoding.ids, theirs.ids, *shared_places(encoding, theirs))
            for name, row in zip(_ROWS, rows, strict=True):
                values[name].extend(row)
                ends[name].append(len(values[name]))
        advance(len(window))
    if not ends["student"]:
        raise FileError(f"no text of up to {longest} tokens was found; name files that hold some")
    # Another run that was faster made the same of the same.
    with suppress(FileExistsError), folder_in_place(folder) as fresh:
        for name in _ROWS:
            np.save(fresh / f"{name}.values.npy", np.frombuffer(values[name], dtype=np.uint16))
            np.save(fresh / f"{name}.ends.npy", np.frombuffer(ends[name], dtype=np.int64))


def _map(folder: Path, name: str) -> Rows:
    try:
        values = np.load(folder / f"{name}.values.npy", mmap_mode="r")
        return Rows(values, np.load(folder / f"{name}.ends.npy"))
    except (OSError, ValueError) as error:
        raise FileError(f"{folder} is not a whole corpus ({error}); delete it to tokenize again") from error
