"""The comparison of a folder's token ids with transformers': what it finds, and when it is left out."""

from __future__ import annotations

import ast
import json
import re
import socket
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx
import pytest
from tokenizers import Tokenizer

from _tiny import tiny_checkpoint, tiny_wordpiece
from sestina_export import ParityError, export
from sestina_export._proof import reference as _reference
from sestina_export._proof.fuzzed_texts import fuzzed_texts
from sestina_export._proof.reference import compare_tokenizer
from sestina_model.checkpoint import load, save

transformers = pytest.importorskip("transformers")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny BERT as transformers saves it, cased."""
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    tokenizer = tiny_wordpiece()
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=40, **shape
    )
    path = tmp_path / "tiny"
    transformers.BertModel(config).save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(
        '{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}'
    )
    return path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def compared(source: object, checkpoint: Any = None) -> tuple[str | None, list[str]]:
    said: list[str] = []
    return compare_tokenizer(source, checkpoint or load(str(source)), said.append), said


@pytest.mark.usefixtures("no_network")
def test_what_is_equal_is_recorded(folder: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    result = export(folder, tmp_path / "out.sestina", precisions=["fp32"], progress=steps.append)
    version = transformers.__version__
    assert result.manifest.provenance["tokenizer_compared"] == version
    assert f"comparing token ids with transformers {version}, which takes seconds to import" in steps
    names = {each.key for each in onnx.load(result.path / "cpu-fp32.onnx").metadata_props}
    assert "sestina.source_sha256" in names
    assert "sestina.tokenizer_compared" not in names  # the graph is the same where nothing is compared


def test_a_difference_names_the_text_and_both_ids(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered = load(folder)
    lowered.tokenizer.normalizer = tiny_wordpiece().normalizer  # as if do_lower_case had not been read
    with pytest.raises(ParityError) as caught:
        compared(folder, lowered)
    message = str(caught.value)
    assert "\n" not in message
    found = re.match(
        r"the tokenizer gives ('.*') the ids (\[.*\]) where transformers \S+ gives (\[.*\]);", message
    )
    assert found is not None
    text, here, there = map(ast.literal_eval, found.groups())
    assert here == lowered.tokenize([text])[0] != there == load(folder).tokenize([text])[0]

    class Other:
        """A reference that knows no [MASK]."""

        def __call__(self, texts: list[str], **_: Any) -> dict[str, list[list[int]]]:
            document = json.loads(load(folder).tokenizer.to_str())
            document["added_tokens"] = document["added_tokens"][:-1]
            tokenizer = Tokenizer.from_str(json.dumps(document))
            tokenizer.enable_truncation(40)
            return {"input_ids": [tokenizer.encode(text).ids for text in texts]}

    monkeypatch.setattr(_reference, "_reference", lambda *_, **__: Other())
    with pytest.raises(ParityError, match=r"gives '\[MASK\]' the ids"):
        export(folder, tmp_path / "out.sestina")
    assert not (tmp_path / "out.sestina").exists()


def test_where_nothing_is_compared(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(load(folder), load(folder)) == (None, [])  # no folder
    save(tiny_checkpoint(tiny_wordpiece()), tmp_path / "own")
    assert compared(tmp_path / "own") == (None, [])  # not one that transformers reads

    version = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "4.57.1" if name == "transformers" else version(name)
    )
    assert compared(folder) == (None, [])

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert compared(folder) == (None, [])


def test_a_folder_that_transformers_cannot_read_is_said(folder: Path) -> None:
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"padding_side": "up"}))
    version, said = compared(folder)
    assert version is None
    assert "cannot read this tokenizer, so no ids were compared" in said[-1]
    assert "\n" not in said[-1]


def test_lower_casing_before_the_tokenizer_is_compared_too(folder: Path) -> None:
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    listed = [
        {"name": kind, "path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in modules
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true, "max_seq_length": 12}')
    assert compared(folder)[0] == transformers.__version__
    assert load(folder).tokenize(["The MODEL"]) == load(folder).tokenize(["the model"])


def test_tokens_without_a_row_are_said_to_be_left_out(folder: Path) -> None:
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"image_token": "<image>"}))
    version, said = compared(folder)
    assert version == transformers.__version__
    assert "left out of the tokenizer: 1 tokens that the table has no rows for, ['<image>']" in said[-1]


def test_the_texts_are_many_and_always_the_same() -> None:
    texts = fuzzed_texts(tiny_wordpiece(), 40)
    assert texts == fuzzed_texts(tiny_wordpiece(), 40)
    assert len(set(texts)) > 300
    for content in ("[MASK]", "a[MASK]b [MASK] [mask]"):
        assert content in texts
    assert max(map(len, texts)) > 1000
    for each in texts:
        each.encode()  # no lone surrogate
