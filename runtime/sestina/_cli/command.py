"""Run a command, and turn whatever happens into one line and a code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence

from sestina._cli import printing
from sestina._cli.ending import Signals, Terminated, raised
from sestina._errors import SestinaError
from sestina._text.panics import panics

# As `sestina --help` states them. A shell reports 141 for a program that a closed pipe ended.
_BAD_INPUT, _UNEXPECTED, _INTERRUPTED, _BROKEN_PIPE = 2, 70, 130, 141
# What the system has no more of, whoever asks for it: not even a library can then be imported.
_RAN_OUT = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "lower --max-memory-mb, or close other programs",
    errno.ENOSPC: "make room on the disk",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None: those of this process.

    Returns: the exit code. Does not return where a signal asks the process to end: it then ends by it.
    """
    came = Signals()
    try:
        with raised(came):
            code = _run(argv)
    except Terminated:
        return came.end()
    # What is raised in a destructor, or under a library that catches everything, is dropped.
    return code if came.received is None else came.end()


def _run(argv: Sequence[str] | None) -> int:
    try:
        printing.prepare()
        from sestina._cli.parser import run  # every command, and with them what may be missing

        with contextlib.nullcontext() if _debugging() else panics.hidden():
            code = run(argv)
        printing.flush()
    except SestinaError as error:
        _debug()
        printing.error(str(error))
        return _BAD_INPUT
    except MemoryError:
        _debug()
        printing.error("there is not enough memory: lower --max-memory-mb, or give smaller files or texts")
        return _BAD_INPUT
    except ImportError as error:
        _debug()
        if (error.name or "").startswith("sestina"):
            return _unexpected(error)
        printing.error(f"a library that sestina needs cannot be loaded ({error}): install sestina again")
        return _BAD_INPUT
    except Terminated:
        raise
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        printing.abandon()
        return _BROKEN_PIPE
    except OSError as error:
        _debug()
        if error.errno not in _RAN_OUT:
            return _unexpected(error)
        printing.error(f"the system refuses what is needed: {error.strerror}: {_RAN_OUT[error.errno]}")
        return _BAD_INPUT
    except Exception as error:  # noqa: BLE001  the last resort: no traceback for people who did nothing wrong
        _debug()
        return _unexpected(error)
    return code


def _unexpected(error: Exception) -> int:
    printing.error(
        f"unexpected {type(error).__name__}: {error}; this is a defect of sestina: please report it with "
        "what SESTINA_DEBUG=1 in the environment prints"
    )
    return _UNEXPECTED


def _debugging() -> bool:
    return bool(os.environ.get("SESTINA_DEBUG"))


def _debug() -> None:
    if _debugging() and sys.stderr is not None:
        import traceback

        traceback.print_exc()
