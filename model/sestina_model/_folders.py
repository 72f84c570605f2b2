"""A folder that appears whole or not at all."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["folder_in_place"]


@contextmanager
def folder_in_place(target: Path) -> Iterator[Path]:
    """Yield an empty sibling of `target` that takes its place once the block ends well.

    A block that raises leaves `target` as it was. A process killed at any moment leaves the old folder,
    the new one, or (between two renames) neither, and never a mixture; what it leaves beside `target` has
    a name that starts with a dot.

    Raises:
        OSError: Where the folder cannot be made or put in place.
    """
    target = target.absolute()
    stamp = secrets.token_hex(4)
    fresh = target.with_name(f".{target.name}.{stamp}.new")
    stale = target.with_name(f".{target.name}.{stamp}.old")
    try:
        fresh.mkdir(parents=True)
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
