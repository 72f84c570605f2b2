"""A bundle on its way to the nodes: read where it lies if it is the same there, else unpacked once a node."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import sestina
from sestina.integrations._bundle import EMBEDDED
from sestina.integrations._ray.runs import lock

_MANIFEST = "manifest.json"


class Shipment(NamedTuple):
    """A bundle as the actors get it: few bytes, as the files stay in the object store until asked for.

    Attributes:
        path: Where it lies for the driver, absolute; None: the one that comes with Sestina.
        digest: SHA-256 of its manifest, which has the SHA-256 of every other file.
        files: Name -> reference to its bytes in Ray's object store.
    """

    path: str | None
    digest: str
    files: dict[str, Any]


def shipment(path: str | os.PathLike[str] | None, put: Any) -> Shipment:
    """A bundle that a driver has.

    Args:
        path: Its directory; None: the one that comes with Sestina.
        put: `ray.put`.
    """
    folder = Path(EMBEDDED) if path is None else Path(os.path.abspath(path))  # noqa: PTH100  links stay links
    # An array comes out of the object store without being copied.
    files = {
        file.relative_to(folder).as_posix(): put(np.fromfile(file, np.uint8))
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    return Shipment(None if path is None else str(folder), _digest(folder) or "", files)


def arrived(shipped: Shipment, get: Any) -> str | None:
    """Where the bundle is on this node, as `sestina.load` takes it.

    At its own path where the same bundle is there: on a shared file system, or in another install of the same
    Sestina. Elsewhere it is unpacked once a node, below the directory for temporary files, for all actors of
    this user and for later runs. `sestina.load` then holds every file against the manifest.

    Args:
        shipped: What the driver sent.
        get: `ray.get`.

    Raises:
        OutputError: Where it cannot be unpacked.
    """
    if _digest(Path(EMBEDDED if shipped.path is None else shipped.path)) == shipped.digest:
        return shipped.path
    try:
        folder = _own_folder()
        target = folder / f"{shipped.digest[:32]}.sestina"
        with (folder / f"{shipped.digest[:32]}.lock").open("wb") as stream:
            lock(stream, wait=True)  # one process of this node at a time
            if _digest(target) != shipped.digest:
                _unpack(shipped, target, get)
    except OSError as error:
        raise sestina.OutputError(
            f"the bundle cannot be unpacked below {tempfile.gettempdir()}: {error.strerror or error}; "
            "make room, or set TMPDIR"
        ) from None
    return str(target)


def _unpack(shipped: Shipment, target: Path, get: Any) -> None:
    """All files beside their place, and there by one renaming. What a killed actor left is replaced."""
    partial = target.with_suffix(".partial")
    for left in (partial, target):
        shutil.rmtree(left, ignore_errors=True)
    for name, reference in shipped.files.items():
        file = partial / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            stream.write(memoryview(get(reference)))
    partial.rename(target)


def _own_folder() -> Path:
    """A directory that nobody else can write into: who could, could put another bundle there."""
    if not hasattr(os, "getuid"):  # on Windows the directory for temporary files is the user's own
        folder = Path(tempfile.gettempdir()) / "sestina-bundles"
        folder.mkdir(exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir()) / f"sestina-bundles-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    there = folder.lstat()
    if there.st_uid != os.getuid() or there.st_mode & 0o022 or not folder.is_dir() or folder.is_symlink():
        return Path(tempfile.mkdtemp(prefix="sestina-bundles-"))
    return folder


def _digest(folder: Path) -> str | None:
    try:
        return hashlib.sha256((folder / _MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return None
