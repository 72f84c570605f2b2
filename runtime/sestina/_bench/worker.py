"""The process that one contender lives in. Answers requests, one JSON object a line, and times itself.

It imports nothing but what is built in before it is told what to open, since the time that imports take is
one of the things measured.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

from sestina._bench.contender import Entry, Setting, contender_class

_COUNTED = 0.2  # seconds; warming up ends there


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: no contender may ask anyone for anything. (A path is a socket on this machine.)"""
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(arguments[1], tuple)):
        raise PermissionError("the benchmark is offline: a contender tried to open a connection")


class Worker:
    """One contender and the texts it was given."""

    def __init__(self) -> None:
        self._contender: Any = None
        self._texts: dict[str, list[str]] = {}

    def open(self, setting: dict[str, Any]) -> dict[str, Any]:
        """Import, then load. Returns: the seconds that each took, and the configuration."""
        begin = time.perf_counter()
        self._choose(setting)
        for module in self._contender.modules:
            importlib.import_module(module)
        imported = time.perf_counter()
        self._contender.load()
        loaded = time.perf_counter()
        return {
            "import_s": imported - begin,
            "load_s": loaded - imported,
            "description": self._contender.description,
        }

    def prepare(self, setting: dict[str, Any]) -> dict[str, Any]:
        """Let the contender make its files."""
        self._choose(setting)
        self._contender.prepare()
        return {}

    def give(self, key: str, texts: list[str]) -> dict[str, Any]:
        """Keep texts under a name."""
        self._texts[key] = texts
        return {}

    def vectors(self, key: str, reference: bool) -> dict[str, Any]:
        """Vectors of texts, (n, d) float32, as hexadecimal bytes."""
        encode = self._contender.reference if reference else self._contender.encode
        found = encode(self._texts[key])
        return {"shape": list(found.shape), "float32": found.astype("<f4").tobytes().hex()}

    def verify(self) -> dict[str, Any]:
        """Whether a contender that is held to goldens of its own passes them."""
        return {"passed": self._contender.verify()}

    def warm(self, key: str, single: bool) -> dict[str, Any]:
        """Encode without counting, so that allocators and thread pools are as in use."""
        texts = self._texts[key]
        begin = time.perf_counter()
        for text in texts:
            self._contender.encode([text] if single else texts)
            if not single or time.perf_counter() - begin > _COUNTED:
                break
        return {}

    def time_each(self, key: str, calls: int) -> dict[str, Any]:
        """Seconds of so many calls with one text each."""
        texts = self._texts[key]
        seconds = []
        for call in range(calls):
            one = [texts[call % len(texts)]]
            begin = time.perf_counter()
            self._contender.encode(one)
            seconds.append(time.perf_counter() - begin)
        return {"seconds": seconds}

    def time_all(self, key: str) -> dict[str, Any]:
        """Seconds of one call with all texts."""
        texts = self._texts[key]
        begin = time.perf_counter()
        self._contender.encode(texts)
        return {"seconds": time.perf_counter() - begin}

    def time_calls(self, key: str, calls: int) -> dict[str, Any]:
        """Seconds of so many calls with all texts."""
        return {"seconds": [self.time_all(key)["seconds"] for _ in range(calls)]}

    def memory(self) -> dict[str, Any]:
        """The most memory that this process has held so far, in bytes; None where that is not all of it."""
        from sestina._bench.machine import peak_memory

        return {"bytes": None if self._contender.processes > 1 else peak_memory()}

    def roofline(self, **arguments: Any) -> dict[str, Any]:
        """See `_roofline.gemm_seconds`."""
        from sestina._bench.roofline import gemm_seconds

        return gemm_seconds(**arguments)

    def profile(self, setting: dict[str, Any], key: str) -> dict[str, Any]:
        """See `_profile.operators`."""
        from sestina._bench.profile import operators

        return operators(_setting(setting), self._texts[key])

    def _choose(self, setting: dict[str, Any]) -> None:
        chosen = _setting(setting)
        self._contender = contender_class(chosen.entry.peer)(chosen)


def _setting(values: dict[str, Any]) -> Setting:
    return Setting(**{**values, "entry": Entry(**values["entry"])})


def main() -> None:
    """Serve until the parent closes its end."""
    # Peers print; what they print must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.addaudithook(_no_network)
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("op"))(**request)
        except Exception as error:  # noqa: BLE001  a peer may fail in any way; the others go on
            if os.environ.get("SESTINA_DEBUG"):
                import traceback

                traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
