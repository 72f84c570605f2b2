"""The bundle in the package is the one that the checkpoint in this repository exports to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import sestina
from sestina._bundle.default import default_bundle
from sestina_export._fingerprint import space_of
from sestina_export._proof.quality import cosines
from sestina_model.checkpoint import Checkpoint, load
from sestina_model.config import EncoderConfig

EMBEDDED = Path(default_bundle())
FOLDER = Path(__file__).parents[2] / "checkpoints" / "sestina-base"
TEXTS = [
    "Photosynthesis turns light into sugar.",
    "the Transformer is an innovative NLP model !",
    "Shares lost much of their value today, after months of gains.",
    "How do I return a parcel that has already been opened?",
    "She walked along the river until the lights of the town were behind her. " * 6,
]

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="only the repository has the checkpoint")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load(FOLDER)


def test_it_says_where_it_comes_from(checkpoint: Checkpoint) -> None:
    manifest = json.loads((EMBEDDED / "manifest.json").read_text())
    weights = hashlib.sha256((FOLDER / "encoder.safetensors").read_bytes()).hexdigest()
    assert manifest["provenance"]["source_sha256"] == weights == checkpoint.source_sha256
    assert manifest["space"] == space_of(checkpoint)
    assert manifest["licence"] == checkpoint.licence == "apache-2.0"
    assert (EMBEDDED / "tokenizer.json").read_text() == checkpoint.tokenizer.to_str() + "\n"
    config = checkpoint.model.encoder.config
    assert config == EncoderConfig.base(config.vocab_size)


def test_its_goldens_are_the_checkpoints_vectors(checkpoint: Checkpoint) -> None:
    goldens = json.loads((EMBEDDED / "golden.json").read_text())["goldens"]
    stated = np.load(EMBEDDED / "golden.npy")
    texts = [golden["text"] for golden in goldens]
    assert np.abs(checkpoint.encode(texts) - stated).max() < 1e-5
    with torch.no_grad():  # the control: one weight of another sign
        weight = checkpoint.model.encoder.layers[0].feed_forward.inner.weight  # type: ignore[union-attr]
        row = int(weight.abs().sum(1).argmax())
        weight[row] *= -1
        assert np.abs(checkpoint.encode(texts[:4]) - stated[:4]).max() > 1e-4
        weight[row] *= -1


def test_its_int8_is_near_the_checkpoint(checkpoint: Checkpoint) -> None:
    with sestina.load() as encoder:
        found = cosines(encoder.encode(TEXTS), checkpoint.encode(TEXTS))
        others = cosines(encoder.encode(TEXTS), checkpoint.encode(TEXTS[::-1]))
    assert found.min() > 0.995
    assert others[0] < 0.9  # the control


def test_the_card_states_what_there_is() -> None:
    card = (FOLDER / "README.md").read_text()
    for said in ("all-MiniLM-L6-v2", "STS-B dev", "CISI", "English alone", "NOTICE", "base.json"):
        assert said in card
