"""The parent's end of a worker: start it, ask it, and let nothing of it stay behind."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Any

from sestina._bench.contender import Setting


class WorkerError(Exception):
    """A contender failed; the message says how."""


def environment(threads: int, **extra: str) -> dict[str, str]:
    """The same for every contender: as many threads for every pool that reads the environment, no network."""
    count = str(threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "RAYON_NUM_THREADS": count,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime uploads from native code, which no hook here would see
        "PYTHONWARNINGS": "ignore",
        **extra,
    }


class WorkerProcess:
    """A contender's process. A context manager: the process is gone after the block, whatever happened.

    It is a session of its own, so that Ctrl-C reaches the parent alone, which then ends it together with
    processes that the contender may have started.
    """

    def __init__(self, threads: int, **extra: str) -> None:
        quiet = None if os.environ.get("SESTINA_DEBUG") else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sestina._bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=quiet,
            env=environment(threads, **extra),
            start_new_session=True,
            encoding="utf-8",
        )

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            WorkerError: Where the contender failed, or its process ended.
        """
        sending, receiving = self._process.stdin, self._process.stdout
        if sending is None or receiving is None:
            raise WorkerError("its process is closed")
        try:
            sending.write(json.dumps({"op": op, **arguments}) + "\n")
            sending.flush()
            line = receiving.readline()
        except OSError:
            line = ""
        if not line:
            raise WorkerError(f"its process ended with code {self._process.wait()} during {op}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def open(self, setting: Setting) -> dict[str, Any]:
        """Import and load."""
        return self.ask("open", setting=as_json(setting))

    def close(self) -> None:
        """End the process and its descendants."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()


def as_json(setting: Setting) -> dict[str, Any]:
    """A setting as the worker reads it."""
    return dataclasses.asdict(setting)
