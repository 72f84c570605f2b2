"""Texts from lines, from a field of JSONL or from a column of CSV, each knowing where it came from."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from sestina._cli.files import LONGEST_LINE, InputFile
from sestina._errors import InputError, OptionError

_COLUMN_DIGITS = 9
_ROW_LINES = 4  # times the longest line: what a row of several quoted fields may be


class Text(NamedTuple):
    """One text: what it says, and the source and line to name when something is wrong with it."""

    value: str
    source: str
    line: int | None
    null: bool = False  # then `value` is ""

    @property
    def where(self) -> str:
        """For messages."""
        return self.source if self.line is None else f"{self.source} line {self.line}"


class TextFile:
    """The texts of a file, in order; may be iterated again where `file.rereadable`.

    Args:
        path: A path, or "-" for standard input.
        field: The file is JSONL: take this field of each object. Blank lines are passed over.
        column: The file is CSV: take the column of this name in the first row, or of this number counted
            from 1 (then the first row is data). Blank lines are passed over.
        nulls: Whether a field may be null.

    With neither, every line is one text, blank lines included: line n gives vector n.

    Raises:
        InputError: Where the file cannot be opened; and while iterating, at the first line that is not as
            it should be.
        OptionError: Where `column` is 0, or a number that no row has so many columns for.
    """

    def __init__(
        self, path: str, field: str | None = None, column: str | None = None, *, nulls: bool = False
    ) -> None:
        self.file = InputFile(path)
        self._field = field
        self._nulls = nulls
        self._column = column
        self._number = None if column is None else _column_number(column)

    def __iter__(self) -> Iterator[Text]:
        if self._field is not None:
            return self._from_jsonl(self._field)
        if self._column is not None:
            return self._from_csv(self._column)
        return self._from_lines()

    def count(self) -> int | None:
        """How many texts there are, having checked every one; None where that would use them up."""
        return sum(1 for _ in self) if self.file.rereadable else None

    def _from_lines(self) -> Iterator[Text]:
        for number, line in self.file.lines():
            yield Text(line.removesuffix("\n").removesuffix("\r"), self.file.name, number)

    def _from_jsonl(self, field: str) -> Iterator[Text]:
        for number, record in json_objects(self.file):
            where = f"{self.file.name} line {number}"
            if field not in record:
                have = ", ".join(record) or "none"
                raise InputError(f"{where} has no field {field!r}; its fields are: {have}")
            if record[field] is None and self._nulls:
                yield Text("", self.file.name, number, null=True)
            else:
                yield Text(text_of(record[field], field, where), self.file.name, number)

    def _from_csv(self, column: str) -> Iterator[Text]:
        index = None if self._number is None else self._number - 1
        for number, row in self._csv_rows():
            where = f"{self.file.name} line {number}"
            if index is None:
                index = _column_index(row, column, where)
            elif index >= len(row):
                raise InputError(f"{where} has no column {column}: the row ends after {len(row)}")
            else:
                yield Text(row[index], self.file.name, number)
        if index is None:
            raise InputError(f"{self.file.name} is empty; its first row must name the column {column!r}")

    def _csv_rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not blank, with the number of the line that each begins on."""
        csv.field_size_limit(LONGEST_LINE)  # Python's own limit of 131,072 is less than a long document
        size = 0

        def lines() -> Iterator[str]:
            nonlocal size
            for _, line in self.file.lines():
                size += len(line)
                if size > _ROW_LINES * LONGEST_LINE:
                    raise InputError(
                        f"{self.file.name} line {begin} begins a row that does not end: close its quotes"
                    )
                yield line

        reader = csv.reader(lines(), strict=True)
        while True:
            begin, size = reader.line_num + 1, 0
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(f"{self.file.name} line {begin} is not valid CSV: {error}") from None
            if row:
                yield begin, row


def json_objects(file: InputFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers; blank lines are passed over.

    Raises:
        InputError: Where a line is not one JSON object.
    """
    for number, raw in file.lines():
        line = raw.strip()
        if not line:
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"{error.msg} at character {error.pos + 1}"
            raise InputError(f"{file.name} line {number} is not valid JSON: {problem}") from None
        except (ValueError, RecursionError) as error:  # a number too long, brackets too deep
            raise InputError(f"{file.name} line {number} is not valid JSON: {error}") from None
        if not isinstance(record, dict):
            raise InputError(f"{file.name} line {number} is not a JSON object: every line must be one")
        yield number, record


def text_of(value: object, field: str, where: str) -> str:
    """A field's value, if it is text.

    Raises:
        InputError: Where it is not a string, or one that JSON can escape but Unicode cannot hold.
    """
    if not isinstance(value, str):
        raise InputError(f"{where}: field {field!r} is {_json_type(value)}; it must be a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: field {field!r} has the lone surrogate \\u{ord(value[error.start]):04x}, which is not "
            "text: mend the file"
        ) from None
    return value


def _column_number(column: str) -> int | None:
    """The number that a column is given by; None where it is given by its name.

    Raises:
        OptionError: Where no row has such a column.
    """
    if not (column.isascii() and column.isdecimal()):
        return None
    if len(column.lstrip("0")) > _COLUMN_DIGITS:
        raise OptionError(f"--column is {column}; no row has so many columns")
    if int(column.lstrip("0") or "0") == 0:
        raise OptionError("--column is 0; columns are counted from 1")
    return int(column.lstrip("0"))


def _column_index(header: list[str], column: str, where: str) -> int:
    if header.count(column) != 1:
        problem = "more than one column" if column in header else "no column"
        raise InputError(f"{where} has {problem} {column!r}; its columns are: {', '.join(header)}")
    return header.index(column)


def _json_type(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}
    return names.get(type(value), "null")
