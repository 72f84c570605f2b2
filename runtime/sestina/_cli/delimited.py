"""Tables of text: CSV and its relatives, with the delimiter that was named or that the first rows show."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain

from sestina._cli import compressed, files
from sestina._cli.files import InputFile
from sestina._errors import InputError, OptionError

_COLUMN_DIGITS = 9
_ROW_LINES = 4  # times the longest line: what a row of several quoted fields may be
_SAMPLE = 8192  # characters that a delimiter is told by; the csv module looks at all pairs of quotes in them
_CANDIDATES = ",\t;|"
_SPELT = {"\\t": "\t", "tab": "\t"}


class Column:
    r"""One column of a file of delimited rows.

    Args:
        name: Of the column in the first row, or its number counted from 1 (then the first row is data).
        delimiter: One character, or `\\t`; None: told by the first rows.

    Raises:
        OptionError: Where the number is 0 or one that no row has so many columns for, or the delimiter is
            none.
    """

    def __init__(self, name: str, delimiter: str | None) -> None:
        self._name = name
        self._number = _column_number(name)
        self._delimiter = None if delimiter is None else _checked(delimiter)

    def texts(self, file: InputFile) -> Iterator[tuple[int, str]]:
        """The column's texts and the number of the line that each row begins on; blank lines are passed over.

        Raises:
            InputError: At the first row that is not as it should be.
        """
        index = None if self._number is None else self._number - 1
        width: int | None = None
        for number, row in self._rows(file):
            where = f"{file.name} line {number}"
            if width is None:
                width = len(row)
            elif len(row) > width and any(row[width:]):
                raise InputError(
                    f"{where} has {len(row)} columns and the first row {width}: quote what holds a "
                    "delimiter, or name another with --delimiter"
                )
            if index is None:
                index = _column_index(row, self._name, where)
            elif index >= len(row):
                raise InputError(f"{where} has no column {self._name}: the row ends after {len(row)}")
            else:
                yield number, row[index]
        if index is None:
            raise InputError(f"{file.name} is empty; its first row must name the column {self._name!r}")

    def _rows(self, file: InputFile) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not blank, with the number of the line that each begins on."""
        csv.field_size_limit(files.LONGEST_LINE)  # Python's own limit of 131,072 is less than a long document
        size = 0
        given: Iterator[str] = (line for _, line in file.lines())
        sample: list[str] = []
        delimiter = self._delimiter
        if delimiter is None:
            # What stops the reading of it is raised when its line is reached, after the texts before it.
            delimiter, given = self._found(file, given, sample)

        def lines() -> Iterator[str]:
            nonlocal size
            for line in chain(sample, given):
                size += len(line)
                if size > _ROW_LINES * files.LONGEST_LINE:
                    raise InputError(
                        f"{file.name} line {begin} begins a row that does not end: close its quotes"
                    )
                yield line

        reader = csv.reader(lines(), delimiter=delimiter, strict=True)
        while True:
            begin, size = reader.line_num + 1, 0
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(f"{file.name} line {begin} is not valid CSV: {error}") from None
            if row:
                yield begin, row

    def _found(self, file: InputFile, given: Iterator[str], sample: list[str]) -> tuple[str, Iterator[str]]:
        """The delimiter, told by lines that are put into `sample`, and the lines after them."""
        size = 0
        try:
            while size < _SAMPLE and (line := next(given, None)) is not None:
                sample.append(line)
                size += len(line)
        except InputError as error:
            given = _raising(error)
        if compressed.plain_name(file.path).endswith((".tsv", ".tab")):
            return "\t", given
        text = "".join(sample)[:_SAMPLE]
        if self._fits(text, ",", least=1):
            return ",", given
        try:
            sniffed = csv.Sniffer().sniff(text, _CANDIDATES).delimiter
        except csv.Error:
            sniffed = ""
        others = [each for each in (sniffed, *_CANDIDATES) if each and each in _CANDIDATES]
        return next((each for each in others if self._fits(text, each, least=2)), ","), given

    def _fits(self, text: str, delimiter: str, least: int) -> bool:
        """Whether rows of this delimiter have the column: by name in the first, by number all alike."""
        try:
            rows = [row for row in csv.reader(io.StringIO(text, "\n"), delimiter=delimiter) if row]
        except csv.Error:
            return False
        if not rows:
            return False
        if self._number is None:
            return self._name in rows[0]
        whole = rows[:-1] if len(text) == _SAMPLE and len(rows) > 1 else rows
        widths = {len(row) for row in whole}
        # One column of everything is what a wrong delimiter finds.
        alone = widths == {1} and least == 1 and not any(other in text for other in _CANDIDATES[1:])
        return len(widths) == 1 and (alone or (len(rows[0]) >= max(2, self._number)))


def _raising(error: InputError) -> Iterator[str]:
    raise error
    yield


def _checked(delimiter: str) -> str:
    spelt = _SPELT.get(delimiter, delimiter)
    if len(spelt) != 1 or spelt in '"\r\n\0' or "\ud800" <= spelt <= "\udfff":
        raise OptionError(
            f"--delimiter is {delimiter!r}; it must be one character and no quote or line break: "
            "such as ';', '|' or '\\t'"
        )
    return spelt


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
