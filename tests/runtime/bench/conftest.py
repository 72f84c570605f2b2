"""Workers of the benchmark, where coverage measures them: killed as they are, they would have no time to say what they ran."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

import pytest

from sestina._bench.process import WorkerProcess


@pytest.fixture(scope="session", autouse=True)
def measured_workers_end_by_themselves() -> Iterator[None]:
    """At the end of their input, before they are killed as ever."""
    if "COVERAGE_PROCESS_CONFIG" not in os.environ:
        yield
        return
    kill = WorkerProcess.close

    def close(worker: WorkerProcess) -> None:
        if worker._process.stdin is not None:
            with contextlib.suppress(OSError):
                worker._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker._process.wait(timeout=20)
        kill(worker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WorkerProcess, "close", close)
        yield
