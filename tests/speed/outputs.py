"""What each form of vectors finds of what float32 finds: `python tests/speed/outputs.py --corpus FILE --queries FILE`.

A file has one text a line. Without them the texts are the demo's, of which every tenth asks for others: a
sign of what to expect. The encoder is the one in the box unless --bundle names another. Recall@10 is the share of the ten
nearest by float32 that are among the ten by a form. No test: how much is lost is of an encoder and a corpus.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT / "runtime"))

import numpy as np  # noqa: E402

import sestina  # noqa: E402
from sestina import Corpus, Matches  # noqa: E402

K = 10
Search = Callable[[Any], Matches]


def demo_texts() -> list[str]:
    """Python's language reference, a paragraph a line."""
    told = subprocess.run([sys.executable, _ROOT / "demo" / "passages.py"], capture_output=True, check=True)
    return told.stdout.decode("utf-8").splitlines()


def of_a_file(path: Path) -> list[str]:
    return list(dict.fromkeys(line for line in path.read_text("utf-8").splitlines() if line.strip()))


def by_dimension(vectors: Any) -> Callable[[Any], Any]:
    """int8 by the ranges of the corpus in each dimension, as sentence-transformers' quantize_embeddings makes it."""
    low, high = vectors.min(0), vectors.max(0)
    step = (high - low) / 255

    def quantised(rows: Any) -> Any:
        return np.clip((rows - low) / step - 128, -128, 127).astype(np.int8)

    return quantised


def forms(vectors: Any) -> dict[str, tuple[int, Search]]:
    """Of each form the bytes of a vector, and its search."""
    width = vectors.shape[1]
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    levels = np.rint(vectors / np.where(largest, largest, 1) * 127).astype(np.int8)
    int8, half = Corpus(levels), Corpus(vectors.astype(np.float16))
    bits = Corpus(np.packbits(vectors > 0, axis=1))
    ranges = by_dimension(vectors)
    ranged, fixed = Corpus(ranges(vectors)), Corpus(np.rint(vectors * 127).astype(np.int8))
    packed = -(-width // 8)
    found: dict[str, tuple[int, Search]] = {
        "float16": (2 * width, lambda queries: half.search(queries, K)),
        "int8": (width, lambda queries: int8.search(queries, K)),
        "int8, ranges by dimension": (width, lambda queries: ranged.search(ranges(queries), K)),
        "int8, one scale for all": (width, lambda queries: fixed.search(queries, K)),
        "binary": (packed, lambda queries: bits.search(queries, K)),
    }
    for more in (4, 10, 40):
        found[f"binary, {more * K} rescored by their bits"] = (
            packed,
            lambda queries, more=more: bits.rescore(queries, bits.search(queries, more * K), K),
        )
        found[f"binary, {more * K} rescored by int8"] = (
            packed + width,
            lambda queries, more=more: int8.rescore(queries, bits.search(queries, more * K), K),
        )
    return found


def recall(found: Matches, wanted: Matches) -> float:
    shared = [
        len(set(a) & set(b)) / len(b)
        for a, b in zip(found.indices.tolist(), wanted.indices.tolist(), strict=True)
    ]
    return float(np.mean(shared))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, metavar="FILE")
    parser.add_argument("--queries", type=Path, metavar="FILE")
    parser.add_argument("--bundle", type=Path, metavar="DIR")
    parser.add_argument("--dimensions", type=int, metavar="N")
    args = parser.parse_args(argv)
    if (args.corpus is None) != (args.queries is None):
        parser.error("--corpus and --queries go together")
    if args.corpus is None:
        texts = demo_texts()
        documents, queries = [text for at, text in enumerate(texts) if at % 10], texts[::10]
    else:
        documents, queries = of_a_file(args.corpus), of_a_file(args.queries)
    with sestina.load(args.bundle) as encoder:
        options = {"dimensions": args.dimensions, "on_truncate": "ignore"}
        vectors = encoder.encode_document(documents, **options)  # type: ignore[arg-type]
        asked = encoder.encode_query(queries, **options)  # type: ignore[arg-type]
    wanted = Corpus(vectors).search(asked, K)
    print(
        f"{len(documents)} texts, {len(queries)} queries, {vectors.shape[1]} dimensions, recall@{K} of float32's"
    )
    for name, (size, search) in forms(vectors).items():
        begun = time.perf_counter()
        found = search(asked)
        spent = (time.perf_counter() - begun) / len(asked) * 1000
        print(f"{name:34} {size:5} bytes  {recall(found, wanted):6.1%}  {spent:7.2f} ms a query")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
