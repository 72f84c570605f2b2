"""Files of text, one passage a line, plain or compressed."""

from __future__ import annotations

import glob
import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from sestina_model._errors import FileError

__all__ = ["find_files", "read_lines"]


def find_files(patterns: Sequence[str]) -> list[Path]:
    """The files that match, sorted.

    Raises:
        FileError: Where a pattern matches none.
    """
    found: set[Path] = set()
    for pattern in patterns:
        matches = [Path(name) for name in glob.glob(str(Path(pattern).expanduser()))]  # noqa: PTH207
        if not any(path.is_file() for path in matches):
            raise FileError(f"{pattern} matches no file; name files of text, one passage a line")
        found.update(path for path in matches if path.is_file())
    return sorted(found)


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, .xz or .gz or plain, without their ends.

    Raises:
        FileError: Where it cannot be read to its end as UTF-8.
    """
    try:
        with _open(path) as file:
            for line in file:
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path} has bytes that are not UTF-8 ({error.reason}); convert it to UTF-8"
        ) from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(
            f"{path} cannot be read ({reason}); it must be text, or that in a whole .xz or .gz"
        ) from None


def _open(path: Path) -> IO[str]:
    # Without newline="\n" a text would be cut at lone carriage returns too.
    match path.suffix:
        case ".xz":
            return lzma.open(path, "rt", encoding="utf-8", newline="\n")
        case ".gz":
            return gzip.open(path, "rt", encoding="utf-8", newline="\n")
        case _:
            return path.open(encoding="utf-8", newline="\n")
