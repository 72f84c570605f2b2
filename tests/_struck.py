"""A signal at a chosen call within a call: where an application's time limit may fall."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType


def struck(call: Callable[[], object], at: int, within: str = "") -> int:
    """Call, with SIGUSR1 at one of the Python functions that are called within.

    Args:
        call: What to call.
        at: Which of them, from 1 on; 0: none.
        within: Only functions of files in this folder count.

    Returns: how many there were, up to that.
    """
    count = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        # Out of a destructor, and a generator that is let go of, Python itself drops what is raised.
        code = frame.f_code
        if (
            event == "call"
            and code.co_name not in ("__del__", "<genexpr>")
            and code.co_filename.startswith(within)
        ):
            count += 1
            if count == at:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGUSR1)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count
