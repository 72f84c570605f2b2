"""A process for every case: what crashes, hangs or eats memory there is told as a fault, and nothing is left.

Starting Python and importing onnxruntime would take longer than the case. So one process imports what is needed,
uses none of it, and forks for each case: the nursery.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from fuzz.core import Fault, Recipe, target
from fuzz.world import World

_MEMORY = 4 << 30  # bytes of address space for a case
_SLIM = (
    "numpy",
    "onnx",
    "sestina._opening",
    "sestina._load",
    "sestina._cli.parser",
    "sestina._explain.explanation",
)
_HEAVY = (*_SLIM, "torch", "sestina_export", "transformers", "sentence_transformers")


class Verdict(NamedTuple):
    """How a case ended: "right", "refused", or "fault" with its sort and what was seen."""

    kind: str
    sort: str = ""
    what: str = ""


class Sandbox:
    """Runs recipes. A context manager."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._nurseries: dict[bool, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        for nursery in self._nurseries.values():
            nursery.stdin.close()  # type: ignore[union-attr]
            nursery.wait()
            nursery.stdout.close()  # type: ignore[union-attr]

    def run(self, name: str, recipe: Recipe) -> Verdict:
        """Run one. What takes too long is tried once more, in peace, before it is called endless."""
        module = target(name)
        request = {
            "target": name,
            "recipe": recipe,
            "seconds": module.SECONDS,
            "world": str(self._world.folder),
        }
        verdict = self._ask(request, heavy=getattr(module, "HEAVY", False))
        if verdict.sort == "endless":
            verdict = self._ask(
                {**request, "seconds": 2 * module.SECONDS}, heavy=getattr(module, "HEAVY", False)
            )
        return verdict

    def _ask(self, request: dict[str, Any], *, heavy: bool) -> Verdict:
        nursery = self._nurseries.get(heavy)
        if nursery is None:
            command = [sys.executable, "-m", "fuzz.sandbox", "heavy" if heavy else "slim"]
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "PYTHONHASHSEED": "0",
                "OMP_NUM_THREADS": "1",
                "HF_HUB_OFFLINE": "1",
            }
            nursery = self._nurseries[heavy] = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        nursery.stdin.write(json.dumps(request).encode() + b"\n")  # type: ignore[union-attr]
        nursery.stdin.flush()  # type: ignore[union-attr]
        answer = nursery.stdout.readline()  # type: ignore[union-attr]
        if not answer:
            raise RuntimeError("the process that forks for cases has ended")
        return Verdict(*json.loads(answer))


def _serve(kind: str) -> None:
    import importlib

    for module in _HEAVY if kind == "heavy" else _SLIM:
        with contextlib.suppress(ModuleNotFoundError):  # transformers is not installed everywhere
            importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed here is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this one ends it
    for line in iter(sys.stdin.buffer.readline, b""):
        verdict = _in_a_child(json.loads(line))
        answers.write(json.dumps(verdict).encode() + b"\n")
        answers.flush()


def _in_a_child(request: dict[str, Any]) -> Verdict:
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (place / "scratch").mkdir()
    try:
        child = os.fork()
        if not child:
            _case(request, place)
        status = _wait(child, request["seconds"])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # its own children
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        told = (place / "log").read_bytes()[:400].decode(errors="replace") if (place / "log").exists() else ""
        if status is None:
            return Verdict("fault", "endless", f"not done after {request['seconds']} seconds")
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return Verdict("fault", f"ended by {name}", " ".join(told.split()))
        if not (place / "verdict").exists():
            return Verdict("fault", "ended without a word", f"status {status}: {' '.join(told.split())}")
        return Verdict(*json.loads((place / "verdict").read_text()))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _wait(child: int, seconds: float) -> int | None:
    """The status that it ended with; None where it had to be ended."""
    end, pause = time.monotonic() + seconds, 0.001
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(pause)
        pause = min(0.02, 1.5 * pause)
    return None


def _case(request: dict[str, Any], place: Path) -> None:
    """In the child: run the case, say how it ended, and be gone."""
    with contextlib.suppress(BaseException):
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        log = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(place / "scratch")
        scratch = place / "scratch"
        try:
            kind = target(request["target"]).check(request["recipe"], World(Path(request["world"])), scratch)
            verdict = Verdict(kind)
        except Fault as fault:
            verdict = Verdict("fault", fault.sort, " ".join(fault.what.split())[:2000])
        except BaseException as error:  # noqa: BLE001  the net's own
            place_of = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place_of.filename).name}:{place_of.lineno}"
            verdict = Verdict("fault", f"the net broke: {type(error).__name__} at {where}", str(error)[:500])
        (place / "unsaid").write_text(json.dumps(verdict))
        (place / "unsaid").rename(place / "verdict")
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
