"""One run's folders on their way to an output, and which of the tables in them are whole."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sestina import InputError, OutputError

fcntl: Any = None
with contextlib.suppress(ModuleNotFoundError):  # on Windows
    import fcntl

PENDING = ".pending.parquet"  # how what Ray says of a table ends until it is whole


class Run:
    """One run's folders.

    Attributes:
        rows: Where Ray writes tables.
        checkpoint: Where Ray writes which ids are in tables that are whole. It makes it; an empty one would
            be looked through by one more of its tasks.
        told: Where encoders write what they have done.
        number: From 1.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        own = folder / f"run-{number}"
        self.rows, self.checkpoint, self.told = own / "rows", own / "checkpoint", own / "told"
        for each in (self.rows, self.told):
            each.mkdir(parents=True, exist_ok=True)

    def marks(self) -> set[str]:
        """The names of tables that are whole. Ray says it last, and unsays it first."""
        names = {each.name for each in self.checkpoint.glob("*.parquet")}
        pending = {name.removesuffix(PENDING) for name in names if name.endswith(PENDING)}
        return {name.removesuffix(".parquet") for name in names if not name.endswith(PENDING)} - pending

    def whole(self) -> dict[str, list[Path]]:
        """Tables that are whole, by the name of what says so."""
        found: dict[str, list[Path]] = {name: [] for name in self.marks()}
        for table in self.rows.glob("*.parquet"):
            base = table.stem.rpartition("-")[0]
            if base in found:
                found[base].append(table)
        return found

    def mark(self, base: str) -> Path:
        """What says that tables of a name are whole."""
        return self.checkpoint / f"{base}.parquet"


def lock(stream: Any, *, wait: bool = False) -> None:
    """Until the process ends, however that is; nowhere on Windows, and on file systems without locks.

    Args:
        stream: An open file.
        wait: Whether to wait for another process that has it.

    Raises:
        BlockingIOError: Where another process has it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        return


@contextlib.contextmanager
def writable(path: str) -> Iterator[None]:
    """Inside the block, what the system refuses is an error that names the output.

    Raises:
        OutputError: In place of an OSError.
    """
    try:
        yield
    except (OutputError, InputError):
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None


def rows_of(files: list[Path]) -> int:
    """Of tables together; 0 where one is not whole, or is empty."""
    try:
        return sum(pq.read_metadata(file).num_rows for file in files)
    except FileNotFoundError:
        raise
    except Exception:  # noqa: BLE001  whatever pyarrow makes of bytes that are no table
        return 0
