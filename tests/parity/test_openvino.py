"""OpenVINO's plugin on an Intel processor: the trained encoders, in float32, near PyTorch in every bucket.

Skips where onnxruntime-ep-openvino is not installed or finds no device, as on processors of other makers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from _corpus import DATA, passages
from _trained import NAMES, trained_checkpoint
from sestina._bench.corpus import passages as generated
from sestina_export._proof.quality import cosines

PROGRAM = """
import json, sys, numpy as np, sestina
bundle, texts, out = sys.argv[1:]
try:
    encoder = sestina.load(bundle, provider=[("openvino", {"device": "CPU"})], precision="fp32", strict=True)
except sestina.ProviderError as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
np.save(out, encoder.encode(json.load(open(texts))))
report, verified = encoder.report(), encoder.verify()
print(json.dumps({"share": report.share, "passed": verified.passed, "worst": verified.worst_error}))
"""


def on_openvino(bundle: Path, texts: list[str], folder: Path) -> dict[str, object]:
    """What a fresh process finds: the facts that it prints, and its vectors in vectors.npy of the folder."""
    (folder / "texts.json").write_text(json.dumps(texts))
    arguments = [str(bundle), str(folder / "texts.json"), str(folder / "vectors.npy")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    facts: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    reason = str(facts.get("refused", ""))
    if "is not installed" in reason or "no device for it" in reason:
        pytest.skip(f"NOTHING OF OPENVINO IS PROVED HERE: {reason}")
    return facts


@pytest.mark.parametrize("name", NAMES)
def test_trained_encoders_on_openvino(name: str, make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = trained_checkpoint(name)
    bundle = make_bundle(name, targets=["portable", "qnn"])
    every = passages(2000) if DATA.is_dir() else generated(2000)
    lengths = [len(row) for row in checkpoint.tokenize(every)]
    shorter, texts = 0, ["a"]  # one token first: what a dynamic graph never recovers from there
    for bucket in (16, 32, 64, 128, 256):
        texts += [text for text, n in zip(every, lengths, strict=True) if shorter < n <= bucket][:5]
        shorter = bucket
    assert len(texts) == 26
    facts = on_openvino(bundle, texts, tmp_path)
    assert facts["share"] == 1.0
    assert facts["passed"]
    vectors, reference = np.load(tmp_path / "vectors.npy"), checkpoint.encode(texts)
    worst = float(np.abs(vectors - reference).max())
    print(f"{name}: worst {worst:.2g} over {len(texts)} texts, goldens {facts['worst']:.2g}")
    assert worst < 1e-5
    assert np.abs(vectors - np.roll(reference, 1, axis=0)).max() > 0.1  # the comparison can fail
    assert cosines(vectors, np.roll(reference, 1, axis=0)).mean() < 0.9
