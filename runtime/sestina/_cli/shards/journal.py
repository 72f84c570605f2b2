"""The journal of an unfinished folder: a line for each shard that is whole, and the lock of its writer."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from typing import Any

from sestina._cli.shards.manifest import Record, record_as_json, record_of_json
from sestina._errors import OutputError

JOURNAL = "unfinished.jsonl"
_FLAGS = os.O_RDWR | os.O_CREAT  # what is at the end of a link is somebody else's
for _name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"):
    _FLAGS |= getattr(os, _name, 0)
_LOCKED_BYTE = 1 << 40  # on Windows a lock keeps others from reading what it is on


class Journal:
    """The open, locked journal of a folder.

    The lock ends with the process, however that ends. On a file system without locks there is none: two runs
    of one plan then write the same files twice, each of them whole.

    Args:
        folder: The folder, which is there.
        name: Of it, for messages.

    Raises:
        OutputError: Where another process has it.
        OSError: Where it cannot be opened.
    """

    def __init__(self, folder: str, name: str) -> None:
        self._path = os.path.join(folder, JOURNAL)  # noqa: PTH118
        self.locked = False
        while True:
            if os.path.islink(self._path) or (os.path.exists(self._path) and not os.path.isfile(self._path)):  # noqa: PTH110, PTH113, PTH114
                raise OutputError(f"{name} has an {JOURNAL} that is no file of its own: move it away")
            self._descriptor = os.open(self._path, _FLAGS, 0o666)
            try:
                self.locked = _lock(self._descriptor)
                # Whoever had the lock until now may have removed it, at the end of its run.
                if os.path.samestat(os.fstat(self._descriptor), os.stat(self._path)):  # noqa: PTH116
                    return
            except FileNotFoundError:
                pass
            except BlockingIOError:
                os.close(self._descriptor)
                raise OutputError(
                    f"{name} is being written by another run: wait until it has ended, or name another"
                ) from None
            except BaseException:
                os.close(self._descriptor)
                raise
            os.close(self._descriptor)

    def records(self) -> list[Record]:
        """What it has, up to where the writing of it was broken off; what follows is removed."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        content = b""
        while piece := os.read(self._descriptor, 1 << 20):
            content += piece
        found, whole = [], 0
        for line in content.splitlines(keepends=True):
            try:
                if not line.endswith(b"\n"):
                    break
                found.append(record_of_json(json.loads(line)))
            except (ValueError, LookupError, TypeError, RecursionError):
                break
            whole += len(line)
        os.ftruncate(self._descriptor, whole)
        return found

    def add(self, record: Record) -> None:
        """One more, on the disk when this returns."""
        self._append(json.dumps(record_as_json(record)).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, end)
            raise

    def is_empty(self) -> bool:
        """Whether it has nothing, of this run or another."""
        return os.fstat(self._descriptor).st_size == 0

    def clear(self) -> None:
        """Forget all."""
        os.ftruncate(self._descriptor, 0)
        os.fsync(self._descriptor)

    def close(self, *, remove: bool) -> None:
        """Let go of the lock, and of the file where it is not needed any more."""
        with contextlib.suppress(OSError):
            if remove and os.name != "nt":  # under the lock, so that nobody else's is removed
                os.unlink(self._path)  # noqa: PTH108
        os.close(self._descriptor)
        with contextlib.suppress(OSError):
            if remove and os.name == "nt":
                os.unlink(self._path)  # noqa: PTH108


def _lock(descriptor: int) -> bool:
    """Whether it is locked now; False where nothing can be.

    Raises:
        BlockingIOError: Where another process has the lock.
    """
    module: Any
    if os.name == "nt":
        module = importlib.import_module("msvcrt")
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            module.locking(descriptor, module.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError from None
        return True
    try:
        module = importlib.import_module("fcntl")
        module.flock(descriptor, module.LOCK_EX | module.LOCK_NB)
    except BlockingIOError:
        raise
    except (ImportError, OSError):
        return False
    return True
