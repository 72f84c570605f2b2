"""Models as they are in memory after training, of sentence-transformers and of transformers."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sestina
from _tiny import perturb, tiny_wordpiece
from sestina_export import ExportError, ParityError, export
from sestina_export._source import opened
from sestina_model._errors import UnsupportedCheckpointError

transformers = pytest.importorskip("transformers")
sentence_transformers = pytest.importorskip("sentence_transformers")
modules = pytest.importorskip("sentence_transformers.models")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

TEXTS = ["the model", "Attention relates tokens.", "a", ""]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made: nothing may be left in it."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def tokenizer() -> Any:
    backend = tiny_wordpiece()
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return transformers.BertTokenizer(vocab=backend.get_vocab(), model_max_length=24, **names)


def bert() -> Any:
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    size = tiny_wordpiece().get_vocab_size()
    model = transformers.BertModel(
        transformers.BertConfig(vocab_size=size, max_position_embeddings=40, **shape), add_pooling_layer=False
    )
    perturb(model, seed=5)
    return model.eval()


@pytest.fixture
def sentences(tmp_path: Path) -> Any:
    """A SentenceTransformer with CLS pooling and a norm."""
    folder = tmp_path / "base"
    bert().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    transformer = modules.Transformer(str(folder), max_seq_length=20)
    pooling = modules.Pooling(32, pooling_mode="cls")
    return sentence_transformers.SentenceTransformer(
        modules=[transformer, pooling, modules.Normalize()], device="cpu"
    )


def read(source: Any, **options: Any) -> Any:
    """What is read of a source, without a graph made of it."""
    names = ("tokenizer", "head", "name", "licence", "revision")
    with opened(source, **dict.fromkeys(names) | options, say=lambda _: None, shown=False) as found:
        return found.checkpoint


def vectors(path: Path) -> np.ndarray[Any, Any]:
    with sestina.load(path) as encoder:
        return encoder.encode(TEXTS)


def same(one: Path, other: Path) -> None:
    """Two bundles agree in every file but the texts that say what they are called."""
    for file in sorted(path.name for path in one.iterdir()):
        if file not in ("manifest.json", "README.md", "LICENSE"):
            assert (one / file).read_bytes() == (other / file).read_bytes(), file
    keys = ("space", "contract", "encoder", "variants", "provenance")
    here, there = (json.loads((path / "manifest.json").read_text()) for path in (one, other))
    assert {key: here[key] for key in keys} == {key: there[key] for key in keys}


def test_a_sentence_transformer(
    sentences: Any, tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for at, parameter in enumerate(sentences.parameters()):
        parameter.grad = torch.full_like(parameter, at)
    sentences.train()
    sentences[0].auto_model.embeddings.eval()
    modes = [module.training for module in sentences.modules()]
    config = dict(vars(sentences[0].auto_model.config))
    capfd.readouterr()
    result = export(sentences, tmp_path / "memory.sestina", precisions=["fp32"], licence="mit")
    assert capfd.readouterr() == ("", "")
    assert [module.training for module in sentences.modules()] == modes
    assert vars(sentences[0].auto_model.config) == config
    assert all(bool((each.grad == at).all()) for at, each in enumerate(sentences.parameters()))
    assert list(temporary.glob("sestina*")) == []
    manifest = result.manifest
    assert (manifest.name, manifest.licence) == ("base", "mit")
    assert (manifest.contract.pooling, manifest.contract.max_tokens) == ("cls", 20)
    assert manifest.provenance["tokenizer_compared"] == transformers.__version__
    sentences.eval()
    np.testing.assert_allclose(vectors(result.path), sentences.encode(TEXTS), atol=2e-6)

    sentences.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    saved = export(tmp_path / "saved", tmp_path / "saved.sestina", precisions=["fp32"])
    same(result.path, saved.path)


def test_a_model_of_transformers_with_its_tokenizer(tmp_path: Path, temporary: Path) -> None:
    model, own = bert(), tokenizer()
    result = export(model, tmp_path / "memory.sestina", tokenizer=own, name="mine", precisions=["fp32"])
    model.save_pretrained(tmp_path / "saved")
    own.save_pretrained(tmp_path / "saved")
    saved = export(tmp_path / "saved", tmp_path / "saved.sestina", precisions=["fp32"])
    same(result.path, saved.path)
    assert (result.manifest.name, saved.manifest.name) == ("mine", "saved")
    assert list(temporary.glob("sestina*")) == []
    # The negative control: after a step of training it is another one.
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[5:, :4] += 0.5
    other = export(model, tmp_path / "other.sestina", tokenizer=own, precisions=["fp32"])
    assert other.manifest.space != result.manifest.space
    assert np.abs(vectors(other.path) - vectors(result.path)).max() > 1e-3


def test_half_precision_and_wrappers() -> None:
    model = bert().to(torch.bfloat16)
    held = torch.nn.DataParallel(torch.compile(model, backend="eager"))
    half = read(held, tokenizer=tokenizer()).encode(TEXTS)
    assert next(model.parameters()).dtype == torch.bfloat16
    np.testing.assert_array_equal(half, read(model.float(), tokenizer=tokenizer()).encode(TEXTS))
    assert np.abs(half - read(bert(), tokenizer=tokenizer()).encode(TEXTS)).max() > 1e-4


def test_the_name_and_the_licence_of_a_card(sentences: Any) -> None:
    sentences.model_card_data.model_id = "someone/fine-tuned"
    sentences.model_card_data.license = "apache-2.0"
    assert (read(sentences).name, read(sentences).licence) == ("fine-tuned", "apache-2.0")
    assert (read(sentences, name="x").name, read(sentences, licence="y").licence) == ("x", "y")
    sentences.model_card_data.license = None
    sentences._model_card_text = "---\nlicense: mit\n---\n# Base"
    assert read(sentences).licence == "mit"
    sentences.model_card_data.tags.append("generated_from_trainer")  # and so another model
    assert read(sentences).licence is None


class Extra(torch.nn.Module):
    """A module of the user's own."""

    def forward(self, features: Any) -> Any:
        return features

    def save(self, *_: Any, **__: Any) -> None: ...


def test_a_module_that_is_not_supported(sentences: Any, tmp_path: Path, temporary: Path) -> None:
    sentences.append(Extra())
    expected = r"^SentenceTransformer\S*modules\.json: the module \S*Extra is not supported"
    with pytest.raises(UnsupportedCheckpointError, match=expected) as caught:
        export(sentences, tmp_path / "out.sestina")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.sestina").exists()
    assert list(temporary.glob("sestina*")) == []


def test_a_backend_without_weights(sentences: Any, tmp_path: Path) -> None:
    sentences[0].backend = "onnx"
    with pytest.raises(ExportError, match="has the backend 'onnx', and so no weights; load it with 'torch'"):
        export(sentences, tmp_path / "out.sestina")


def test_a_family_that_is_not_supported(tmp_path: Path, temporary: Path) -> None:
    shape = {"n_embd": 32, "n_layer": 1, "n_head": 4, "vocab_size": 300, "n_positions": 40}
    model = transformers.GPT2Model(transformers.GPT2Config(**shape))
    with pytest.raises(UnsupportedCheckpointError, match=r"^GPT2Model\S*config\.json: model_type 'gpt2'"):
        export(model, tmp_path / "out.sestina", tokenizer=tokenizer())
    assert list(temporary.glob("sestina*")) == []


def test_adapters_are_refused_by_name(tmp_path: Path) -> None:
    model = bert()
    model.encoder._hf_peft_config_loaded = True  # as add_adapter leaves it
    with pytest.raises(ExportError, match=r"encoder has adapters of PEFT \(BertEncoder\).*merge_and_unload"):
        export(model, tmp_path / "out.sestina", tokenizer=tokenizer())

    kind = type("PeftModel", (torch.nn.Module,), {"__module__": "peft.peft_model"})
    with pytest.raises(ExportError, match=r"PeftModel has adapters of PEFT"):
        export(kind(), tmp_path / "out.sestina", tokenizer=tokenizer())


def test_arguments_that_do_not_go_together(sentences: Any, tmp_path: Path) -> None:
    from sestina_model.config import HeadConfig

    out = tmp_path / "out.sestina"
    with pytest.raises(
        ExportError, match="a BertModel needs its tokenizer, one of transformers'.*not NoneType"
    ):
        export(bert(), out)
    with pytest.raises(ExportError, match="not Tokenizer"):
        export(bert(), out, tokenizer=tiny_wordpiece())
    with pytest.raises(ExportError, match="a SentenceTransformer has a tokenizer of its own"):
        export(sentences, out, tokenizer=tokenizer())
    with pytest.raises(ExportError, match="head goes with a TransformerEncoder"):
        export(sentences, out, head=HeadConfig(max_tokens=12))
    with pytest.raises(ExportError, match="source is Linear; it must be a folder, the id of a model"):
        export(torch.nn.Linear(2, 2), out)


def test_a_tokenizer_that_is_not_what_it_saves(tmp_path: Path, temporary: Path) -> None:
    """A change that its class does not read back would be lost: what is in memory is what is compared."""
    from tokenizers import normalizers

    own = tokenizer()
    own.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    with pytest.raises(ParityError, match="the tokenizer gives"):
        export(bert(), tmp_path / "out.sestina", tokenizer=own)
    assert not (tmp_path / "out.sestina").exists()
    assert list(temporary.glob("sestina*")) == []


def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, temporary: Path) -> None:
    model = bert()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save_pretrained", full)
    with pytest.raises(ExportError, match="this BertModel cannot be saved .*No space left on device"):
        export(model, tmp_path / "out.sestina", tokenizer=tokenizer())
    assert list(temporary.glob("sestina*")) == []
