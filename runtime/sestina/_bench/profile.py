"""Time per operator of our own graph, as onnxruntime's profiler sees it."""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from sestina._bench.contender import Setting
from sestina._bench.sestina import Sestina


def operators(setting: Setting, texts: list[str]) -> dict[str, Any]:
    """Encode texts once under the profiler, in a process that does nothing else.

    The encoder is opened by its public face, with its own session options, schedule and threads. Profiling
    is switched on beneath it: every `SessionOptions` that is made from here on has it.

    Returns: `operators`: for each its name, calls, milliseconds summed over threads, and share; the slowest
        first.
    """
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="sestina-profile-") as folder:
        make = onnxruntime.SessionOptions

        def with_profile() -> Any:
            options = make()
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            return options

        onnxruntime.SessionOptions = with_profile
        contender = Sestina(setting)
        contender.load()
        contender.encode(texts)
        contender.close()  # the last reference to a session makes it write its file
        files = sorted(Path(folder).iterdir())
        events = [event for file in files for event in events_of(file)]
    return {"operators": summarise(events)}


def events_of(file: Path, seconds: float = 10.0) -> list[dict[str, Any]]:
    """The events in a profile.

    On a busy machine a worker that was told to stop holds its session, and with it the file, a moment longer.

    Raises:
        json.JSONDecodeError: Where the file is not whole after that many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            events: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return events


def summarise(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add up the kernel times of a profile, by operator."""
    calls: dict[str, int] = defaultdict(int)
    micros: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["args"]["op_name"]
            calls[name] += 1
            micros[name] += event["dur"]
    whole = sum(micros.values()) or 1.0
    return [
        {"operator": name, "calls": calls[name], "ms": micros[name] / 1000, "share": micros[name] / whole}
        for name in sorted(micros, key=lambda name: -micros[name])
    ]
