"""What the embedded bundle gives on a processor, as JSON, and the comparison of two such reports.

    check_arm.py report                   run by an interpreter of the processor in question
    check_arm.py compare HERE THERE       exit code 1 where one of them fails or the two disagree

`run.sh` runs the first on this machine and on an emulated Arm processor, then the second.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

REFERENCE = "the Transformer is an innovative NLP model !"
TOKENS = "the | transform | er | is | an | innovative | n | l | p | model | !"
TEXTS = [
    REFERENCE,
    "a",
    "",
    "naïve 注意力",
    "A cat sits.",
    "The kitten is sitting.",
    "Stocks fell.",
    "tokens " * 60,
]
COMMANDS = (
    ["verify", "--json"],
    ["inspect"],
    ["tokenize", "one text"],
    ["similar", "a", "b"],
    ["encode", "a"],
)
# Processors agree in every integer product, and in floats but for the last bit (a multiplication and an
# addition are fused here and not there). Where such a bit decides how an activation is rounded to int8, a
# vector changes: by 0.0018 at most, to a cosine of 0.99994, over the 39 goldens, x86-64 against Arm.
LEAST_COSINE = 0.9995


def report() -> dict[str, Any]:
    """Verify the embedded bundle, encode alone and in a batch, run the commands; no socket, nothing written."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
    from check_slim import FORBIDDEN, block

    for name in FORBIDDEN:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.addaudithook(block)
    began = time.perf_counter()
    import numpy as np
    import onnxruntime

    import sestina
    from sestina.__main__ import main as command
    from sestina._providers.choice import has_fast_int8

    with sestina.load(threads=1) as encoder:
        loaded = time.perf_counter()
        verification = encoder.verify()
        verified = time.perf_counter()
        together = encoder.encode(TEXTS)
        alone = np.stack([encoder.encode(text) for text in TEXTS])
        precision = encoder.report().precision
    failed = [golden.name for golden in verification.goldens if not golden.passed]
    codes = {}
    for arguments in COMMANDS:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            codes[" ".join(arguments)] = command(arguments)
        codes[" ".join(arguments)] |= not output.getvalue()
    with contextlib.redirect_stdout(io.StringIO()) as output:
        command(["tokenize", REFERENCE])
    return {
        "machine": platform.machine(),
        "onnxruntime": onnxruntime.__version__,
        "precision": precision,
        "fast_int8": has_fast_int8(),
        "goldens": len(verification.goldens),
        "failed": failed,
        "worst_error": verification.worst_error,
        "tolerance": verification.tolerance,
        "alone_is_batched": bool(np.array_equal(together, alone)),
        "tokens": output.getvalue().partition("\n")[0],
        "codes": codes,
        "load_s": loaded - began,
        "verify_s": verified - loaded,
        "vectors": base64.b64encode(alone.astype("<f4").tobytes()).decode(),
    }


def faults(made: dict[str, Any]) -> list[str]:
    """What is wrong with one report by itself."""
    found = []
    if made["failed"] or not made["goldens"]:
        found.append(f"goldens failed: {', '.join(made['failed']) or 'there are none'}")
    if not made["worst_error"] <= made["tolerance"]:
        found.append(f"worst error {made['worst_error']:.3g} over the tolerance {made['tolerance']:g}")
    if made["tokens"] != TOKENS:
        found.append(f"the reference is tokenized as {made['tokens']!r}")
    if not made["alone_is_batched"]:
        found.append("a text alone and in a batch has two vectors")
    if not made["fast_int8"] or made["precision"] != "int8":
        found.append(f"int8 was not taken for fast here: {made['precision']}")
    found += [f"sestina {command} gave {code}" for command, code in made["codes"].items() if code]
    return found


def difference(here: dict[str, Any], there: dict[str, Any]) -> tuple[float, float]:
    """Largest absolute difference and least cosine of the vectors of two reports."""
    import numpy as np

    one, other = (
        np.frombuffer(base64.b64decode(made["vectors"]), "<f4").reshape(len(TEXTS), -1)
        for made in (here, there)
    )
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = (one * other).sum(axis=1)[norms != 0] / norms[norms != 0]
    zeros_agree = np.array_equal(one.any(axis=1), other.any(axis=1))  # a text without tokens has no direction
    return float(np.abs(one - other).max()), float(cosines.min(initial=1.0)) if zeros_agree else 0.0


def compare(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """What is wrong with two reports, each by itself and beside the other."""
    found = [f"{made['machine']}: {fault}" for made in (here, there) for fault in faults(made)]
    largest, cosine = difference(here, there)
    if not cosine >= LEAST_COSINE or not largest <= here["tolerance"]:
        found.append(f"vectors differ by {largest:.3g}, least cosine {cosine:.6f}")
    return found


def main() -> int:
    """Run one of the two modes."""
    if sys.argv[1:] == ["report"]:
        print(json.dumps(report()))
        return 0
    here, there = (json.loads(Path(name).read_text()) for name in sys.argv[2:4])
    for made in (here, there):
        print(
            f"{made['machine']}: {made['precision']}, fast int8 {'yes' if made['fast_int8'] else 'no'}, "
            f"{made['goldens'] - len(made['failed'])} of {made['goldens']} goldens, worst error "
            f"{made['worst_error']:.6f} (tolerance {made['tolerance']:g}), onnxruntime {made['onnxruntime']}, "
            f"load {made['load_s']:.1f} s, verify {made['verify_s']:.1f} s"
        )
    largest, cosine = difference(here, there)
    apart = "bit-equal" if largest == 0 else f"largest difference {largest:.2g}"
    print(f"vectors: {apart}, least cosine {cosine:.6f}")
    found = compare(here, there)
    for fault in found:
        print(f"FAILED: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
