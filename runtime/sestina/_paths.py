"""Paths as they are given, and as messages have them."""

from __future__ import annotations

import errno
import os
from typing import Any

from sestina._errors import BundleNotFoundError, OptionError

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def path_text(path: Any) -> str:
    """The path of a bundle as text.

    Raises:
        OptionError: Where it is no path.
        BundleNotFoundError: Where no file can be called so.
    """
    try:
        text = os.fsdecode(path)
        os.fsencode(text)
    except UnicodeError:
        raise BundleNotFoundError(f"{path!r:.200} is not a path: the file system has no such name") from None
    except Exception:  # noqa: BLE001  whatever a foreign __fspath__ raises
        raise OptionError(f"path is {path!r:.40}; it must be the path of a bundle's directory") from None
    if "\0" in text:
        raise BundleNotFoundError(f"{text!r:.200} is not a path: it has a null character")
    return text or os.curdir


def in_one_line(path: str) -> str:
    """One line, whatever the path has in it."""
    return path if path.isprintable() else ascii(path)


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
