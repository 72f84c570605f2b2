"""Whether threads can be started, tried before onnxruntime does.

Where its first starts and a later one does not, as in a container with a limit of processes, it waits for
ever for those that never were, and no signal ends that.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock, get_native_id, start_new_thread

from sestina._errors import ProviderError
from sestina._handlers import let_through
from sestina._process.native import ending

_TASK = "/proc/self/task"
_GONE_S = 1.0


def check_startable(count: int) -> None:
    """Start so many threads, all at once, and wait until they are gone.

    Raises:
        ProviderError: Where one of them cannot be started.
    """
    if count < 1 or ending():  # when Python starts none, and onnxruntime does
        return
    gate, begun, started = allocate_lock(), list[int](), 0

    def wait() -> None:
        begun.append(get_native_id())
        with gate:
            pass

    gate.acquire()
    try:
        for _ in range(count):
            start_new_thread(wait, ())
            started += 1
    except (RuntimeError, MemoryError) as error:
        let_through(error)
        raise ProviderError(
            f"this process can start {started} of the {count} threads that onnxruntime is to have besides: "
            "give fewer with threads=, or raise its limit of processes or of memory"
        ) from None
    finally:
        gate.release()
        _wait_for(begun, started)


def _wait_for(begun: list[int], count: int) -> None:
    """Until the system has taken away all of them: what takes their places may need what they had."""
    until = time.monotonic() + _GONE_S
    while time.monotonic() < until:
        if len(begun) == count and not any(os.path.exists(f"{_TASK}/{number}") for number in begun):
            return
        time.sleep(0.0002)
