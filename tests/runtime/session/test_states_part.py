"""The last layer for the pooled token alone, and for all where hidden states are asked for."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sestina
from sestina._bundle.mapped import MODEL_GRAPH
from sestina._bundle.protobuf import sized
from sestina._bundle.states_part import states_part

FILES = {"fp32": "cpu-fp32.onnx", "int8": "cpu-int8.onnx"}
TEXTS = ["a", "the transformer is an innovative nlp model", "numbers like 1, 23 and 456 are tokens too"]


@pytest.fixture(scope="module")
def first_token(make_bundle: Callable[..., Path]) -> Path:
    """A bundle whose vector is the first token's state."""
    return make_bundle("unigram")


@pytest.mark.parametrize("precision", FILES)
def test_a_session_for_vectors_has_no_states(first_token: Path, precision: str) -> None:
    content = (first_token / FILES[precision]).read_bytes()
    assert 0 < states_part(content)[0] < len(content) / 2
    with sestina.load(first_token, precision=precision) as encoder:
        vectors = encoder.encode(TEXTS)
        sessions = encoder._engine.sessions()
        outputs = [output.name for output in sessions.any._guarded.native.get_outputs()]
        assert outputs == ["sentence_embedding"]
        assert sessions._whole is None
        states = encoder.hidden_states(TEXTS)
        outputs = [output.name for output in sessions.whole()._guarded.native.get_outputs()]
        assert outputs == ["sentence_embedding", "last_hidden_state"]
        np.testing.assert_allclose(vectors, [rows[0] for rows in states], atol=1e-6)
        assert np.abs(vectors - [rows[-1] for rows in states]).max() > 1e-2  # the comparison can fail
        assert np.array_equal(vectors, [encoder.encode(text) for text in TEXTS]) or precision == "fp32"
        found = encoder.explain(TEXTS[1])
        np.testing.assert_allclose(found.attention.sum(-1), 1, atol=1e-5)


def test_where_every_token_is_pooled_there_is_no_such_part(bundle: Path) -> None:
    assert states_part((bundle / FILES["fp32"]).read_bytes()) == (0, ())
    with sestina.load(bundle, precision="fp32") as encoder:
        assert encoder.hidden_states(TEXTS)
        assert encoder._engine.sessions()._whole is None


@pytest.mark.parametrize("alter", ["moved", "another output", "a third", "with a name"])
def test_what_is_no_such_part_stays(first_token: Path, alter: str) -> None:
    content = (first_token / FILES["fp32"]).read_bytes()
    size, outputs = states_part(content)
    assert outputs == ("last_hidden_state",)
    before, part = content[:-size], content[-size:]
    more = {
        "moved": part + before,
        "another output": before + part.replace(b"last_hidden_state", b"more_hidden_state"),
        "a third": content + sized(MODEL_GRAPH, b""),
        "with a name": before + sized(MODEL_GRAPH, sized(2, b"graph")),
    }
    assert states_part(more[alter]) == (0, ())


def test_a_part_that_gives_no_states_is_refused_when_they_are_asked_for(
    first_token: Path, tmp_path: Path
) -> None:
    """Of a file that someone else wrote; vectors need nothing of it."""
    own = shutil.copytree(first_token, tmp_path / "own.sestina")
    path = own / FILES["fp32"]
    content = path.read_bytes()
    part = sized(MODEL_GRAPH, sized(12, sized(1, b"last_hidden_state")))
    path.write_bytes(content[: -states_part(content)[0]] + part)  # no node gives it
    manifest = json.loads((own / "manifest.json").read_text())
    for variant in manifest["variants"]:
        if variant["file"] == path.name:
            variant.update(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), bytes=path.stat().st_size)
    (own / "manifest.json").write_text(json.dumps(manifest))
    with sestina.load(own, precision="fp32") as encoder:
        assert encoder.encode("a").shape == (32,)
        with pytest.raises(sestina.ProviderError, match=r"cpu-fp32\.onnx cannot be loaded on cpu"):
            encoder.hidden_states(["a"])
