"""The command line run as people run it, and what it may leave behind: an exit code, one line, whole files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fuzz.core import Fault

_SECONDS = 20
_LONGEST = 1020  # characters of a line on standard error, `sestina: ` included
_SOFT = (0, 1, 2)  # success, a failed verification, bad input
Tree = dict[str, tuple[str, int, str]]  # path -> kind, mode, and what is there


class Ended(NamedTuple):
    """What a command left."""

    code: int
    out: bytes
    err: bytes


def forked(argv: Sequence[str], stdin: bytes = b"", seconds: float = _SECONDS) -> Ended:
    """`sestina argv` in a child of this process, which has it imported already."""
    files = [Path(f"../{name}") for name in ("stdin", "stdout", "stderr")]
    files[0].write_bytes(stdin)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            _become(files, argv)
        os._exit(99)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            return Ended(code, files[1].read_bytes(), files[2].read_bytes())
        time.sleep(0.003)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise Fault(f"{argv[0] if argv else 'sestina'} does not end", f"after {seconds} s: {list(argv)!r:.200}")


def _become(files: Sequence[Path], argv: Sequence[str]) -> None:
    for number, file in enumerate(files):
        opened = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)))
    sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), errors="backslashreplace", write_through=True
    )
    sys.argv = ["sestina", *argv]
    from sestina.__main__ import main

    try:
        code = main(list(argv))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001  what the interpreter would do
        import traceback

        traceback.print_exc()
        code = 1
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    os._exit(code)


def started(argv: Sequence[str], seconds: float = _SECONDS, **options: object) -> subprocess.Popen[bytes]:
    """`python -m sestina argv` in an interpreter of its own."""
    return subprocess.Popen([sys.executable, "-m", "sestina", *argv], **options)  # type: ignore[call-overload,no-any-return]


def held(ended: Ended, argv: Sequence[str], *, codes: Sequence[int] = _SOFT) -> None:
    """An exit code of those allowed; after 2 one line on standard error, and otherwise no traceback either."""
    what = f"{list(argv)!r:.300} gave {ended.code}: {ended.err[:300]!r}"
    if ended.code < 0:
        raise Fault(f"a command ended by {signal.Signals(-ended.code).name}", what)
    said = ended.err.replace(b"\0", b"")  # of UTF-16 and UTF-32, where the environment asks for them
    if b"Traceback" in said or b"panicked at" in said:
        raise Fault(f"a traceback from {argv[0] if argv else 'sestina'}: {_last(said)}", what)
    if ended.code not in codes:
        raise Fault(f"exit code {ended.code} of {argv[0] if argv else 'sestina'}: {_last(said)}", what)
    lines = [line for line in said.split(b"\n") if not line.startswith(b"sestina: warning: ")]
    if ended.code == 2 and (len(lines) != 2 or lines[1] or not lines[0]):
        raise Fault(f"not one line on standard error from {argv[0] if argv else 'sestina'}", what)
    if any(len(line) > _LONGEST for line in said.decode(errors="replace").split("\n")):
        raise Fault(f"a long line on standard error from {argv[0] if argv else 'sestina'}", what)
    if any(byte < 0x20 and byte != 0x0A for byte in said):
        raise Fault("control characters on standard error", what)


def _last(err: bytes) -> str:
    """The kind of error that the last line tells."""
    lines = [line for line in err.decode(errors="replace").splitlines() if line.strip()]
    words = [
        word
        for word in (lines[-1] if lines else "").replace(":", " ").split()
        if "Error" in word or "Exception" in word
    ]
    return words[0] if words else "no error named"


def tree(folder: Path) -> Tree:
    """Everything in a folder."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            what = str(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            what = ""
        kind = stat.S_IFMT(status.st_mode)
        found[os.fsencode(path.relative_to(folder)).decode("latin-1")] = (
            str(kind),
            stat.S_IMODE(status.st_mode),
            what,
        )
    return found


def kept(before: Tree, after: Tree, written: Sequence[str], *, success: bool, modes: bool = True) -> None:
    """Nothing temporary is left; nothing changed but, on success, what was to be written."""
    for name in after.keys() - before.keys():
        last = name.rpartition("/")[2]
        if last.startswith(".") and (last.endswith((".tmp", ".new", ".old")) or "sestina" in last):
            raise Fault("a temporary file is left", name)
    allowed = set(written) if success else set()
    for name in before.keys() | after.keys():
        if name in allowed or any(name.startswith(each + "/") for each in allowed):
            continue
        if before.get(name) != after.get(name):
            raise Fault(
                "a file changed that should not have", f"{name}: {before.get(name)} became {after.get(name)}"
            )
    for name in allowed & before.keys() & after.keys():
        if modes and before[name][1] != after[name][1]:
            raise Fault("a file lost its mode", f"{name}: {before[name][1]:o} became {after[name][1]:o}")


def environment(more: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Of a command: as here, with some variables set or (None) taken away."""
    values = {**os.environ, **{key: value for key, value in (more or {}).items() if value is not None}}
    for key, value in (more or {}).items():
        if value is None:
            values.pop(key, None)
    return values
