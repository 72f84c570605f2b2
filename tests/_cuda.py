"""What is tried on CUDA: a tiny encoder of every kind, its bundles, and PyTorch's float32 vectors beside them.

A GPU is often on a machine that has no exporter of ours. `python tests/_cuda.py FOLDER` makes all of it, and there
SESTINA_TESTS_MADE names that folder.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import _made
from _families import TRAITS, family_checkpoint
from _tiny import LINES, TEXTS, WORDS

# Of each family what its graph must hold to; head widths of 64, for which CUDA has kernels of their own; every pooling.
CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{family: (family, {}) for family in TRAITS},
    "bert, heads of 64": ("bert, distilbert", {"d_model": 128, "n_heads": 2, "d_ff": 256}),
    "mpnet, heads of 64": ("mpnet", {"d_model": 128, "n_heads": 2, "d_ff": 256}),
    "modernbert, heads of 64": ("modernbert", {"d_model": 128, "n_heads": 2, "d_ff": 192}),
    "qwen3, heads of 64": ("qwen3", {"d_model": 64, "d_k": 64, "d_ff": 96}),
    "bert, cls": ("bert, distilbert", {"pooling": "cls"}),
    "bert, max": ("bert, distilbert", {"pooling": "max"}),
    "bert, mean_sqrt_len_tokens": ("bert, distilbert", {"pooling": "mean_sqrt_len_tokens"}),
    "bert, weightedmean": ("bert, distilbert", {"pooling": "weightedmean"}),
    "bert, lasttoken": ("bert, distilbert", {"pooling": "lasttoken"}),
    "bert, another seed": ("bert, distilbert", {"seed": 1}),
}
# Tasks beside embedding, with how many labels.
HEADS: Mapping[str, int] = {"rerank": 1, "classify": 3, "tag": 5, "sparse": 0, "multi-vector": 0}
# The graph for CUDA and the CPU's, which it may take in its place; and the portable one, alone, so that it is taken.
FLOATS = ("cuda", "cpu")
PORTABLE = ("portable",)
# Of all lengths up to the limit, and beyond it.
PROSE = [
    *TEXTS,
    *LINES,
    *(
        " ".join(WORDS[(at * 7 + step * (at + 1)) % len(WORDS)] for step in range(at))
        for at in range(1, 40, 2)
    ),
]


class Made(NamedTuple):
    """A case as it lies there.

    Attributes:
        bundle: Exported.
        texts: What was encoded.
        reference: (len(texts), d) float32, by PyTorch in float32, one text at a time.
    """

    bundle: Path
    texts: list[str]
    reference: np.ndarray[Any, np.dtype[np.float32]]


def rehearsed() -> None:
    """Let the CPU play the part of CUDA, in this process."""
    from sestina._providers.table import PROVIDERS

    PROVIDERS["cuda"] = PROVIDERS["cuda"]._replace(ep=PROVIDERS["cpu"].ep, bound="cpu", options=())


def ready(first: Callable[[], object]) -> Iterator[None]:
    """Of a fixture: only where CUDA starts, with this, or is to, or where the CPU is to play its part."""
    import pytest

    import sestina
    from sestina._providers.attached_provider import attach
    from sestina._providers.request import ProviderRequest
    from sestina._providers.table import PROVIDERS

    mode, there = os.environ.get("SESTINA_TESTS_CUDA", ""), PROVIDERS["cuda"]
    assert mode in ("", "required", "rehearsal")
    if mode == "rehearsal":
        rehearsed()
    if not mode:
        try:
            attach(ProviderRequest(there, {}))  # before anything is made
            first()
        except sestina.ProviderError as error:
            if any(why in str(error) for why in ("built without it", "cannot start it")):
                pytest.skip(f"NOTHING OF CUDA IS PROVED HERE: {error}")
    yield
    PROVIDERS["cuda"] = there


def tell(line: str) -> None:
    """What was measured, on standard output and at the end of the file that SESTINA_CUDA_FACTS names."""
    print(f"\n{line}")
    if path := os.environ.get("SESTINA_CUDA_FACTS"):
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


def has_portable(case: str) -> bool:
    """Whether the family has graphs of static shapes."""
    return not CASES[case][0].startswith("deberta")


def made(case: str, targets: tuple[str, ...]) -> Made:
    """A case, made if it is not there yet."""
    family, changes = CASES[case]

    def make(path: Path) -> None:
        from sestina_export import export

        checkpoint = family_checkpoint(family, **changes)
        path.mkdir()
        precisions = ("fp16", "fp32") if targets == FLOATS else None
        export(checkpoint, path / "bundle.sestina", targets=targets, precisions=precisions)
        (path / "texts.json").write_text(json.dumps(PROSE), "utf-8")
        np.save(path / "reference.npy", np.concatenate([checkpoint.encode([text]) for text in PROSE]))

    path = _made.kept(["cuda", family, dict(changes), list(targets), PROSE], "case", make)
    texts = json.loads((path / "texts.json").read_text("utf-8"))
    return Made(path / "bundle.sestina", texts, np.load(path / "reference.npy"))


def made_head(task: str) -> Path:
    """The bundle of a tiny model with such a head, for CUDA and for the CPU, made if it is not there yet."""

    def make(path: Path) -> None:
        from _heads import head_checkpoint, late_checkpoint
        from sestina_export import export

        late = task == "multi-vector"
        checkpoint = late_checkpoint() if late else head_checkpoint(task, labels=HEADS[task] or 1)
        path.mkdir()
        export(checkpoint, path / "bundle.sestina", targets=FLOATS, precisions=("fp16", "fp32"))

    return _made.kept(["cuda head", task, HEADS[task]], "case", make) / "bundle.sestina"


def made_outputs() -> Path:
    """The bundle of a tiny folder as BGE-M3's, of three outputs, for CUDA and for the CPU, made if it is not there yet."""

    def make(path: Path) -> None:
        from _m3 import m3_folder
        from sestina_export import export

        path.mkdir()
        folder = m3_folder(path / "folder", seed=7)  # heads of some seeds magnify what half precision leaves
        export(folder, path / "bundle.sestina", targets=FLOATS, precisions=("fp16", "fp32"))

    return _made.kept(["cuda outputs", 7], "case", make) / "bundle.sestina"


def main() -> None:
    os.environ["SESTINA_TESTS_MADE"] = str(Path(sys.argv[1]).resolve())
    for case in CASES:
        for targets in (FLOATS, PORTABLE)[: 1 + has_portable(case)]:
            print(case, targets, made(case, targets).bundle, flush=True)
    for task in HEADS:
        print(task, made_head(task), flush=True)
    print("several outputs", made_outputs(), flush=True)


if __name__ == "__main__":
    main()
