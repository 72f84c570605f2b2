"""Files held open: what was opened once is what is read, hashed and mapped, whatever becomes of its path."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from mmap import ACCESS_READ, mmap
from threading import Lock

from sestina._bundle.protobuf import Buffer
from sestina._handlers import let_through

# Never waits for a pipe's other end, takes no terminal, translates no line ends.
_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)
# Bytes hashed at once. After each a thread waits for Python's lock, up to 5 ms where another is at work.
_PIECE = 4 << 20
_MOST_READ = 1 << 30  # bytes; some systems read no more than 2 GiB at once, and some refuse to
_seeking = Lock()


class HeldFile:
    """A regular file, open for reading until nothing refers to it any more.

    Whoever reads refers to it, so that closing takes no descriptor from under a read. Nobody's position in
    the file counts, so that threads and forked processes may share it.

    Attributes:
        size: In bytes, when it was opened.
    """

    __slots__ = ("_descriptor", "size")

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self.size = descriptor, size

    # Modules may be gone before the last file is; and what a signal raises may come before `__init__` began.
    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        if hasattr(self, "_descriptor"):
            _close(self._descriptor)

    def pieces(self) -> Iterator[memoryview]:
        """Its bytes from the beginning, up to the size that it had, in memory that is used again.

        Raises:
            OSError: Where they cannot be read.
        """
        whole, at = memoryview(bytearray(min(_PIECE, self.size))), 0
        while at < self.size:
            count = _read_into(self._descriptor, whole[: self.size - at], at)
            if not count:
                return
            yield whole[:count]
            at += count

    def read(self) -> bytes:
        """All of them at once. Errors as `pieces`."""
        parts, at = list[bytes](), 0
        while at < self.size and (part := _read_at(self._descriptor, self.size - at, at)):
            parts.append(part)
            at += len(part)
        return b"".join(parts)  # nearly always of one, which is not copied

    def map(self) -> Buffer:
        """The same, in memory only where they are looked at, as long as the result lives.

        A file that cannot be mapped is read.

        Raises:
            OSError: Where it cannot be read either.
        """
        if not self.size:  # which would mean all that there is by now
            return b""
        try:
            return mmap(self._descriptor, self.size, access=ACCESS_READ)
        except (OSError, ValueError) as error:  # no mappings here; no address space; it has shrunk
            let_through(error)
            return self.read()


def open_plain(path: str) -> HeldFile | None:
    """Open a regular file, behind links too; None where it is something else, which is not waited for.

    Raises:
        OSError: Where it cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # to open a device can already do something
        return None
    descriptor = os.open(path, _FLAGS)
    try:
        found = os.fstat(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    held = HeldFile(descriptor, found.st_size)
    return held if stat.S_ISREG(found.st_mode) else None


def _read_into(descriptor: int, memory: memoryview, at: int) -> int:
    """How many bytes there were."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [memory], at)
    piece = _read_at(descriptor, len(memory), at)
    memory[: len(piece)] = piece
    return len(piece)


def _read_at(descriptor: int, size: int, at: int) -> bytes:
    """So many bytes, or fewer."""
    size = min(size, _MOST_READ)
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, at)
    with _seeking:  # Windows, which has no forks either
        os.lseek(descriptor, at, os.SEEK_SET)
        return os.read(descriptor, size)
