"""The ceiling of working memory holds on the encoder that comes with Sestina, from the least it allows."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import sestina
from _unmeasured import unmeasured

_SLACK_MB = 2  # of the allocators, which take from the system in pieces
_PEAK = """
import random, sys, sestina
encoder = sestina.load(max_memory_mb=int(sys.argv[1]) or None, threads=2)
words = "the model of a transformer embeds each sentence into one vector and compares them by angle".split()
draw = random.Random(0)
texts = {
    "short": lambda: [f"{n} {' '.join(draw.choices(words, k=4))}" for n in range(1500)],
    "mixed": lambda: [f"{n} {' '.join(draw.choices(words, k=draw.choice([1, 5, 30, 200])))}" for n in range(150)],
    "odd": lambda: [f"{n} " + "👩‍👩‍👧‍👦é注意 " * draw.choice([1, 9, 90]) for n in range(120)],
}[sys.argv[2]]()
encoder.encode(["a", "b c"])
try:
    open("/proc/self/clear_refs", "w").write("5")  # the peak is counted from here
except OSError:
    sys.exit("skip")
def status(name):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(name))
before, weights = status("VmRSS"), status("RssFile")
for _ in encoder.stream(texts, on_truncate="ignore"): pass
# Weights are pages of a file, read where they are first used: no working memory.
print(status("VmHWM") - before - (status("RssFile") - weights))
"""


def peak_mb(ceiling: int, work: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(ceiling), work],
        capture_output=True,
        text=True,
        timeout=300,
        env=unmeasured(),
    )
    if done.stderr.endswith("skip\n"):
        pytest.skip("this system does not let a process forget its peak")
    assert not done.returncode, done.stderr
    return float(done.stdout)


def least_mb() -> int:
    with pytest.raises(sestina.OptionError) as caught:
        sestina.load(max_memory_mb=1)
    return int(re.search(r"needs (\d+): allow that much", str(caught.value))[1])  # type: ignore[index]


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
@pytest.mark.parametrize("work", ["short", "mixed", "odd"])
def test_the_ceiling_holds(work: str) -> None:
    least = least_mb()
    assert least < 16
    for ceiling in (least, 24):
        assert peak_mb(ceiling, work) <= ceiling + _SLACK_MB


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_without_a_ceiling_more_is_taken() -> None:
    """The control: it is the ceiling that keeps the peak low, not the work."""
    assert peak_mb(0, "short") > 24 + _SLACK_MB
