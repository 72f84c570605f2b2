"""Paths as they are given, and as messages have them."""

from __future__ import annotations

import errno
import os

from sestina._arguments import path_text
from sestina._errors import BundleNotFoundError
from sestina._handlers import let_through
from sestina._quote import quote

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def bundle_path(path: object) -> str:
    """The path of a bundle as text.

    Raises:
        OptionError: Where it is no path.
        BundleNotFoundError: Where no file can be called so.
    """
    text = path_text("path", path, "a bundle's directory")
    if "\0" in text:
        raise BundleNotFoundError(f"{quote(text)} is not a path: it has a null character")
    return text or os.curdir


def exists(path: str) -> bool:
    """Whether there is anything at the end of a path, links followed.

    Raises:
        OSError: Where that cannot be found out.
    """
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise
    return True


def absolute(path: str) -> str:
    """A path that stays the same after `chdir` and in another process; as it is where there is none."""
    try:
        return os.path.abspath(path)
    except OSError as error:
        let_through(error)
        return path
