"""A folder that appears whole or not at all, in the place of one of the same kind and of nothing else."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from sestina_model._leftovers import Temporary, sweep

__all__ = ["folder_in_place", "keep_mode", "stranger"]

_NEW, _OLD = ".new", ".old"

Contents = Callable[[Path], Sequence[str]]


@contextmanager
def folder_in_place(target: Path, contents: Contents | None = None) -> Iterator[Path]:
    """Yield an empty sibling of `target` that takes its place once the block ends well.

    A block that raises leaves `target` as it was, and none of the folders above it that were made for it. A
    process killed at any moment leaves the old folder, the new one, or (between two renames) neither, and
    never a mixture; what it leaves beside `target` has a name that starts with a dot, and the next call for
    the same place removes it where its process is certainly dead.

    Args:
        target: The folder.
        contents: Names every file of a folder that may be replaced, what proves its kind last; raises where
            it may not be, as it must where it holds anything else (see `stranger`). It is asked just before
            the swap, and again once nobody can reach the old folder by its name: nothing but what it then
            names is removed. None: nothing may be replaced.

    Raises:
        OSError: Where the folder cannot be made or put in place.
    """
    target = target.absolute()
    beside, prefix = str(target.parent), f".{target.name}."
    with _parents_of(target), ExitStack() as stack:
        sweep(beside, prefix, _NEW, shutil.rmtree)
        remove = partial(shutil.rmtree, ignore_errors=True)
        fresh = Temporary.new(beside, prefix, _NEW, directory=True, owner=stack, remove=remove)
        keep_mode(target, Path(fresh.path))
        yield Path(fresh.path)
        _put_in_place(Path(fresh.path), target, contents)
    if contents is not None:
        # Old folders whose process was killed after the swap: only now is there one in their place.
        sweep(beside, prefix, _OLD, lambda path: _remove(Path(path), contents))


def stranger(folder: Path, listed: Collection[str]) -> str | None:
    """The name of something in `folder` that is not one of the listed files (or links); None where all is."""
    with os.scandir(folder) as found:
        for each in sorted(found, key=lambda entry: entry.name):
            if each.name not in listed or not (each.is_symlink() or each.is_file()):
                return each.name
    return None


def _put_in_place(fresh: Path, target: Path, contents: Contents | None) -> None:
    if not os.path.lexists(target):
        fresh.rename(target)
        return
    if contents is None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    contents(target)
    stale = Temporary.moved(str(target), f".{target.name}.", _OLD)
    old = Path(stale.path)
    try:
        try:
            contents(old)
            fresh.rename(target)
        except BaseException:
            with suppress(OSError):  # something else has taken its place: it stays where it is
                if not os.path.lexists(target):
                    old.rename(target)
            raise
        with suppress(OSError):
            _remove(old, contents)
    finally:
        stale.release()


def _remove(folder: Path, contents: Contents) -> None:
    """Remove an old folder, but never what it does not list."""
    try:
        names = contents(folder)
    except Exception:  # noqa: BLE001  whatever it raises to say that this may not be removed
        return
    present = {each.name for each in folder.iterdir()}
    for name in names:
        if name in present:  # and so directly in it: a list may name ../what-it-likes
            (folder / name).unlink(missing_ok=True)
    folder.rmdir()


def keep_mode(old: Path, new: Path) -> None:
    """Give a new file or folder the permissions of what it is to replace, before there is anything in it."""
    if os.name == "nt":  # where they say no more than whether it may be written
        return
    with suppress(OSError):  # nothing to replace, or a file system without them
        mode = stat.S_IMODE(old.stat().st_mode)
        # A folder must stay open to its owner; a set-user-ID bit is not for new content.
        new.chmod(mode | stat.S_IRWXU if old.is_dir() else mode & 0o777)


@contextmanager
def _parents_of(target: Path) -> Iterator[None]:
    """Make the folders above; where the block raises, remove those made here that nobody else uses by now."""
    made = []
    try:
        for parent in reversed([each for each in target.parents if not os.path.lexists(each)]):
            with suppress(FileExistsError):  # another process was faster
                parent.mkdir()
                made.append(parent)
        yield
    except BaseException:
        for parent in reversed(made):
            with suppress(OSError):
                parent.rmdir()
        raise
