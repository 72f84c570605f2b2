"""The output on its way: begun beside its place, gone on with after whatever stopped it, there when whole.

Each run writes in a folder of its own. A worker of a run that was killed may write for a while after that;
what it writes lies where nobody looks any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from sestina import OutputError
from sestina.integrations._ray.runs import PENDING, Run, lock, rows_of, writable
from sestina.integrations._ray.table import Ids, doubled, ids_of

MANIFEST = "_sestina.json"  # readers of folders of Parquet pass over names that begin so
_PLAN, _LOCK, _REPLACED = "plan.json", "lock", "replaced"
_OURS = re.compile(rf"{re.escape(_PLAN)}(\.tmp)?|{_LOCK}|{_REPLACED}|run-\d+")


class Output:
    """A folder of Parquet that appears when it is whole.

    Until then everything is in `PATH.unfinished`, with what the run was asked for.

    Args:
        path: Where it is to be.
        id_column: Of the ids.
        overwrite: Whether a whole output, or an unfinished one of another plan, may be replaced.

    Raises:
        OutputError: Where something else is there, or it cannot be made.
    """

    def __init__(self, path: str, id_column: str, *, overwrite: bool) -> None:
        if "://" in path:
            raise OutputError(f"{path} is no path: give one on a file system that every node has")
        self.path = Path(os.path.abspath(path))  # noqa: PTH100
        self.unfinished = self.path.with_name(f"{self.path.name}.unfinished")
        self._id_column, self._overwrite = id_column, overwrite
        empty = self.path.is_dir() and not any(self.path.iterdir())
        if self.path.exists() and not empty and not (self.path / MANIFEST).is_file():
            raise OutputError(f"{path} is there and was not written by this: remove it, or name another")
        if not self.path.parent.is_dir():
            raise OutputError(
                f"{path} cannot be written: there is no directory {self.path.parent}; create it first"
            )

    def complete(self, plan: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the output says of itself where it is whole and of this plan; None where it is to be made.

        Raises:
            OutputError: Where one of another plan is there and may not be replaced.
        """
        there = _read(self.path / MANIFEST)
        if there is None or self._overwrite:
            return None
        if there.get("plan") != dict(plan):
            raise OutputError(f"{self.path} is there already: name another, or pass --overwrite")
        if self.unfinished.exists():  # a run that was killed at its very end left it
            with contextlib.suppress(OutputError), self.locked():  # somebody else's, or at work, it stays
                shutil.rmtree(self.unfinished, ignore_errors=True)
        return there

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """No other run writes here inside the block.

        Raises:
            OutputError: Where one does.
        """
        with writable(str(self.path)):
            self.unfinished.mkdir(exist_ok=True)
            if not all(_OURS.fullmatch(each.name) for each in self.unfinished.iterdir()):
                raise OutputError(
                    f"{self.unfinished} is there and was not written by this: remove it, or name another"
                )
            stream = (self.unfinished / _LOCK).open("wb")
        with stream:
            try:
                lock(stream)
            except BlockingIOError:
                raise OutputError(
                    f"{self.path} is being written by another run: wait until it has ended, or name another"
                ) from None
            try:
                yield
            except BaseException:
                if not self._has_rows() and not (self.unfinished / _REPLACED).exists():
                    # Nothing is lost, and nothing is left.
                    shutil.rmtree(self.unfinished, ignore_errors=True)
                raise

    def begin(self, plan: Mapping[str, Any]) -> Run:
        """The folders of this run, with whatever runs before it have finished of the same plan.

        Raises:
            OutputError: Where the one begun is of another plan and may not be replaced.
        """
        with writable(str(self.path)):
            there = _read(self.unfinished / _PLAN)
            if there is not None and there != dict(plan):
                other = next(key for key in (*plan, *there) if plan.get(key) != there.get(key))
                if not self._overwrite and self._has_rows():
                    raise OutputError(
                        f"{self.unfinished} was begun with another {other}: name another output, "
                        "or pass --overwrite"
                    )
                there = None
            if there is None:
                for each in self.unfinished.iterdir():
                    if each.name != _LOCK:
                        shutil.rmtree(each) if each.is_dir() else each.unlink()
                partial = self.unfinished / f"{_PLAN}.tmp"
                partial.write_text(json.dumps(plan), "utf-8")
                partial.rename(self.unfinished / _PLAN)
            return self._next()

    def _has_rows(self) -> bool:
        """Whether a run has written a table that is whole."""
        return any(
            not mark.name.endswith(PENDING) for mark in self.unfinished.glob("run-*/checkpoint/*.parquet")
        )

    def _next(self) -> Run:
        before = sorted(int(each.name.partition("-")[2]) for each in self.unfinished.glob("run-*"))
        run = Run(self.unfinished, before[-1] + 1 if before else 1)
        for number in before:
            old = Run(self.unfinished, number)
            for base, tables in old.whole().items():
                with contextlib.suppress(FileNotFoundError):
                    if rows_of(tables) == rows_of([old.mark(base)]):
                        run.checkpoint.mkdir(exist_ok=True)
                        for table in tables:  # they count once what says so is there
                            table.rename(run.rows / table.name)
                        old.mark(base).rename(run.mark(base))
            shutil.rmtree(self.unfinished / f"run-{number}", ignore_errors=True)
        marks = run.whole()
        for table in run.rows.glob("*.parquet"):
            if table.stem.rpartition("-")[0] not in marks:
                table.unlink()
        self._drop_doubled(run)
        return run

    def _drop_doubled(self, run: Run) -> None:
        named = list(run.whole().items())
        pieces = [self._ids(tables) for _, tables in named]
        for at in doubled(pieces):
            run.mark(named[at][0]).unlink()
            for table in named[at][1]:
                table.unlink()

    def _ids(self, tables: list[Path]) -> Ids:
        pieces = [ids_of(str(table), self._id_column) for table in tables]
        return np.concatenate([np.empty(0, np.uint64), *pieces])

    def is_whole(self, run: Run, ids: Ids) -> bool:
        """Whether each id is there once, and nothing else; what says nothing of itself is removed."""
        marks = run.whole()
        for table in run.rows.glob("*.parquet"):
            if table.stem.rpartition("-")[0] not in marks:
                table.unlink()
        found = np.sort(self._ids([table for tables in marks.values() for table in tables]))
        return bool(np.array_equal(found, ids))

    def publish(self, run: Run, schema: Any, facts: Mapping[str, Any]) -> None:
        """Put the whole output in its place, and take away what led to it."""
        with writable(str(self.path)):
            if not any(run.rows.iterdir()):  # of an empty table
                pq.write_table(schema.empty_table(), run.rows / "empty-0.parquet")
            files = sorted(run.rows.glob("*.parquet"))
            told = {**facts, "files": [{"file": each.name, "rows": rows_of([each])} for each in files]}
            (run.rows / MANIFEST).write_text(json.dumps(told, indent=1), "utf-8")
            if self.path.exists():
                old = self.unfinished / _REPLACED
                shutil.rmtree(old, ignore_errors=True)
                self.path.rename(old)
            run.rows.rename(self.path)
            shutil.rmtree(self.unfinished, ignore_errors=True)


def _read(path: Path) -> dict[str, Any] | None:
    """A document of ours; None where there is none.

    Raises:
        OutputError: Where it cannot be read.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read ({error}): remove {path.parent}") from None
    if not isinstance(found, dict):
        raise OutputError(f"{path} is no document of this command: remove {path.parent}")
    return found
