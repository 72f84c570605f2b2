"""Input files: opened, checked and decoded line by line, with errors that name the file and the line."""

from __future__ import annotations

import codecs
import contextlib
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sestina._errors import InputError

STDIN = "-"


class InputFile:
    """A file of UTF-8 text (a byte order mark is accepted), or standard input where the path is "-".

    Raises:
        InputError: Where there is no such file, or it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = "standard input" if path == STDIN else path
        self.rereadable = path != STDIN and self._is_regular()

    def lines(self) -> Iterator[tuple[int, str]]:
        """Every line with its number from 1, its line ending included.

        Raises:
            InputError: Where a line is not UTF-8, or the file cannot be read.
        """
        with self._open() as stream:
            for number, raw in enumerate(self._raw_lines(stream), start=1):
                content = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                try:
                    yield number, content.decode()
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{self.name} line {number} is not UTF-8 (byte 0x{content[error.start]:02x} after "
                        f"{error.start} bytes): convert the file, for example with iconv -t UTF-8"
                    ) from None

    def _raw_lines(self, stream: BinaryIO) -> Iterator[bytes]:
        try:
            yield from stream
        except OSError as error:
            raise self._unreadable(error) from None

    def _is_regular(self) -> bool:
        try:
            mode = Path(self.path).stat().st_mode
            if stat.S_ISREG(mode):
                with Path(self.path).open("rb"):
                    return True
        except OSError as error:
            raise self._unreadable(error) from None
        if stat.S_ISDIR(mode):
            raise InputError(f"{self.path} is a directory; name a file")
        return False  # a pipe or a device gives its content once only

    def _open(self) -> contextlib.AbstractContextManager[BinaryIO]:
        if self.path == STDIN:
            return contextlib.nullcontext(sys.stdin.buffer)
        try:
            return Path(self.path).open("rb")
        except OSError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(f"{self.name} cannot be read: {error.strerror or error}")
