"""QNN, proved on the x86-64 HTP simulator of onnxruntime-qnn: placed whole, and near PyTorch, in every bucket.

Each measurement is a process of its own. CI runs one text of every bucket, from the corpus where it is at hand: the
simulator takes up to half a minute for one. SESTINA_QNN_TEXTS=200 runs as many as that. Needs onnxruntime-qnn (`pip install --no-deps onnxruntime-qnn`), skips without.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from _corpus import DATA, passages
from _trained import NAMES, trained_checkpoint
from sestina._bench.corpus import passages as generated
from sestina._bundle.manifest import Manifest
from sestina._bundle.manifest_reader import read
from sestina_export._proof.quality import cosines
from sestina_model.checkpoint import Checkpoint

FILES = {"fp16": "portable-fp32.onnx", "a16w8": "qnn-a16w8.onnx"}
TEXTS = int(os.environ.get("SESTINA_QNN_TEXTS", "4"))

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("onnxruntime_qnn") is None,
        reason="onnxruntime-qnn is not installed: NOTHING OF QNN IS PROVED HERE (pip install --no-deps onnxruntime-qnn)",
    ),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the simulator is in the x86-64 wheel alone"),
]


def spread(passages: list[str], ids: list[list[int]], buckets: tuple[int, ...], count: int) -> list[int]:
    """Positions of `count` passages: as they come where there are many, else an equal share of every bucket."""
    if count >= 100:
        return list(range(0, len(passages), len(passages) // count))[:count]
    chosen, shorter = [], 0
    for bucket in buckets:
        mine = [at for at, row in enumerate(ids) if shorter < len(row) <= bucket]
        chosen += mine[: -(-count // len(buckets))]
        shorter = bucket
    return chosen


def on_htp(graph: Path, ids: list[list[int]], buckets: tuple[int, ...], folder: Path) -> np.ndarray:
    """The vectors, made in a fresh process that placed every bucket whole on the HTP."""
    (folder / "ids.json").write_text(json.dumps({"buckets": buckets, "ids": ids}))
    script = Path(__file__).with_name("on_htp.py")
    command = [sys.executable, str(script), str(graph), str(folder / "ids.json"), str(folder / "vectors.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    print(graph.name, *facts, sep="\n")
    assert [fact["bucket"] for fact in facts] == list(buckets)
    assert all(list(fact["placed"]) == ["QNNExecutionProvider"] for fact in facts)
    return np.load(folder / "vectors.npy")


@pytest.fixture(scope="module", params=NAMES)
def trained(
    request: pytest.FixtureRequest, make_bundle: Callable[..., Path]
) -> tuple[Checkpoint, Path, Manifest]:
    bundle = make_bundle(request.param, targets=["portable", "qnn"])
    return (
        trained_checkpoint(request.param),
        bundle,
        read((bundle / "manifest.json").read_text("utf-8"), str(bundle)),
    )


@pytest.mark.parametrize("precision", FILES)
def test_trained_encoders_on_the_htp(
    precision: str, trained: tuple[Checkpoint, Path, Manifest], tmp_path: Path
) -> None:
    checkpoint, bundle, manifest = trained
    buckets = next(each.buckets for each in manifest.variants if each.entry.file == FILES[precision])
    assert buckets[-4:] == (32, 64, 128, 256)
    texts = passages(2000) if DATA.is_dir() else generated(2000)
    ids = checkpoint.tokenize(texts)
    at = spread(texts, ids, buckets, TEXTS)
    vectors = on_htp(bundle / FILES[precision], [ids[each] for each in at], buckets, tmp_path)
    reference = checkpoint.encode([texts[each] for each in at])
    got = cosines(vectors, reference)
    print(f"{manifest.name} {precision}: {len(got)} texts, mean {got.mean():.6f}, worst {got.min():.6f}")
    assert got.mean() >= 0.999
    assert got.min() >= 0.997
    assert cosines(vectors, np.roll(reference, 1, axis=0)).mean() < 0.9  # the comparison can fail


def test_the_runtime_takes_float32_there_as_float16(make_bundle: Callable[..., Path]) -> None:
    """By the public face, and in a process of its own: held to the tolerance that float16 has."""
    bundle = make_bundle("bpe", targets=["portable"])
    code = (
        "import json, sys, sestina\n"
        "encoder = sestina.load(sys.argv[1], provider='qnn', precision='fp32', strict=True)\n"
        "report, verified = encoder.report(), encoder.verify()\n"
        "print(json.dumps([report.provider, report.half_precision, report.share, verified.passed, "
        "verified.worst_error, verified.tolerance]), flush=True)\n"
        "import os; os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *facts, worst, tolerance = json.loads(done.stdout.splitlines()[-1])
    assert facts == ["qnn", True, 1.0, True]
    assert 1e-5 < worst <= tolerance == 5e-3  # float32's own tolerance would have refused it
