"""A bundle on disk: found, opened and checked before anything in it is used.

Its files are opened once, and from then on only what was opened is read: the directory may be replaced by
another, removed, or left behind by `chdir`. Paths are strings here and in whatever else every start needs:
`pathlib` takes 3 ms to import.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock

from sestina._bundle.files import HeldFile, open_plain
from sestina._bundle.graph import Graph
from sestina._bundle.manifest import MANIFEST, FileEntry, Manifest, Variant
from sestina._bundle.manifest_reader import read
from sestina._bundle.paths import bundle_path, exists
from sestina._bundle.protobuf import Buffer
from sestina._errors import (
    BundleFormatError,
    BundleIntegrityError,
    BundleNotFoundError,
    BundlePermissionError,
    ClosedError,
)
from sestina._handlers import let_through
from sestina._quote import in_one_line

_MANIFEST_LIMIT = 16 << 20  # bytes; no manifest comes near it, a wrong file may
_NO_FILE = {errno.ENOENT: "is missing", errno.ELOOP: "is a link to itself"}
_TRIES = 5  # to open all files of one and the same bundle, where it is replaced at that very moment


class Bundle:
    """A bundle whose files are what its manifest states: the sizes of all, the SHA-256 of those checked.

    Nothing in a bundle is executed or unpickled, and no file is opened but the manifest and those it lists,
    wherever links may lead to them.

    Attributes:
        path: Its directory, as it was given.
        manifest, stated: What it says of itself, and the bytes of that file.

    Raises:
        BundleError: One of its subclasses, as their names say.
        OptionError: Where the path is none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = bundle_path(path)
        self._lock = Lock()
        self._graphs: dict[str, Graph] = {}
        self._files: dict[str, HeldFile] = {}
        for _ in range(_TRIES):
            content = self.stated = self._read_manifest()
            try:
                self.manifest = self._parse(content)
                self._files = {entry.file: self._open(entry) for entry in self.manifest.all_files}
            except (BundleFormatError, BundleIntegrityError):
                if self._is_still(content):
                    raise
            else:
                if self._is_still(content):  # else some files may be of one bundle and some of another
                    return
        raise BundleIntegrityError(f"{self.shown} changes while it is opened: load it again")

    @property
    def shown(self) -> str:
        """Its path as messages have it."""
        return in_one_line(self.path)

    def check(self, variant: Variant | None) -> None:
        """Compute the SHA-256 of every file, or of all but those of variants other than one.

        Graphs that are no variants are looked through, and where all files are checked those of variants.

        Raises:
            BundleIntegrityError: Where it is not what the manifest states.
            BundleFormatError: Where a graph is not what a bundle may hold.
            ClosedError: After `close`.
        """
        graphs = {other.entry.file for other in self.manifest.variants}
        owned = {entry.file for other in self.manifest.variants for entry in other.all_files}
        mine = owned if variant is None else {entry.file for entry in variant.all_files}
        for entry in self.manifest.all_files:
            if entry.file in mine or entry.file not in owned:
                self._check_digest(entry)
            if entry.file in owned:
                unseen = variant is None and entry.file in graphs - self._graphs.keys()
            else:
                unseen = entry.file.lower().endswith(".onnx")
            if unseen:
                self._graph(entry.file)

    def check_variant(self, variant: Variant) -> None:
        """Compute the SHA-256 of the files of one variant. Errors as `check`."""
        for entry in variant.all_files:
            self._check_digest(entry)

    def close(self) -> None:
        """Let go of the files, once whoever reads them or has a graph of them is done."""
        self._files, self._graphs = {}, {}

    def file(self, name: str) -> str:
        """The path of a file that the manifest lists, as it was when the bundle was opened."""
        return os.path.join(self.path, name)

    def where(self, name: str) -> str:
        """The same as messages have it."""
        return in_one_line(self.file(name))

    def read(self, name: str) -> bytes:
        """The bytes of a file that the manifest lists, once their SHA-256 was found right.

        Raises:
            BundleIntegrityError: Where they are not what the manifest states, or can no longer be read.
            ClosedError: After `close`.
        """
        return _read(self._held(name), self._entry(name), self.where(name))

    def graph(self, name: str) -> Graph:
        """The graph of a variant, the same at every call.

        Its SHA-256 is not computed here: a session opened with all of its bytes gets them from `read`.

        Raises:
            BundleFormatError, BundleIntegrityError: Where it is not what a bundle may hold.
            ClosedError: After `close`.
        """
        with self._lock:
            held = self._held(name)
            if name not in self._graphs:
                again = partial(_read, held, self._entry(name), self.where(name))
                self._graphs[name] = self._graph(name, again)
            return self._graphs[name]

    def _graph(self, name: str, again: Callable[[], bytes] | None = None) -> Graph:
        """Made anew, with the files of weights of the variant whose graph it is."""
        mine = [each for each in self.manifest.variants if each.entry.file == name]
        weights = {entry.file: self._mapped(entry.file) for each in mine for entry in each.weights}
        return Graph(self._mapped(name), self.where(name), again, weights)

    def _mapped(self, name: str) -> Buffer:
        held = self._held(name)
        with _readable(self.where(name)):
            return held.map()

    def _read_manifest(self) -> bytes:
        """The manifest as it is now."""
        where = self.where(MANIFEST)
        try:
            if not exists(self.path):
                raise BundleNotFoundError(
                    f"there is no bundle at {self.shown}: check the path, or export one"
                )
            if not os.path.isdir(self.path):
                raise BundleFormatError(f"{self.shown} is a file; a bundle is a directory with a {MANIFEST}")
            file = open_plain(self.file(MANIFEST)) if exists(self.file(MANIFEST)) else None
            if file is None:
                raise BundleFormatError(f"{self.shown} is not a bundle: it has no {MANIFEST}")
            if file.size > _MANIFEST_LIMIT:
                raise BundleFormatError(f"{where} is too large to be a manifest")
            return file.read()
        except BundleNotFoundError:  # ours, and an OSError too
            raise
        except OSError as error:
            let_through(error)
            if isinstance(error, PermissionError):
                raise _unreadable(self.shown) from None
            raise BundleNotFoundError(f"{self.shown} cannot be opened: {error.strerror}") from None

    def _parse(self, content: bytes) -> Manifest:
        where = self.where(MANIFEST)
        try:
            return read(content.decode(), where)
        except UnicodeDecodeError:
            raise BundleFormatError(f"{where} is not UTF-8 text: export the bundle again") from None

    def _is_still(self, content: bytes) -> bool:
        """Whether the manifest is the one that was read: where it cannot be read now nobody knows better."""
        try:
            return self._read_manifest() == content
        except (BundleNotFoundError, BundleFormatError, BundlePermissionError):
            return True

    def _open(self, entry: FileEntry) -> HeldFile:
        where = self.where(entry.file)
        with _readable(where):
            held = open_plain(self.file(entry.file))
        if held is None:
            raise BundleIntegrityError(f"{where} is not a plain file: copy the bundle again")
        if held.size != entry.bytes:
            raise BundleIntegrityError(
                f"{where} has {held.size} bytes where the manifest says {entry.bytes}: copy the bundle again"
            )
        return held

    def _entry(self, name: str) -> FileEntry:
        return next(entry for entry in self.manifest.all_files if entry.file == name)

    def _held(self, name: str) -> HeldFile:
        held = self._files.get(name)
        if held is None:
            raise ClosedError("this encoder is closed: load the bundle again")
        return held

    def _check_digest(self, entry: FileEntry) -> None:
        digest, held = hashlib.sha256(), self._held(entry.file)
        with _readable(self.where(entry.file)):
            for piece in held.pieces():
                digest.update(piece)
        _compare(entry, digest.hexdigest(), self.where(entry.file))


def _read(held: HeldFile, entry: FileEntry, where: str) -> bytes:
    """The bytes of a file, once their SHA-256 was found right."""
    with _readable(where):
        content = held.read()
    _compare(entry, hashlib.sha256(content).hexdigest(), where)
    return content


def _compare(entry: FileEntry, digest: str, where: str) -> None:
    if digest != entry.sha256:
        raise BundleIntegrityError(
            f"{where} is not the file that was exported (its SHA-256 differs): copy the bundle again"
        )


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Whatever keeps a listed file from being read is said in our own words."""
    try:
        yield
    except OSError as error:
        let_through(error)
        if isinstance(error, PermissionError):
            raise _unreadable(where) from None
        why = _NO_FILE.get(error.errno or 0)
        why = f"{why}: copy the bundle again" if why else f"cannot be read: {error.strerror}"
        raise BundleIntegrityError(f"{where} {why}") from None


def _unreadable(where: str) -> BundlePermissionError:
    return BundlePermissionError(f"{where} may not be read by this user: check its permissions")
