"""How many threads are worth running: physical cores that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

from sestina._handlers import let_through

_CPU_DIRS = "/sys/devices/system/cpu"
_CGROUP_ROOT = "/sys/fs/cgroup"
_OWN_CGROUPS = "/proc/self/cgroup"


def usable_cores() -> int:
    """OMP_NUM_THREADS where that is set, else physical cores within affinity mask and cgroup CPU quota.

    At least 1, and at most the processors that this process may use.

    Two hyper-threads of one core share its vector units, so a second thread there only adds contention.
    """
    allowed = _affinity()
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # of a list the outermost
    if asked.isascii() and asked.isdigit() and len(asked) < 9 and int(asked):
        return min(int(asked), len(allowed))
    cores = len({_core_of(cpu) for cpu in allowed})
    quota = _cgroup_quota()
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _core_of(cpu: int) -> str:
    try:
        return _read(_CPU_DIRS, f"cpu{cpu}", "topology", "thread_siblings_list").strip()
    except OSError as error:
        let_through(error)
        return f"cpu {cpu}"  # not Linux, or no topology: count every logical CPU


def _cgroup_quota() -> float | None:
    """CPUs that the control groups of this process grant, the least of all; None where no limit is set."""
    quotas = [quota for folder in _cgroup_folders() if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def _cgroup_folders() -> Iterator[str]:
    """Where limits of this process may be written: its own groups and all that they lie in.

    Version 2 has one tree for everything, version 1 a tree for each kind of limit. Seen from a container
    the path of the group may not exist below the mount; the mount itself is then the container's group.
    """
    yield _CGROUP_ROOT
    yield os.path.join(_CGROUP_ROOT, "cpu")
    try:
        lines = _read(_OWN_CGROUPS).splitlines()
    except OSError as error:
        let_through(error)
        return  # not Linux
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        names = [name for name in path.split("/") if name not in ("", ".")]
        if not path.startswith("/") or ".." in names:
            continue
        if not controllers or "cpu" in controllers.split(","):
            root = os.path.join(_CGROUP_ROOT, "cpu") if controllers else _CGROUP_ROOT
            yield from (os.path.join(root, *names[:depth]) for depth in range(len(names), -1, -1))


def _quota(folder: str) -> float | None:
    try:
        limit, period = _read(folder, "cpu.max").split()
    except (OSError, ValueError) as error:
        let_through(error)
        try:
            limit = _read(folder, "cpu.cfs_quota_us")
            period = _read(folder, "cpu.cfs_period_us")
        except (OSError, ValueError) as other:
            let_through(other)
            return None
    try:
        quota = int(limit) / int(period)
    except (ValueError, ZeroDivisionError) as error:
        let_through(error)
        return None  # "max"
    return quota if quota > 0 else None  # version 1 says -1 for no limit


def _read(*parts: str) -> str:
    with open(os.path.join(*parts), encoding="utf-8", errors="replace") as stream:
        return stream.read()
