"""How many threads are worth running: physical cores that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CPU_DIRS = Path("/sys/devices/system/cpu")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Physical cores within the affinity mask and the cgroup CPU quota; at least 1.

    Two hyper-threads of one core share its vector units, so a second thread there only adds contention.
    """
    allowed = _affinity()
    cores = len({_core_of(cpu) for cpu in allowed})
    quota = _cgroup_quota()
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _core_of(cpu: int) -> str:
    try:
        return (_CPU_DIRS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return f"cpu {cpu}"  # not Linux, or no topology: count every logical CPU


def _cgroup_quota() -> float | None:
    """CPUs that the control group grants, or None where it sets no limit (version 2, then version 1)."""
    try:
        limit, period = (_CGROUP_ROOT / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit = (_CGROUP_ROOT / "cpu" / "cpu.cfs_quota_us").read_text()
        period = (_CGROUP_ROOT / "cpu" / "cpu.cfs_period_us").read_text()
        return int(limit) / int(period) if int(limit) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
