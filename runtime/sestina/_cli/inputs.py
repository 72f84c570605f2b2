"""Which files a command reads: several, and patterns that stand for several, as one run of texts."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sestina._cli.files import STDIN
from sestina._cli.texts import TextFile
from sestina._errors import InputError, OptionError

if TYPE_CHECKING:
    from sestina._cli.texts import Text


def expanded(given: Sequence[str], option: str) -> list[str]:
    """Paths, with those that each pattern (*, ?, [], **) stands for in its place, sorted.

    A path with something there is that path, whatever characters it has. Of ** each file comes once, whatever
    links lead to its folder.

    Raises:
        InputError: Where a pattern stands for no file.
        OptionError: Where standard input is named twice.
    """
    paths: list[str] = []
    for each in given:
        if each == STDIN or not glob.has_magic(each) or _exists(each):
            paths.append(each)
            continue
        try:
            found = [path for path in glob.iglob(each, recursive=True) if not os.path.isdir(path)]  # noqa: PTH112, PTH207
            found = _each_once(found) if "**" in each else sorted(found)
        except (OSError, ValueError) as error:  # of a null character
            raise InputError(f"{each} cannot be looked for: {error}") from None
        if not found:
            raise InputError(f"{each} stands for no file: check the pattern, and quote it")
        paths += found
    if paths.count(STDIN) > 1:
        raise OptionError(f"{option} - is there twice: standard input can be read only once")
    return paths


def _each_once(found: list[str]) -> list[str]:
    """Files of **, sorted: a link to a folder above leads to all of them again, forty times over."""
    ways: dict[tuple[str, str], list[str]] = {}
    for path in found:
        folder, name = os.path.split(path)
        ways.setdefault((os.path.realpath(folder), name), []).append(path)
    # By the way without links, or the shortest.
    return sorted(
        min(paths, key=lambda path: (os.path.dirname(os.path.abspath(path)) != folder, len(path), path))  # noqa: PTH100, PTH120
        for (folder, _), paths in ways.items()
    )


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


class TextFiles:
    """The texts of several files, one file after the other.

    Args:
        paths: At least one.
        field, column, delimiter, nulls: As `TextFile` has them; of every file.

    Raises:
        InputError, OptionError, MissingExtraError: As `TextFile`; and where tables have different columns.
    """

    def __init__(
        self,
        paths: Sequence[str],
        field: str | None = None,
        column: str | None = None,
        delimiter: str | None = None,
        *,
        nulls: bool = False,
    ) -> None:
        self.files = [TextFile(path, field, column, delimiter, nulls=nulls) for path in paths]

    @property
    def name(self) -> str:
        """For messages."""
        first = self.files[0].file.name
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more"

    def __iter__(self) -> Iterator[Text]:
        for file in self.files:
            yield from file

    def count(self) -> int | None:
        """How many texts there are, having checked every one; None where that would use them up."""
        if not all(each.file.rereadable for each in self.files):
            return None
        return sum(each.count() or 0 for each in self.files)

    def column(self) -> str | None:
        """What the column of texts of the first file is called, where that is a table."""
        table = self.files[0].table
        return None if table is None else table.column

    def schema(self) -> Any:
        """Of the tables that all of the files are (pyarrow.Schema); None where they are not all tables.

        Raises:
            InputError: Where they have different columns.
        """
        tables = [each.table for each in self.files]
        first = tables[0]
        if first is None or any(table is None for table in tables):
            return None
        for table in tables:
            if table is not None and not table.schema.equals(first.schema):
                raise InputError(
                    f"{table.file.name} has other columns than {first.file.name}: one output holds tables of "
                    "the same columns; encode them apart"
                )
        return first.schema
