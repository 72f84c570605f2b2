"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["folder_in_place"]


@contextmanager
def folder_in_place(target: Path) -> Iterator[Path]:
    """Yield an empty sibling of `target` that takes its place once the block ends well.

    A block that raises leaves `target` as it was, and none of the folders above it that were made for it. A
    process killed at any moment leaves the old folder, the new one, or (between two renames) neither, and
    never a mixture; what it leaves beside `target` has a name that starts with a dot.

    Raises:
        OSError: Where the folder cannot be made or put in place.
    """
    target = target.absolute()
    stamp = secrets.token_hex(4)
    fresh = target.with_name(f".{target.name}.{stamp}.new")
    stale = target.with_name(f".{target.name}.{stamp}.old")
    with _parents_of(target):
        try:
            fresh.mkdir()
            yield fresh
            if target.exists():
                target.rename(stale)
            try:
                fresh.rename(target)
            except OSError:
                if stale.exists():
                    stale.rename(target)
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(stale, ignore_errors=True)


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
