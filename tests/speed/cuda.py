"""A bundle on CUDA beside sentence-transformers there: `python tests/speed/cuda.py BUNDLE CHECKPOINT`.

The same texts from str to vectors on the host, each sorted by length by whoever encodes it; PyTorch in float16 and in
bfloat16 with scaled_dot_product_attention. In turn; ratios of medians with the quartiles of the rounds', above 1 where the
bundle is faster. Vectors are compared before anything is timed. No test: a figure is worth something on a quiet machine alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent / name) for name in ("runtime", "model", "export", "tests")]

import numpy as np  # noqa: E402

import sestina  # noqa: E402
from _cuda import rehearsed  # noqa: E402
from sestina._bench.corpus import passages  # noqa: E402
from sestina._bench.statistics import median, ratio  # noqa: E402

# Texts at once, and about how many words each has; None: as they come, of all lengths.
SHAPES: tuple[tuple[int, int | None], ...] = (
    (1, 8),
    (1, 100),
    (32, 100),
    (256, 16),
    (256, 100),
    (8192, None),
)
_BATCHES = (128, 512)  # of PyTorch, for many texts: the faster counts
_LEAST_COSINE = 0.999
Encode = Callable[[list[str]], Any]


def chosen(count: int, words: int | None, most: int) -> list[str]:
    """So many texts, of about so many words."""
    every = passages(most)
    if words is None:
        return every[:count]
    pool = " ".join(every).split()
    return [" ".join(pool[at * words : (at + 1) * words]) for at in range(count)]


def pytorch(folder: str, dtype: str, device: str) -> Mapping[str, Encode]:
    """By batch size, what encodes with sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer

    keywords = {"dtype": getattr(torch, dtype), "attn_implementation": "sdpa"}
    model = SentenceTransformer(folder, device=device, model_kwargs=keywords, local_files_only=True)

    def encode(size: int) -> Encode:
        return lambda texts: model.encode(texts, batch_size=size, show_progress_bar=False)

    return {f"{dtype}, batches of {size}": encode(size) for size in _BATCHES}


def in_turn(encoders: Mapping[str, Encode], texts: list[str], seconds: float) -> dict[str, list[float]]:
    """The seconds of each, in every round."""
    found: dict[str, list[float]] = {name: [] for name in encoders}
    for encode in encoders.values():
        encode(texts)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or min(map(len, found.values())) < 3:
        for name, encode in encoders.items():
            begun = time.perf_counter()
            encode(texts)
            found[name].append(time.perf_counter() - begun)
    return found


def cosine(one: Any, other: Any) -> float:
    """The least of all rows."""
    one, other = (np.asarray(each, dtype=np.float64) for each in (one, other))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(1) / lengths).min())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("bundle")
    parser.add_argument("checkpoint", help="a folder of sentence-transformers, of the same encoder")
    parser.add_argument("--seconds", type=float, default=36.0, help="for all shapes together")
    parser.add_argument("--rehearsal", action="store_true", help="the CPU plays the part of CUDA")
    parser.add_argument("--most", type=int, default=8192, help="texts of the largest shape")
    parser.add_argument("--json", help="a file for the figures")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    on_gpu = not arguments.rehearsal
    if arguments.rehearsal:
        rehearsed()
    ours = sestina.load(arguments.bundle, provider="cuda", strict=True)
    report = ours.report()
    print(
        f"{report.variant} on {report.provider}, {report.share:.0%}, onnxruntime {report.onnxruntime}",
        flush=True,
    )
    begun = time.perf_counter()
    encoders: dict[str, Encode] = {"sestina": lambda texts: ours.encode(texts, on_truncate="ignore")}
    for dtype in ("float16", "bfloat16") if on_gpu else ("float32",):
        encoders |= pytorch(arguments.checkpoint, dtype, "cuda" if on_gpu else "cpu")
    import torch

    device = torch.cuda.get_device_name() if on_gpu else "a rehearsal on the CPU"
    print(f"{device}, torch {torch.__version__}, loaded in {time.perf_counter() - begun:.1f} s", flush=True)
    sample = chosen(256, None, 256)
    wanted = encoders["sestina"](sample)
    for name, encode in encoders.items():
        print(f"  least cosine to sestina of {name}: {cosine(wanted, encode(sample)):.6f}", flush=True)
        assert cosine(wanted, encode(sample)) > (_LEAST_COSINE if "bfloat16" not in name else 0.99), name
    figures = []
    for count, words in SHAPES:
        texts = chosen(min(count, arguments.most), words, arguments.most)
        taking = (
            encoders
            if count > _BATCHES[0]
            else {name: encode for name, encode in encoders.items() if f"of {_BATCHES[1]}" not in name}
        )
        seconds = in_turn(taking, texts, arguments.seconds / len(SHAPES))
        figures.append({"texts": len(texts), "words": words, "seconds": dict(seconds)})
        mine = seconds.pop("sestina")
        told = [
            f"{len(texts)} texts of {words or 'mixed'} words: sestina {median(mine) * 1e3:.2f} ms, {len(mine)} rounds"
        ]
        for name, other in seconds.items():
            faster = ratio([[each] for each in other], [[each] for each in mine])
            told.append(
                f"{name} {median(other) * 1e3:.2f} ms, ratio {faster.value:.2f} ({faster.low:.2f} to {faster.high:.2f})"
            )
        print("; ".join(told), flush=True)
    if arguments.json:
        document = {
            "device": device,
            "torch": torch.__version__,
            "onnxruntime": report.onnxruntime,
            "figures": figures,
        }
        Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
