"""Where a bundle may be put: a new directory, or the place of a bundle that holds nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from sestina._bundle.manifest import FORMAT, MANIFEST
from sestina_export._errors import ExportError
from sestina_model._folders import stranger

__all__ = ["replaceable", "usable_target"]

_MANIFEST_LIMIT = 16 << 20  # bytes; the runtime reads no longer one


def usable_target(out: str | os.PathLike[str], overwrite: bool) -> Path:
    """Where a bundle for `out` is to be put: what it is a link to, where it is one.

    Raises:
        ExportError: Before any work is done.
    """
    if not isinstance(out, str | os.PathLike) or not isinstance(os.fspath(out), str):
        raise ExportError(f"out is {type(out).__name__}; it must be a path, such as 'NAME.sestina'")
    path = os.fspath(out)
    try:
        if b"\0" in os.fsencode(path):
            raise ExportError(f"{path!r} has a null character; no path can")
    except UnicodeEncodeError:
        raise ExportError(f"{path!r} has a lone surrogate; it must be valid Unicode") from None
    try:
        return _usable(Path(path), overwrite)
    except OSError as error:
        raise ExportError(f"{path} cannot be used: {error.strerror or error}") from error


def replaceable(out: str | os.PathLike[str], overwrite: bool) -> Callable[[Path], list[str]]:
    """What tells whether the folder at `out` may be replaced, wherever it lies when it is asked.

    Returns: a function from the folder to the names of its files, the manifest last, which raises an
        ExportError where it is not a bundle, holds what its manifest does not list, or may not be replaced.
    """

    def contents(folder: Path) -> list[str]:
        listed = _listed(folder)
        if listed is None:
            raise ExportError(f"{out} exists and is not a bundle: name a directory that does not exist yet")
        if not overwrite:
            raise ExportError(f"{out} exists: name another directory, or pass overwrite=True (--overwrite)")
        other = stranger(folder, listed)
        if other is not None:
            raise ExportError(
                f"{out} holds {other!r}, which its manifest does not list: move that away, or name another "
                "directory"
            )
        return listed

    return contents


def _listed(folder: Path) -> list[str] | None:
    """The files of a bundle of any version, by its own account; None where it is no bundle."""
    try:
        path = folder / MANIFEST
        if not path.is_file():  # to open a pipe would be to wait
            return None
        with path.open("rb") as stream:
            manifest = json.loads(stream.read(_MANIFEST_LIMIT))
        if manifest["format"] != FORMAT:
            return None
        variants = manifest["variants"]
        weights = [entry for variant in variants for entry in variant.get("weights") or ()]
        entries = [*manifest["files"], *variants, *weights]
        return [*dict.fromkeys(str(entry["file"]) for entry in entries), MANIFEST]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _usable(out: Path, overwrite: bool) -> Path:
    try:
        target = out.resolve()
    except RuntimeError:  # Python before 3.13
        target = out.absolute()
    if target.is_symlink():
        raise ExportError(f"{out} is a symbolic link that leads back to itself; remove it first")
    if target.exists():
        replaceable(out, overwrite)(target)
    # A drive of Windows that is not there is its own parent.
    parent = next((each for each in target.parents if each.exists()), target.parent)
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ExportError(f"{out} cannot be written: {parent} is not a directory that this user may write to")
    return target
