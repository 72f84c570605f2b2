"""`python -m sestina.integrations.ray` beside `sestina encode`, on the same cores: `python tests/speed/cluster.py`.

Both from Parquet to Parquet, whole processes with their starts, in turn, as many threads each. No test: a figure is
worth something on a quiet machine alone, and Ray's start of some seconds counts for less the longer the run. What is
said of processors' seconds, all processes of each command together, is worth something on a loaded one too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_RUNTIME = Path(__file__).resolve().parents[2] / "runtime"
_WORDS = "the central bank of plants turned light into sugar while a cat slept on interest rates and mats"


def write(path: Path, count: int, words: int) -> None:
    """Texts of 1 to 2 * words - 1 words, all different."""
    draw = np.random.default_rng(7)
    vocabulary = _WORDS.split()
    texts = [
        " ".join([*draw.choice(vocabulary, draw.integers(0, 2 * words - 1)), str(at)]) for at in range(count)
    ]
    pq.write_table(pa.table({"id": np.arange(count), "text": texts}), path, row_group_size=4096)


def timed(module: str, *arguments: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a process, and what it said."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(_RUNTIME),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",  # else what else runs here slows Ray's workers alone
    }
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", module, *arguments, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    processors: dict[str, float] = {}
    watch = threading.Thread(target=_follow, args=(process, processors))
    watch.start()
    output, errors = process.communicate()
    seconds = time.monotonic() - begun
    watch.join()
    assert process.returncode == 0, errors
    return seconds, {**json.loads(output), "processors": sum(processors.values())}


def _follow(process: subprocess.Popen[str], processors: dict[str, float]) -> None:
    """Seconds of each process of a session, until its leader ends; most of Ray's are nobody's children."""
    while process.poll() is None:
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                told = entry.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(told[3]) == process.pid:
                processors[entry.parent.name] = (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=40, help="in the middle")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {"encode": [], "ray": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "texts.parquet"
        write(source, args.texts, args.words)
        for at in range(args.rounds):
            load = os.getloadavg()[0]
            alone, said = timed(
                "sestina", "encode", "--input", str(source), "--column", "text",
                "--output", str(folder / f"alone-{at}.parquet"), "--threads", str(args.threads),
            )  # fmt: skip
            with_ray, told = timed(
                "sestina.integrations.ray", str(source), str(folder / f"ray-{at}"), "--column", "text", "--id", "id",
                "--address", "local", "--encoder-cpus", str(args.threads), "--quiet",
            )  # fmt: skip
            assert told["encoders"] == 1
            seconds["encode"].append(alone)
            seconds["ray"].append(with_ray)
            print(
                f"round {at + 1}: encode {alone:.1f} s ({said['processors']:.1f} of processors), "
                f"ray {with_ray:.1f} s ({told['processors']:.1f} of processors; "
                f"{told['tokens_per_encoder_second']:,.0f} tokens/s inside its encoder); load {load:.1f}",
                flush=True,
            )
    ratio = median(seconds["encode"]) / median(seconds["ray"])
    print(
        f"{args.texts:,} texts, {args.threads} threads: ray has {ratio:.0%} of encode's throughput (medians)"
    )


if __name__ == "__main__":
    main()
