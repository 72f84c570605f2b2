"""Texts from lines, from JSON, from a column of CSV or of a table, each knowing where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sestina._cli import compressed
from sestina._cli.delimited import Column
from sestina._cli.files import LONGEST_LINE, InputFile
from sestina._cli.json_texts import array_texts, begins_array, field_text, json_objects
from sestina._cli.located import Text
from sestina._errors import OptionError

if TYPE_CHECKING:
    from sestina._cli.tables.reading import TableFile

__all__ = ["LONGEST_LINE", "TABLES", "Text", "TextFile"]

_ARRAYS = (".json",)
TABLES = (".parquet", ".pq", ".arrow", ".arrows", ".ipc", ".feather")


class TextFile:
    """The texts of a file, in order; may be iterated again where `file.rereadable`.

    Args:
        path: A path, or "-" for standard input. What it is called says what it is: a table (.parquet,
            .arrow, ...), a JSON array (.json that begins with [), or lines; each may be compressed, but
            for tables.
        field: The file is JSONL, or a JSON array: take this field of each object; `a.b` is the field b of the
            field a, where no field is called so. Blank lines are passed over.
        column: Of a table, the column of this name. Else the file is CSV: take the column of this name in
            the first row, or of this number counted from 1 (then the first row is data). Blank lines are
            passed over.
        delimiter: Of CSV; None: told by the first rows.
        nulls: Whether a text may be null: a field, an outer field of it, an element of an array, a row of a
            table.

    With none of them, every line is one text, blank lines included: line n gives vector n.

    Raises:
        InputError: Where the file cannot be opened; and while iterating, at the first line that is not as
            it should be.
        OptionError: Where an option is not one, or not for such a file.
        MissingExtraError: Where it needs a package that is not installed.
    """

    def __init__(
        self,
        path: str,
        field: str | None = None,
        column: str | None = None,
        delimiter: str | None = None,
        *,
        nulls: bool = False,
    ) -> None:
        name = compressed.plain_name(path)
        self.file = InputFile(path)
        self.table: TableFile | None = None
        self._field = field
        self._nulls = nulls
        self._array = name.endswith(_ARRAYS) and column is None and self._is_array()
        self._column: Column | None = None
        if name.endswith(TABLES):
            self.table = _table(self.file, field, column, delimiter)
        elif column is not None:
            self._column = Column(column, delimiter)
        elif delimiter is not None:
            raise OptionError(
                "--delimiter is of CSV: pass --column too, to say which column the texts are in"
            )

    def __iter__(self) -> Iterator[Text]:
        name = self.file.name
        if self.table is not None:
            return self.table.texts(nulls=self._nulls)
        if self._array:
            found = array_texts(self.file, self._field, nulls=self._nulls)
            return (_text(text, name, at, "element") for at, text in found)
        if self._field is not None:
            return self._from_jsonl(self._field)
        if self._column is not None:
            return (Text(text, name, at) for at, text in self._column.texts(self.file))
        return self._from_lines()

    def count(self) -> int | None:
        """How many texts there are, having checked every one; None where that would use them up."""
        return sum(1 for _ in self) if self.file.rereadable else None

    def _is_array(self) -> bool:
        """Whether a .json file is one array; of objects on lines it may also be."""
        return self._field is None or not self.file.rereadable or begins_array(self.file)

    def _from_lines(self) -> Iterator[Text]:
        for number, line in self.file.lines():
            yield Text(line.removesuffix("\n").removesuffix("\r"), self.file.name, number)

    def _from_jsonl(self, field: str) -> Iterator[Text]:
        for number, record in json_objects(self.file):
            where = f"{self.file.name} line {number}"
            yield _text(field_text(record, field, where, nulls=self._nulls), self.file.name, number, "line")


def _text(value: str | None, source: str, at: int, unit: str) -> Text:
    return Text(value or "", source, at, unit, null=value is None)


def _table(file: InputFile, field: str | None, column: str | None, delimiter: str | None) -> TableFile:
    if field is not None or delimiter is not None:
        option = "--field" if field is not None else "--delimiter"
        raise OptionError(f"{option} is not for {file.name}, a table: name its column of texts with --column")
    from sestina._cli.tables.reading import TableFile

    return TableFile(file, column)
