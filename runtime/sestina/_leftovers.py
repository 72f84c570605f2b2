"""Temporaries that a killed process leaves behind, told from those that somebody still writes.

A process holds an advisory lock on each of its temporaries while it lives, and the kernel lets go of it
however the process ends. The name says under which boot of which kernel the temporary was made: only there
does a free lock prove that its owner is dead. Another machine on the same network file system, one that was
started anew, a file system without locks, Windows and macOS prove nothing, and there nothing is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable
from typing import Any

fcntl: Any = None
with contextlib.suppress(ModuleNotFoundError):  # on Windows
    import fcntl

_BOOT_ID = "/proc/sys/kernel/random/boot_id"  # of the kernel: containers share it, as they do locks

_mine: set[str] = set()  # on some file systems a process could lock what it has locked already


class Temporary:
    """What no sweep takes away until `release`, though its name is that of a temporary.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: str, lock: int | None) -> None:
        self.path = path
        self._lock = lock
        _mine.add(path)

    @classmethod
    def new(
        cls,
        folder: str,
        prefix: str,
        suffix: str,
        *,
        directory: bool,
        owner: contextlib.ExitStack,
        remove: Callable[[str], object],
    ) -> Temporary:
        """An empty file or directory in `folder`, named prefix + stamp + suffix.

        Args:
            folder: Where.
            prefix: How its name begins.
            suffix: How its name ends.
            directory: Whether it is one.
            owner: Removes and releases it at its end. It is told before anything is made: a signal that came
                between the making and the telling would leave it.
            remove: Removes what is at a path, in silence where nothing is.

        Raises:
            OSError: Where it cannot be made.
        """
        ours = _boot()
        # A sweep between creation and lock may take it away: then once more. Where it cannot be locked it
        # gets a name that no sweep takes for its own.
        for boot in (ours, ours):
            if boot is None:
                break
            temporary = cls(_named(folder, prefix, boot, suffix), None)
            owner.callback(temporary._end, remove)
            _make(temporary.path, directory=directory)
            temporary._lock = _locked(temporary.path)
            if temporary._lock is not None:
                return temporary
            _unmake(temporary.path, directory=directory)
        temporary = cls(_named(folder, prefix, None, suffix), None)
        owner.callback(temporary._end, remove)
        _make(temporary.path, directory=directory)
        return temporary

    @classmethod
    def moved(cls, source: str, prefix: str, suffix: str) -> Temporary:
        """What is at `source`, under another name beside it.

        Raises:
            OSError: Where it cannot be renamed.
        """
        boot = _boot()
        lock = None if boot is None else _locked(source)
        path = _named(os.path.dirname(source), prefix, boot if lock is not None else None, suffix)
        moved = cls(path, lock)
        try:
            os.rename(source, path)
        except BaseException:
            moved.release()
            raise
        return moved

    def _end(self, remove: Callable[[str], object]) -> None:
        try:
            remove(self.path)
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the lock, once it was renamed or removed, or where it may be swept."""
        _mine.discard(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(
    folder: str, prefix: str, suffix: str, remove: Callable[[str], object], *, own: bool = False
) -> None:
    """Remove the temporaries of this name in `folder` whose processes are certainly dead.

    What cannot be looked at or removed is passed over.

    Args:
        folder: The directory to look in.
        prefix: How their names begin.
        suffix: How their names end.
        remove: Removes what is at a path.
        own: Whether the folder is the caller's alone, by a lock: what another boot left is dead then.
    """
    boot = _boot()
    if boot is None:
        return
    stamp = "[0-9a-f]{12}" if own else boot
    name = re.compile(f"{re.escape(prefix)}{stamp}-[0-9a-f]{{12}}{re.escape(suffix)}")
    with contextlib.suppress(OSError):
        for found in filter(name.fullmatch, os.listdir(folder)):
            path = os.path.join(folder, found)
            lock = None if path in _mine else _locked(path)
            if lock is None:
                continue
            try:
                with contextlib.suppress(OSError):
                    remove(path)
            finally:
                os.close(lock)


def _make(path: str, *, directory: bool) -> None:
    if directory:
        os.mkdir(path)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def _unmake(path: str, *, directory: bool) -> None:
    with contextlib.suppress(OSError):
        (os.rmdir if directory else os.unlink)(path)


def _named(folder: str, prefix: str, boot: str | None, suffix: str) -> str:
    stamp = "-".join([*([] if boot is None else [boot]), os.urandom(6).hex()])
    return os.path.join(folder, f"{prefix}{stamp}{suffix}")


def _boot() -> str | None:
    """What names the running kernel since it was started, as 12 hex digits; None where nothing does."""
    if fcntl is None:
        return None
    try:
        with open(_BOOT_ID, "rb") as stream:
            return hashlib.sha256(stream.read().strip()).hexdigest()[:12]
    except OSError:
        return None


def _locked(path: str) -> int | None:
    """A descriptor that holds the lock of what is at the path; None where it is held, or there is none."""
    descriptor = None
    try:
        kind = os.lstat(path).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # to open a pipe would be to wait
            return None
        # Network file systems lock only what is open for writing; a directory never is.
        access = os.O_RDWR if stat.S_ISREG(kind) and os.access(path, os.W_OK) else os.O_RDONLY
        descriptor = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            return descriptor
    except OSError:
        pass
    if descriptor is not None:
        os.close(descriptor)
    return None
