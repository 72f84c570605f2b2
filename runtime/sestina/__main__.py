"""`sestina` and `python -m sestina`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing `typing` for it, where nothing yet catches an interrupt, would cost 10 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None: those of this process.

    Returns: the exit code. Does not return where a signal asks the process to end: it then ends by it.
    """
    try:
        # Some 50 ms, in which people do press Ctrl-C.
        from sestina._cli import command
    except KeyboardInterrupt:
        return _INTERRUPTED
    return command.main(argv)


if __name__ == "__main__":
    sys.exit(main())
