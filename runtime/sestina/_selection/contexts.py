"""What providers compiled, kept in a directory that the caller names and trusted only where all of it fits.

An entry is a directory named by a digest of everything that its content depends on. It is made under another
name and renamed into place once its session was found right; what is not exactly as it was then (a file
added, altered or lost) is removed and compiled again. Nothing else in the directory is ever touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from sestina._errors import OutputError
from sestina._handlers import let_through
from sestina._leftovers import Temporary, sweep
from sestina._session.placement import Placement

_RECORD = "entry.json"
_FORMAT = 1
_BUILDING = ".building-"
_PIECE = 1 << 20  # bytes hashed at once

Facts = Mapping[str, object]


class Contexts:
    """The entries of one directory, which is created where it is missing.

    Raises:
        OutputError: Where the directory cannot be written.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)
        with self._named():
            self._directory.mkdir(parents=True, exist_ok=True)
            sweep(str(self._directory), _BUILDING, "", shutil.rmtree)

    def find(self, facts: Facts) -> tuple[Path, Placement, Mapping[str, str]] | None:
        """A whole entry, the placement of the graph it was compiled from, and the SHA-256 of its files.

        Returns: None where there is none.
        """
        folder = self._folder(facts)
        try:
            sealed = json.loads((folder / _RECORD).read_bytes())
            record = sealed["record"]
            whole = sealed["sha256"] == _digest(record) and record["files"] == _digests(folder)
            if whole and record["facts"] == _plain(facts):
                return folder, Placement(record["ep"], record["nodes"], record["partitions"]), record["files"]
        except (OSError, ValueError, KeyError, TypeError) as error:  # not there, or not whole
            let_through(error)
        self.forget(facts)
        return None

    @contextlib.contextmanager
    def build(self) -> Iterator[Path]:
        """A directory to compile into, which is gone afterwards unless it was kept."""
        remove = partial(shutil.rmtree, ignore_errors=True)
        with contextlib.ExitStack() as stack:
            with self._named():
                building = Temporary.new(
                    str(self._directory), _BUILDING, "", directory=True, owner=stack, remove=remove
                )
            yield Path(building.path)

    def keep(self, folder: Path, facts: Facts, placement: Placement) -> None:
        """Make what was compiled in `folder` the entry of `facts`.

        Where another process was quicker its entry stays: it was made of the same.
        """
        with self._named():
            record = {
                "facts": _plain(facts),
                "files": _digests(folder),
                "ep": placement.ep,
                "nodes": placement.nodes,
                "partitions": placement.partitions,
            }
            sealed = {"record": record, "sha256": _digest(record)}
            (folder / _RECORD).write_text(json.dumps(sealed, indent=2) + "\n", encoding="utf-8")
            self._settle(folder, self._folder(facts))

    def _settle(self, folder: Path, target: Path) -> None:
        """Put `folder` at `target`; a copy of it where a session has its files open, on Windows."""
        try:
            if not target.exists():
                folder.rename(target)
        except PermissionError as error:
            let_through(error)
            with self.build() as copy:
                shutil.copytree(folder, copy, dirs_exist_ok=True)
                copy.rename(target)
        except OSError as error:
            let_through(error)
            if not target.exists():  # else another process was quicker, just now
                raise

    def forget(self, facts: Facts) -> None:
        """Remove an entry, if there is one."""
        shutil.rmtree(self._folder(facts), ignore_errors=True)

    def _folder(self, facts: Facts) -> Path:
        return self._directory / _digest(_plain(facts))[:40]

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OutputError:  # said already, and an OSError too
            raise
        except (OSError, ValueError) as error:
            let_through(error)
            why = getattr(error, "strerror", None) or str(error)
            raise OutputError(f"cache_dir {self._directory} cannot be written: {why}") from None


def _plain(facts: Facts) -> dict[str, object]:
    """As JSON gives it back, in one order."""
    plain: dict[str, object] = json.loads(json.dumps({"format": _FORMAT, **facts}, sort_keys=True))
    return plain


def _digest(document: object) -> str:
    """SHA-256 of a JSON document, whatever its members' order."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an entry but its record."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / _RECORD:
            digest = hashlib.sha256()
            with path.open("rb") as stream:
                while piece := stream.read(_PIECE):
                    digest.update(piece)
            digests[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return digests
