"""Where results are written: a file that appears complete or not at all, or standard output."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from sestina._cli import printing
from sestina._errors import OutputError
from sestina._leftovers import Temporary, sweep

STDOUT = "standard output"
PREFIX, SUFFIX = ".sestina-", ".tmp"
_OURS = {"sestina": "a bundle", "sestina-shards": "vectors in shards"}  # by what a manifest's format says
_DESCRIPTORS = ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")
_MOST_LINKS = 40
_PERMISSIONS = 0o777  # never a set-user-ID bit on new content


class Destination:
    """A binary stream whose failures are an `OutputError` that names it.

    Attributes:
        name: Of it, for messages.
        patchable: Whether bytes that were written may be written anew.
    """

    def __init__(self, stream: BinaryIO, name: str, *, patchable: bool) -> None:
        self._stream = stream
        self.name = name
        self.patchable = patchable

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with self._named():
            self._stream.write(data)

    def patch(self, data: bytes) -> None:
        """Write over the first bytes."""
        with self._named():
            end = self._stream.tell()
            self._stream.seek(0)
            self._stream.write(data)
            self._stream.seek(end)

    def finish(self, *, sync: bool = False) -> None:
        """Hand everything to the operating system (and to the disk), so that errors come now."""
        with self._named():
            self._stream.flush()
            if sync:
                os.fsync(self._stream.fileno())

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self.name == STDOUT:
                raise printing.stdout_error(error) from None
            if isinstance(error, BrokenPipeError):  # a named pipe whose reader went away
                raise
            raise _unwritable(self.name, error) from None


def is_standard_output(path: str | None) -> bool:
    """Whether an output is standard output: -, or a path that leads to it, such as /dev/stdout.

    Such a path is not to be opened: descriptor 1, which it stands for, is kept from libraries and leads to
    standard error.
    """
    if path is None or path == "-":
        return path is not None
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        try:
            folder = os.path.realpath(folder)
            if name == "1" and folder in (os.path.realpath(each) for each in _DESCRIPTORS):
                return True
            path = os.path.join(folder, os.readlink(os.path.join(folder, name)))  # noqa: PTH115, PTH118
        except (OSError, ValueError):  # no link, or what no path can be
            return False
    return False


@contextlib.contextmanager
def destination(path: str | None, *, own: bool = False) -> Iterator[Destination]:
    """Open `path` (None: standard output) for writing, before any work is done.

    A file is written under another name beside it and renamed at the end. Where the block fails, what was
    written is removed and a file that was there before is as it was. A pipe or device is written directly.

    Args:
        path: Where to.
        own: Whether a folder with a manifest of ours, in which it lies, is the caller's to write. A link or a
            pipe there is then replaced itself, and what is at its end stays: a cache's, or a user's.

    Raises:
        OutputError: Where it cannot be written, would replace a file of a bundle or of vectors in shards, or
            is standard output by another name.
    """
    if is_standard_output(path):
        raise OutputError(f"{path} is standard output, which is told what was written: name a file")
    if path is None:
        out = Destination(_stdout(), STDOUT, patchable=False)
        yield out
        out.finish()
    elif _is_special(path) and not own:
        with unwritable_named(path):
            stream = Path(path).open("wb")  # noqa: SIM115  closed below, its errors named
        try:
            out = Destination(stream, path, patchable=False)
            yield out
            out.finish()
        finally:
            _close_quietly(stream)
    else:
        if not own:
            _check_no_part(path)
        with _replacing(path, Path(path) if own else Path(os.path.realpath(path))) as out:
            yield out


def _check_no_part(path: str) -> None:
    """Keep what a manifest of ours vouches for: replaced, it would make the whole folder worthless.

    Raises:
        OutputError: Where it is such a file.
    """
    target = Path(os.path.realpath(path))
    beside = target.parent / "manifest.json"
    if not target.is_file() or not beside.is_file():
        return
    try:
        kind = _OURS.get(json.loads(beside.read_bytes())["format"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        kind = None  # somebody else's
    if kind is not None:
        raise OutputError(
            f"{path} is a file of {target.parent}, {kind}: name a file that is not among its own"
        )


@contextlib.contextmanager
def _replacing(path: str, target: Path) -> Iterator[Destination]:
    folder = str(target.parent)
    sweep(folder, PREFIX, SUFFIX, os.unlink)
    with contextlib.ExitStack() as stack:
        with unwritable_named(path):
            temporary = Temporary.new(
                folder, PREFIX, SUFFIX, directory=False, owner=stack, remove=_unlink_quietly
            )
            fresh = Path(temporary.path)
            stream = fresh.open("r+b")
            stack.callback(_close_quietly, stream)
            _keep_mode(target, fresh)
        out = Destination(stream, path, patchable=True)
        yield out
        out.finish(sync=True)
        stream.close()
        with unwritable_named(path):
            fresh.replace(target)


def _keep_mode(old: Path, new: Path) -> None:
    """Give a new file the permissions of the one that it is to replace, before there is anything in it."""
    if os.name == "nt":  # where they say no more than whether it may be written
        return
    with contextlib.suppress(OSError):  # nothing to replace, or a file system without them
        new.chmod(old.stat().st_mode & _PERMISSIONS)


class _TextOut:
    """Standard output that takes text only, as in a notebook or under `contextlib.redirect_stdout`."""

    def write(self, data: bytes) -> None:
        sys.stdout.write(data.decode())

    def flush(self) -> None:
        sys.stdout.flush()


def _stdout() -> BinaryIO:
    if sys.stdout is None:
        raise printing.closed_stdout()
    return getattr(sys.stdout, "buffer", None) or cast("BinaryIO", _TextOut())


def _is_special(path: str) -> bool:
    """Whether a pipe or a device is there. A directory, or a path that cannot be, is refused."""
    with unwritable_named(path):
        try:
            mode = Path(path).stat().st_mode
        except FileNotFoundError:
            parent = Path(os.path.realpath(path)).parent
            if not parent.is_dir():
                raise OutputError(
                    f"{path} cannot be written: there is no directory {parent}; create it first"
                ) from None
            return False
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path} cannot be written: it is a directory; name a file")
    return not stat.S_ISREG(mode)


def _close_quietly(stream: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # what matters was raised by `finish`
        stream.close()


def _unlink_quietly(path: str) -> None:
    with contextlib.suppress(OSError):  # after the rename nothing is there
        os.unlink(path)  # noqa: PTH108


@contextlib.contextmanager
def unwritable_named(path: str) -> Iterator[None]:
    """Inside the block what the system refuses is an error that names the path.

    Raises:
        OutputError: In place of an OSError, or of what a path that cannot be raises.
    """
    try:
        yield
    except OutputError:  # ours, and an OSError too
        raise
    except (OSError, ValueError) as error:  # of a null character or a lone surrogate
        raise _unwritable(path, error) from None


def _unwritable(path: str, error: OSError | ValueError) -> OutputError:
    return OutputError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}")
