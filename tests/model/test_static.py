"""Static embeddings: folders of sentence-transformers' StaticEmbedding and of model2vec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from _tiny import TEXTS, tiny_wordpiece
from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model.checkpoint import load, save

D = 12


@pytest.fixture(scope="module")
def st() -> Any:
    """The reference, which takes seconds to import."""
    return pytest.importorskip("sentence_transformers")


def model2vec(folder: Path, tensors: dict[str, torch.Tensor], *, modules: bool = True, **config: Any) -> Path:
    """As model2vec's save_pretrained writes it."""
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    tokenizer = tiny_wordpiece()
    tokenizer.enable_truncation(20)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True, **config}))
    if modules:
        listed = [
            {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"}
        ]
        kind = "sentence_transformers.models.Normalize"
        listed.append({"idx": 1, "name": "1", "path": "1_Normalize", "type": kind})
        (folder / "modules.json").write_text(json.dumps(listed))
    return folder


def vocabulary() -> int:
    return tiny_wordpiece().get_vocab_size()


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


TABLES: dict[str, dict[str, torch.Tensor]] = {
    "plain": {"embeddings": drawn(vocabulary(), D)},
    "half": {"embeddings": drawn(vocabulary(), D).half()},
    "weights": {"embeddings": drawn(vocabulary(), D), "weights": drawn(vocabulary()).double().abs()},
    "mapping": {
        "embeddings": drawn(9, D),
        "mapping": torch.arange(vocabulary()) % 9,
        "weights": drawn(vocabulary()).abs(),
    },
}


@pytest.mark.parametrize("kind", TABLES)
def test_model2vec(st: Any, tmp_path: Path, kind: str) -> None:
    folder = model2vec(tmp_path / "m", TABLES[kind])
    reference = st.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    found = load(folder)
    assert found.model.head.max_tokens == 20
    assert found.model.encoder.config.n_layers == 0
    vectors = found.encode(TEXTS)
    # The mean of a table in half precision is rounded there, and is NaN of a text without tokens.
    np.testing.assert_allclose(vectors, np.nan_to_num(reference), atol=2e-3 if kind == "half" else 5e-6)
    assert np.abs(vectors - np.roll(np.nan_to_num(reference), 1, 0)).max() > 0.1
    alone = model2vec(tmp_path / "alone", TABLES[kind], modules=False)
    np.testing.assert_array_equal(load(alone).encode(TEXTS), found.encode(TEXTS))


@pytest.mark.parametrize("normalize", [False, True])
def test_static_embedding(st: Any, tmp_path: Path, normalize: bool) -> None:
    from sentence_transformers.sentence_transformer import modules

    tokenizer = tiny_wordpiece()
    table = modules.StaticEmbedding(tokenizer, embedding_weights=drawn(vocabulary(), D))
    model = st.SentenceTransformer(
        modules=[table, *([modules.Normalize()] if normalize else [])], device="cpu"
    )
    model.save(str(tmp_path / "m"))
    found = load(tmp_path / "m")
    long = [*TEXTS, " ".join(map(str.strip, TEXTS[:4])) * 40]
    assert len(found.tokenize(long)[-1]) > 512
    np.testing.assert_allclose(found.encode(long), model.encode(long), atol=5e-6)
    assert found.model.head.max_tokens == 2**15
    assert found.tokenize(["a"]) == [
        Tokenizer.from_str(tokenizer.to_str()).encode("a", add_special_tokens=False).ids
    ]
    save(found, tmp_path / "own")
    np.testing.assert_array_equal(load(tmp_path / "own").encode(long), found.encode(long))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"vectors": drawn(3, 2)}, "neither embedding.weight nor embeddings is there"),
        ({"embeddings": drawn(3)}, "the table has the shape [3]; it must be a vector for each token"),
        ({"embeddings": drawn(0, 4)}, "the table has the shape [0, 4]"),
        ({"embeddings": drawn(9, D) / 0}, "the table holds NaN or infinity"),
        ({**TABLES["mapping"], "mapping": torch.arange(vocabulary())}, "the table has 9"),
        ({**TABLES["mapping"], "mapping": drawn(vocabulary())}, "it must be one row number for each token"),
        ({**TABLES["plain"], "weights": drawn(4)}, "weights has the shape [4]; it must be"),
        ({"embeddings": drawn(9, D)}, "this encoder has 9 rows in its token table"),
    ],
)
def test_tables_that_make_no_sense(tmp_path: Path, tensors: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(model2vec(tmp_path / "m", tensors))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_integers(tmp_path: Path) -> None:
    integers = {"embeddings": (20 * drawn(vocabulary(), D)).to(torch.int8)}
    with pytest.raises(UnsupportedCheckpointError, match="the table is int8; floating-point numbers are"):
        load(model2vec(tmp_path / "m", integers))


def test_what_a_folder_lacks(tmp_path: Path) -> None:
    folder = model2vec(tmp_path / "m", TABLES["plain"])
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is missing; fetch the folder again"):
        load(folder)


def test_surplus_tensors_are_told(tmp_path: Path) -> None:
    found = load(model2vec(tmp_path / "m", {**TABLES["plain"], "head": drawn(2)}))
    assert found.notes == (f"{tmp_path / 'm'}: 1 tensors are no part of the encoder and left out: head",)
