"""Processes that coverage must not measure: it writes a file when they end, takes memory, and knows no forks.

Its tracer holds a lock for a moment wherever a thread enters a file. A child that is forked just then, while another
thread of its parent has it, waits for that thread for ever. So programs that fork beside threads run without it.
"""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """The environment, without what tells a process that it is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
