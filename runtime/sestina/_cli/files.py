"""Input files: opened, checked and decoded line by line, with errors that name the file and the line."""

from __future__ import annotations

import codecs
import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from sestina._cli import compressed
from sestina._errors import InputError

if TYPE_CHECKING:
    from io import BufferedReader

STDIN = "-"
LONGEST_LINE = 16 << 20  # bytes; encoders read the first few thousand, and what never ends must end somewhere
_UTF16_PROOF = 64  # bytes


class InputFile:
    """A file of UTF-8 text (a byte order mark is accepted), or standard input where the path is "-".

    What is compressed by gzip, zstd, bzip2 or xz is read as what it holds.

    Raises:
        InputError: Where there is no such file, or it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = "standard input" if path == STDIN else path or repr(path)
        self.rereadable = path != STDIN and self._is_regular()

    def lines(self) -> Iterator[tuple[int, str]]:
        """Every line with its number from 1, its line ending included.

        Raises:
            InputError: Where a line is not UTF-8, or the file cannot be read.
        """
        with self.open() as stream:
            for number, raw in enumerate(self._raw_lines(stream), start=1):
                content = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                if b"\0" in content and _is_utf16(content[:_UTF16_PROOF]):
                    raise InputError(
                        f"{self.name} line {number} looks like UTF-16, not UTF-8: convert the file, for "
                        "example with iconv -f UTF-16 -t UTF-8"
                    )
                try:
                    yield number, content.decode()
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{self.name} line {number} is not UTF-8 (byte 0x{content[error.start]:02x} after "
                        f"{error.start} bytes): convert the file, for example with iconv -t UTF-8"
                    ) from None

    def _raw_lines(self, stream: BinaryIO) -> Iterator[bytes]:
        number = 1
        try:
            while line := stream.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise InputError(
                        f"{self.name} line {number} is longer than {LONGEST_LINE >> 20} MiB: split it"
                    )
                yield line
                number += 1
        except OSError as error:
            raise self.unreadable(error) from None

    def _is_regular(self) -> bool:
        try:
            mode = Path(self.path).stat().st_mode
            if stat.S_ISREG(mode):
                with Path(self.path).open("rb"):
                    return True
        except (OSError, ValueError) as error:  # of a null character or a lone surrogate
            raise self.unreadable(error) from None
        if stat.S_ISDIR(mode):
            raise InputError(f"{self.name} is a directory; name a file")
        return False  # a pipe or a device gives its content once only

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its content as bytes, no longer compressed.

        Raises:
            InputError: Where it cannot be opened, or is not compressed as its name says.
            MissingExtraError: Where it needs a package that is not installed.
        """
        with self.open_raw() as stream:
            try:
                content = compressed.opened(stream, self.path, self.name)
            except OSError as error:
                raise self.unreadable(error) from None
            yield content

    def open_raw(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """Its bytes as they are.

        Raises:
            InputError: Where it cannot be opened.
        """
        if self.path == STDIN:
            stream = getattr(sys.stdin, "buffer", None)
            if stream is None or stream.closed:
                raise InputError(f"{self.name} cannot be read: it is closed")
            return contextlib.nullcontext(stream)
        try:
            return Path(self.path).open("rb")
        except OSError as error:
            raise self.unreadable(error) from None

    def unreadable(self, error: OSError | ValueError) -> InputError:
        """The error to raise where the system refuses it."""
        return InputError(f"{self.name} cannot be read: {getattr(error, 'strerror', None) or error}")


def _is_utf16(begin: bytes) -> bool:
    """Whether every other byte is zero: Latin text in UTF-16 without a mark, which is valid UTF-8 too."""
    pairs = [begin[at : at + 2] for at in range(0, len(begin) - 1, 2)]
    return len(pairs) > 1 and any(
        all(pair[zero] == 0 and pair[1 - zero] != 0 for pair in pairs) for zero in (0, 1)
    )


def stdin_has_data() -> bool:
    """Whether texts come through standard input: a pipe with something in it, or a file at its start.

    A file further on is that of a loop in a shell, which reads it line by line.
    """
    try:
        stream = cast("BufferedReader", sys.stdin.buffer)
        if stream.isatty():
            return False
        if stream.seekable():
            if stream.tell() != 0:
                return False
            begin = stream.read(1)
            stream.seek(0)
            return bool(begin)
        if os.name == "nt":
            return _has_data_on_windows(stream)
        import select

        # Readable is what has data, and what has ended.
        return bool(select.select([stream], [], [], 0)[0]) and bool(stream.peek(1))
    except (AttributeError, OSError, ValueError):  # closed, or no file at all
        return False


def _has_data_on_windows(stream: BufferedReader) -> bool:
    """A pipe's, as `select` takes only sockets there; OSError where its writer is gone and left nothing."""
    import importlib

    handle = importlib.import_module("msvcrt").get_osfhandle(stream.fileno())
    waiting: int = importlib.import_module("_winapi").PeekNamedPipe(handle, 0)[0]
    return waiting > 0
