"""A bundle on disk: found, read and checked before anything in it is used.

Paths are strings here and in whatever else every start needs: `pathlib` takes 3 ms to import.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap

from sestina._errors import (
    BundleFormatError,
    BundleIntegrityError,
    BundleNotFoundError,
    BundlePermissionError,
)
from sestina._manifest import MANIFEST, FileEntry, Manifest, Variant
from sestina._mapped import besides

_MANIFEST_LIMIT = 16 << 20  # bytes; no manifest comes near it, a wrong file may
# Bytes hashed at once. After each a thread waits for Python's lock, up to 5 ms where another is at work.
_PIECE = 4 << 20

# ONNX names the file that holds a tensor outside the graph by a protobuf entry with the key "location":
# tag, length, key. Tag and length may each be padded, to ten bytes at most.
_KEY = b"location"
_EXTERNAL = rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location"  # compiled where it is needed
_BEFORE_KEY = 20


class Bundle:
    """A bundle whose files are what its manifest states: the sizes of all, the SHA-256 of those checked.

    Nothing in a bundle is executed or unpickled, and no file outside its directory is opened.

    Attributes:
        path: Its directory.
        manifest: What it says of itself.

    Raises:
        BundleNotFoundError, BundleFormatError, BundleIntegrityError, BundlePermissionError: As their
            names say.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fsdecode(path) or os.curdir
        self.manifest = self._read_manifest()
        for entry in self.manifest.all_files:
            self._check_size(entry)

    def check(self, variant: Variant | None) -> None:
        """Compute the SHA-256 of every file, or of all but the graphs of variants other than one.

        Raises:
            BundleIntegrityError: Where it is not what the manifest states.
        """
        unused = () if variant is None else (other.entry for other in self.manifest.variants)
        skipped = {entry.file for entry in unused if variant and entry.file != variant.entry.file}
        for entry in self.manifest.all_files:
            if entry.file not in skipped:
                self._check_digest(entry)

    def file(self, name: str) -> str:
        """The path of a file that the manifest lists."""
        return os.path.join(self.path, name)

    def read(self, name: str) -> bytes:
        """The bytes of a file that the manifest lists, once their SHA-256 was found right.

        Raises:
            BundleIntegrityError, BundlePermissionError: Where they are not what the manifest states, or can
                no longer be read.
        """
        (entry,) = (entry for entry in self.manifest.all_files if entry.file == name)
        path = self.file(name)
        with self._readable(path), open(path, "rb") as stream:
            content = stream.read()
        self._compare(entry, hashlib.sha256(content).hexdigest())
        return content

    def _read_manifest(self) -> Manifest:
        manifest = self.file(MANIFEST)
        if "\0" in self.path:
            raise BundleNotFoundError(f"{self.path!r} is not a path: it has a null character")
        try:
            folder = _status(self.path)
            if folder is None:
                raise BundleNotFoundError(f"there is no bundle at {self.path}: check the path, or export one")
            if not stat.S_ISDIR(folder.st_mode):
                raise BundleFormatError(f"{self.path} is a file; a bundle is a directory with a {MANIFEST}")
            file = _status(manifest)
            if file is None or not stat.S_ISREG(file.st_mode):
                raise BundleFormatError(f"{self.path} is not a bundle: it has no {MANIFEST}")
            if file.st_size > _MANIFEST_LIMIT:
                raise BundleFormatError(f"{manifest} is too large to be a manifest")
            with open(manifest, encoding="utf-8") as stream:
                text = stream.read()
        except PermissionError:
            raise self._unreadable(self.path) from None
        except UnicodeDecodeError:
            raise BundleFormatError(f"{manifest} is not UTF-8 text: export the bundle again") from None
        except BundleNotFoundError:  # ours, and an OSError too
            raise
        except OSError as error:
            raise BundleNotFoundError(f"{self.path} cannot be opened: {error.strerror}") from None
        return Manifest.from_json(text, manifest)

    def _check_size(self, entry: FileEntry) -> None:
        path = self.file(entry.file)
        with self._readable(path):
            found = os.stat(path)
            place = os.path.realpath(path) if os.path.islink(path) else ""
            leaves = place and os.path.dirname(place) != os.path.realpath(self.path)
        if leaves:
            raise BundleIntegrityError(f"{path} is a link that leaves the bundle: copy the file itself")
        if not stat.S_ISREG(found.st_mode):
            raise BundleIntegrityError(f"{path} is not a plain file: copy the bundle again")
        if found.st_size != entry.bytes:
            raise BundleIntegrityError(
                f"{path} has {found.st_size} bytes where the manifest says {entry.bytes}: "
                "copy the bundle again"
            )

    def _check_digest(self, entry: FileEntry) -> None:
        path, digest, piece = self.file(entry.file), hashlib.sha256(), memoryview(bytearray(_PIECE))
        with self._readable(path), open(path, "rb", buffering=0) as stream:
            while size := stream.readinto(piece):
                digest.update(piece[:size])
        self._compare(entry, digest.hexdigest())
        if entry.file.lower().endswith(".onnx") or entry not in self.manifest.files:
            self._check_self_contained(path)

    def _check_self_contained(self, path: str) -> None:
        """A graph names no other file as the place of its weights."""
        with self._readable(path), open(path, "rb") as stream:
            if not os.fstat(stream.fileno()).st_size:
                return
            with mmap(stream.fileno(), 0, access=ACCESS_READ) as whole:
                try:
                    named = any(_names_a_file(piece) for piece in besides(whole))
                except ValueError:  # no graph, or another kind: all of it
                    named = _names_a_file(whole[:])
        if named:
            raise BundleIntegrityError(
                f"{path} keeps its weights in another file, which a bundle may not: export the bundle again"
            )

    def _compare(self, entry: FileEntry, digest: str) -> None:
        if digest != entry.sha256:
            raise BundleIntegrityError(
                f"{self.file(entry.file)} is not the file that was exported (its SHA-256 differs): "
                "copy the bundle again"
            )

    @contextmanager
    def _readable(self, path: str) -> Iterator[None]:
        """Whatever keeps a listed file from being read is said in our own words."""
        try:
            yield
        except FileNotFoundError:
            raise BundleIntegrityError(f"{path} is missing: copy the bundle again") from None
        except PermissionError:
            raise self._unreadable(path) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise BundleIntegrityError(f"{path} is a link to itself: copy the bundle again") from None
            raise BundleIntegrityError(f"{path} cannot be read: {error.strerror}") from None

    @staticmethod
    def _unreadable(path: str) -> BundlePermissionError:
        return BundlePermissionError(f"{path} may not be read by this user: check its permissions")


def _status(path: str) -> os.stat_result | None:
    """None where there is nothing."""
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _names_a_file(content: bytes) -> bool:
    """Whether these bytes of a graph hold the key by which a tensor names another file."""
    at = content.rfind(_KEY)  # from the end: a few times as fast as from the beginning
    while at >= 0:
        if re.search(_EXTERNAL, content[max(0, at - _BEFORE_KEY) : at + len(_KEY)]):
            return True
        at = content.rfind(_KEY, 0, at + len(_KEY) - 1)
    return False
