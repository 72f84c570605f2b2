"""Folders without a tokenizer.json: made by transformers' conversion, elsewhere than in the folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from _folders import TEXTS
from _tiny import LINES, WORDS, tiny_roberta, tiny_wordpiece
from sestina_export import ExportError, export
from sestina_export import _conversion as conversion
from sestina_export._conversion import converted_tokenizer
from sestina_model._errors import CheckpointError
from sestina_model._files import read_json_object
from sestina_model._tokenizers import settled_tokenizer
from sestina_model.pretrained.tokenizer import read_folder_tokenizer

transformers = pytest.importorskip("transformers")
pytest.importorskip("google.protobuf")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made: nothing may be left in it."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def sentencepiece(monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversion reads a model with protobuf, and asks for sentencepiece all the same."""
    backends = transformers.utils.import_utils.BACKENDS_MAPPING
    monkeypatch.setitem(backends, "sentencepiece", (lambda: True, ""))


def vocabulary(folder: Path) -> None:
    ids = tiny_wordpiece().get_vocab()
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in sorted(ids, key=ids.__getitem__)))


def merges(folder: Path) -> None:
    model = json.loads(tiny_roberta().to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{line}\n" for line in lines))


def pieces(name: str, *special: str, bpe: bool = False) -> Callable[[Path], None]:
    """A sentencepiece model of this name: special pieces, then words and letters, or what merges to them."""

    def write(folder: Path) -> None:
        from transformers.convert_slow_tokenizer import import_protobuf

        proto = import_protobuf().ModelProto()
        words = [f"▁{word}" for word in WORDS]
        if bpe:  # a piece must be made of two others
            words = sorted({word[:end] for word in words for end in range(2, len(word) + 1)}, key=len)
        letters = [*sorted({letter for line in LINES for letter in line.upper() + line}), "▁"]
        found = [*special, *words, *(each for each in letters if each != " ")]
        for at, piece in enumerate(found):
            entry = proto.pieces.add(piece=piece, score=-0.1 * at)
            entry.type = 2 if piece in ("<unk>", "[UNK]") else 3 if piece in special else 1
            entry.score = 0.0 if piece in special else entry.score
        proto.trainer_spec.model_type = 2 if bpe else 1
        proto.trainer_spec.unk_id = next(at for at, each in enumerate(special) if "unk" in each.lower())
        proto.normalizer_spec.add_dummy_prefix = not bpe
        (folder / name).write_bytes(proto.SerializeToString())

    return write


# By model type: the class where a folder names none, and what is there in the place of a tokenizer.json.
KINDS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "bert": ("BertTokenizer", vocabulary),
    "mpnet": ("MPNetTokenizer", vocabulary),
    "roberta": ("RobertaTokenizer", merges),
    "qwen3": ("Qwen2Tokenizer", merges),
    "xlm-roberta": ("XLMRobertaTokenizer", pieces("sentencepiece.bpe.model", "<unk>", "<s>", "</s>")),
    "camembert": (
        "CamembertTokenizer",
        pieces("sentencepiece.bpe.model", "<unk>", "<s>", "</s>"),
    ),
    "albert": ("AlbertTokenizer", pieces("spiece.model", "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
    "t5": ("T5Tokenizer", pieces("spiece.model", "<pad>", "</s>", "<unk>")),
    "deberta-v2": ("DebertaV2Tokenizer", pieces("spm.model", "[PAD]", "[CLS]", "[SEP]", "[UNK]")),
    "gemma3_text": (
        "GemmaTokenizer",
        pieces("tokenizer.model", "<pad>", "<eos>", "<bos>", "<unk>", bpe=True),
    ),
}


def made(folder: Path, into: Path) -> Path:
    into.mkdir()
    found = converted_tokenizer(folder, into, lambda _: None)
    assert found == into
    return found


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / request.param
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": request.param}))
    KINDS[request.param][1](path)
    return path


@pytest.mark.usefixtures("sentencepiece")
def test_ids_are_those_of_transformers(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    there = transformers.AutoTokenizer.from_pretrained(folder)
    out = made(folder, tmp_path / "made")
    config = read_json_object(folder / "config.json")
    found = read_folder_tokenizer(out, config, KINDS[folder.name][0], lower_case=False)
    tokenizer = settled_tokenizer(found.tokenizer, 1 << 30, 1 << 20)
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    assert ids == [there(text)["input_ids"] for text in TEXTS]
    assert len({tuple(each) for each in ids}) == len(TEXTS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def bert(folder: Path) -> Path:
    """A whole checkpoint, but for its tokenizer."""
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    size = tiny_wordpiece().get_vocab_size()
    config = transformers.BertConfig(vocab_size=size, max_position_embeddings=40, **shape)
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def test_an_export_of_a_vocabulary(tmp_path: Path, temporary: Path) -> None:
    folder = bert(tmp_path / "bert")
    vocabulary(folder)
    before = sorted(folder.iterdir())
    steps: list[str] = []
    result = export(folder, tmp_path / "out.sestina", precisions=["fp32"], progress=steps.append)
    assert result.manifest.provenance["tokenizer_compared"] == transformers.__version__
    assert f"making tokenizer.json with transformers {transformers.__version__}" in steps[1]
    assert sorted(folder.iterdir()) == before
    assert list(temporary.glob("sestina*")) == []


def refused(folder: Path, out: Path, kind: type[Exception] = ExportError) -> str:
    with pytest.raises(kind) as caught:
        export(folder, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    return str(caught.value)


def test_what_transformers_would_make_of_nothing_is_refused(tmp_path: Path, temporary: Path) -> None:
    """Its classes make do with a vocabulary of five tokens where they find no file."""
    folder = bert(tmp_path / "bert")
    out = tmp_path / "out.sestina"
    missing = (
        f"{folder / 'tokenizer.json'} is missing, and so is vocab.txt, of which BertTokenizer would make it"
    )
    assert refused(folder, out).startswith(missing)
    merges(folder)  # not what its class reads
    assert refused(folder, out).startswith(missing)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}')
    (folder / "merges.txt").unlink()
    assert "is missing, and cannot be made from what is there" in refused(folder, out)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GemmaTokenizer"}')
    assert "and so is tokenizer.model, of which GemmaTokenizer would make it" in refused(folder, out)
    assert list(temporary.glob("sestina*")) == []


def test_a_vocabulary_that_cannot_be_read(tmp_path: Path, temporary: Path) -> None:
    folder = bert(tmp_path / "bert")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "XLMRobertaTokenizer"}')
    (folder / "sentencepiece.bpe.model").write_bytes(b"\x00 no model")
    message = refused(folder, tmp_path / "out.sestina")
    assert "cannot be made from what is there (transformers" in message
    assert "pip install sentencepiece protobuf" in message
    assert list(temporary.glob("sestina*")) == []


def test_what_is_wrong_with_a_made_one_is_said_of_the_folder(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    vocabulary(folder)
    (folder / "tokenizer_config.json").write_text('{"truncation_side": "left"}')
    message = refused(folder, tmp_path / "out.sestina", CheckpointError)
    assert message.startswith(f"{folder / 'tokenizer_config.json'}: truncation_side 'left' is not supported")


def test_without_transformers_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bert(tmp_path / "bert")
    vocabulary(folder)
    monkeypatch.setattr(conversion, "installed", lambda: None)
    message = refused(folder, tmp_path / "out.sestina", CheckpointError)
    assert f"{folder / 'tokenizer.json'} is missing; make it: python -c " in message


def test_a_tokenizer_that_is_there_is_left_alone(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    tiny_wordpiece().save(str(folder / "tokenizer.json"))

    def silent(line: str) -> None:
        raise AssertionError(line)

    assert converted_tokenizer(folder, tmp_path / "into", silent) is None
    assert not (tmp_path / "into").exists()


def test_ids_that_differ_are_found(tmp_path: Path) -> None:
    """The negative control of the comparison above."""
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    vocabulary(folder)
    there = transformers.AutoTokenizer.from_pretrained(folder)
    out = made(folder, tmp_path / "made")
    (out / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    found = read_folder_tokenizer(out, {"model_type": "bert"}, "BertTokenizer", lower_case=False)
    assert found.tokenizer.encode("The MODEL").ids != there("The MODEL")["input_ids"]


def test_what_is_not_supported_is_said_first(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    vocabulary(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    assert "'gpt2' is not supported" in refused(folder, tmp_path / "out.sestina", CheckpointError)
