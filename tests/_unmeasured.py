"""Processes that coverage must not measure: it writes a file when they end, and takes memory."""

from __future__ import annotations

import os


def unmeasured() -> dict[str, str]:
    """The environment, without what tells a process that it is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
