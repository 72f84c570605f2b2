"""An encoder of real size, larger than a file of protobuf: `python tests/large [--precision fp32 int8] [--size NAME]`.

A folder with weights from a seed is made, exported, verified and encoded, each step in a process of its own, and what
each held at most is printed in copies of the float32 weights. More than three is an error. `make test-large`.

What counts is memory that the system cannot give back: a process's anonymous pages (RssAnon), looked at a hundred
times a second. Pages of mapped files (RssFile: the checkpoint's shards, the bundle's weights) are the page cache's, which
any number of processes share and which is dropped where memory is short; they are printed beside, as is the peak that
the system states of both together (ru_maxrss).
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS / "large"), str(_TESTS)]
sys.path[:0] = [str(_TESTS.parent / name) for name in ("runtime", "model", "export")]

MOST = 3.0  # copies
STEPS = ("export", "verify", "load", "one", "corpus")
_WORDS = [
    "the",
    "transformer",
    "attention",
    "relates",
    "tokens",
    "of",
    "a",
    "sequence",
    "to",
    "one",
    "another",
    "model",
    "text",
    "numbers",
]


def texts(count: int) -> list[str]:
    """Of 3 to 60 words, the same on every machine."""
    return [
        " ".join(_WORDS[(at * 7 + n * n) % len(_WORDS)] for n in range(3 + at * 13 % 58))
        for at in range(count)
    ]


class Watch:
    """Looks at this process's memory while a block runs."""

    def __enter__(self) -> Watch:
        self.anonymous = self.mapped = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.begun = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.begun
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            status = Path("/proc/self/status").read_text()
            anonymous, mapped = (
                int(re.search(rf"{kind}:\s+(\d+)", status)[1]) << 10  # type: ignore[index]
                for kind in ("RssAnon", "RssFile")
            )
            self.anonymous, self.mapped = max(self.anonymous, anonymous), max(self.mapped, mapped)


def step(name: str, folder: Path, bundle: Path, precision: str) -> dict[str, Any]:
    """One step, in this process."""
    found: dict[str, Any] = {}
    with Watch() as watch:
        if name == "export":
            import sestina_export

            result = sestina_export.export(folder, bundle, precisions=[precision], progress=print)
            assert result.verification.passed
            (variant,) = result.manifest.variants
            found = {"version": result.manifest.version, "files": [list(e) for e in variant.all_files]}
        else:
            import sestina

            with sestina.load(bundle, precision=precision) as encoder:
                if name == "verify":
                    outcome = encoder.verify()
                    assert outcome.passed
                    found = {"goldens": len(outcome.goldens), "worst": outcome.worst_error}
                elif name == "one":
                    found = {"norm": float((encoder.encode(texts(1)[0]) ** 2).sum())}
                elif name == "corpus":
                    many = texts(64)
                    begun = time.perf_counter()
                    vectors = encoder.encode(many)
                    found = {"texts": len(many), "per_second": len(many) / (time.perf_counter() - begun)}
                    assert vectors.shape[0] == len(many)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    memory = {"anonymous": watch.anonymous, "mapped": watch.mapped, "both": peak}
    return {"step": name, "seconds": watch.seconds, **memory, **found}


def run(size: str, precisions: list[str], place: Path) -> int:
    """Every step, and what it held. Returns: an exit code."""
    import seeded

    folder = place / size
    if not folder.exists():
        print(f"making {folder}", flush=True)
        seeded.SIZES[size](folder)
    weights = seeded.float32_bytes(folder)
    print(f"{size}: {weights / 1e9:.2f} GB in float32", flush=True)
    over = False
    for precision in precisions:
        bundle = place / f"{size}-{precision}.sestina"
        for name in STEPS:
            if name == "export" and bundle.exists():
                continue
            command = [sys.executable, __file__, "--step", name, str(folder), str(bundle), precision]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                print(done.stdout)
                return done.returncode
            found = json.loads(done.stdout.splitlines()[-1])
            copies = {kind: found.pop(kind) / weights for kind in ("anonymous", "mapped", "both")}
            over |= copies["anonymous"] > MOST
            held = ", ".join(f"{kind} {count:.2f}" for kind, count in copies.items())
            print(
                f"{precision} {found.pop('step')}: {found.pop('seconds'):.1f} s; copies: {held}; {found}",
                flush=True,
            )
    if over:
        print(f"more than {MOST:g} copies of the weights were held")
    return int(over)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/large")
    parser.add_argument("--size", default="xlm-roberta-large")
    parser.add_argument("--precision", nargs="+", default=["fp32", "int8"], choices=["fp32", "int8"])
    parser.add_argument("--keep", type=Path, help="where folder and bundles stay, and are found again")
    parser.add_argument("--step", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        name, folder, bundle, precision = asked.step
        print(json.dumps(step(name, Path(folder), Path(bundle), precision)))
        return 0
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
        return run(asked.size, asked.precision, asked.keep)
    with tempfile.TemporaryDirectory() as place:
        return run(asked.size, asked.precision, Path(place))


if __name__ == "__main__":
    sys.exit(main())
