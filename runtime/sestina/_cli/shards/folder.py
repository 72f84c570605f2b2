"""The folder that shards are written to: begun, gone on with, and complete by its manifest alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sestina._cli.destination import PREFIX, SUFFIX, Destination, destination, unwritable_named
from sestina._cli.shards import manifest
from sestina._cli.shards.journal import JOURNAL, Journal
from sestina._cli.shards.manifest import MANIFEST, SHARD, Record, name_of
from sestina._errors import InputError, OutputError
from sestina._leftovers import sweep

# As `destination` names them, and nothing else that may be a user's.
_TEMPORARY = re.compile(rf"{re.escape(PREFIX)}(?:[0-9a-f]{{12}}-)?[0-9a-f]{{12}}{re.escape(SUFFIX)}")


@contextlib.contextmanager
def shard_folder(path: str, *, overwrite: bool) -> Iterator[ShardFolder]:
    """A folder to write shards to, made where it is not there, and locked inside the block.

    Args:
        path: Where it is or is to be.
        overwrite: Whether one of another plan, or a complete one, may be replaced.

    Raises:
        OutputError: Where it cannot be made, holds something else, or another run writes there.
    """
    with unwritable_named(path):
        folder = Path(os.path.realpath(path.rstrip("/" if os.sep == "/" else "/\\") or path))
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{path} cannot be written: {folder} is a file, not a directory")
        made = not folder.exists()
        if made:
            if not folder.parent.is_dir():
                raise OutputError(
                    f"{path} cannot be written: there is no directory {folder.parent}; create it first"
                )
            folder.mkdir(exist_ok=True)
    found = None
    try:
        with unwritable_named(path):
            _contents(folder, path)
            journal = Journal(str(folder), path)
        found = ShardFolder(path, folder, journal, overwrite=overwrite)
        try:
            yield found
        finally:
            journal.close(remove=found.complete or (not found.begun and journal.is_empty()))
    finally:
        if made and (found is None or not found.begun):
            with contextlib.suppress(OSError):  # not where another run has begun there meanwhile
                folder.rmdir()


class ShardFolder:
    """A folder of shards, locked for this run.

    Every shard and the manifest appear whole, by being renamed. A shard counts once the journal has its
    checksum; the folder is complete once the manifest says so, which is written last.

    Args:
        name: For messages.
        folder: Where it is.
        journal: Its own, open.
        overwrite: Whether one of another plan, or a complete one, may be replaced.

    Attributes:
        name: For messages.
        records: The shards that are there by manifest or journal, by number.
        begun: Whether there is a manifest of this run's plan.
        complete: Whether that says that all shards are there.
    """

    def __init__(self, name: str, folder: Path, journal: Journal, *, overwrite: bool) -> None:
        self.name = name
        self._folder, self._journal, self._overwrite = folder, journal, overwrite
        self._plan: Mapping[str, Any] = {}
        self.records: dict[int, Record] = {}
        self.begun = self.complete = False

    def begin(self, plan: Mapping[str, Any], rows: int | None) -> None:
        """Go on with what is there of this plan, or start.

        Args:
            plan: What the vectors depend on, as `manifest.difference` compares it.
            rows: Of the input, where that is known.

        Raises:
            OutputError: Where the folder is of another plan, or complete, and may not be replaced.
        """
        with unwritable_named(self.name):
            found = _contents(self._folder, self.name)
            if self._journal.locked:
                sweep(str(self._folder), PREFIX, SUFFIX, os.unlink, own=True)
            other = None if found is None else manifest.difference(found[0], plan)
            if other is not None and not self._overwrite:
                state = "made" if found is not None and found[0]["complete"] else "begun"
                raise OutputError(
                    f"{self.name} was {state} with {other}: name another directory, or pass --overwrite"
                )
            if found is not None and other is None and not (found[0]["complete"] and self._overwrite):
                document, records = found
                self.complete = document["complete"]
                records = records if self.complete else self._journal.records()
                self.records = {int(SHARD.sub(r"\1", record.file)): record for record in records}
                # It goes on saying where inputs lay when it was begun, which is no difference.
                self._plan = {**plan, "inputs": document["inputs"]}
                self.begun = True
                return
            self._plan = plan
            self._journal.clear()  # before the manifest: the old one has records of its own
            self._write(manifest.as_bytes(plan, rows, None))
            self.begun = True
            self._sync()

    def is_whole(self, record: Record) -> bool:
        """Whether the shard's file is what was recorded."""
        path = self._folder / record.file
        try:
            if not path.is_file():  # to open a pipe would be to wait
                return False
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return False
        return digest == record.sha256

    @contextlib.contextmanager
    def shard(self, number: int, suffix: str) -> Iterator[Destination]:
        """Where to write a shard, which appears once the block has ended well."""
        self.complete = False
        with destination(str(self._folder / name_of(number, suffix)), own=True) as out:
            yield out

    def add(self, number: int, suffix: str, rows: tuple[int, int], texts_sha256: str) -> None:
        """Record a shard that is there now.

        Raises:
            OutputError: Where the journal cannot be written.
        """
        path = self._folder / name_of(number, suffix)
        with unwritable_named(self.name):
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                size = os.fstat(stream.fileno()).st_size
            record = Record(path.name, *rows, size, digest, texts_sha256)
            self._journal.add(record)
        self.records[number] = record

    def finish(self, rows: int) -> None:
        """All shards are there: say so."""
        with unwritable_named(self.name):
            kept = {record.file for record in self.records.values()}
            for entry in _entries(self._folder, SHARD):
                if entry not in kept:  # of a folder that was replaced
                    (self._folder / entry).unlink()
            self._sync()
            records = [self.records[number] for number in sorted(self.records)]
            self._write(manifest.as_bytes(self._plan, rows, records))
            self._sync()
        self.complete = True

    def _write(self, content: bytes) -> None:
        with destination(str(self._folder / MANIFEST), own=True) as out:
            out.write(content)

    def _sync(self) -> None:
        """Let the names of files be on the disk, where that can be asked for."""
        if os.name == "nt":
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _entries(folder: Path, kind: re.Pattern[str]) -> list[str]:
    return [path.name for path in folder.iterdir() if kind.fullmatch(path.name)]


def _contents(folder: Path, name: str) -> tuple[dict[str, Any], list[Record]] | None:
    """What the manifest says; None where there is none, and nothing else either.

    Raises:
        OutputError: Where the folder is of something else.
    """
    try:
        found = manifest.read(str(folder), name)
    except InputError as error:
        raise OutputError(f"{error}; name another directory") from None
    if found is None:
        for path in sorted(folder.iterdir()):
            begun = path.name == JOURNAL and not path.is_symlink() and path.stat().st_size == 0
            if not begun and not _TEMPORARY.fullmatch(path.name):
                raise OutputError(
                    f"{name} holds {path.name!r} and no {MANIFEST}: name a directory that is new or empty"
                )
    return found
