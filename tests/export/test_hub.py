"""Models of a hub: fetched at one commit from a hub on loopback, and never more of them than is read."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from _hub import Hub, serving
from _tiny import tiny_wordpiece
from sestina_export import ExportError, export
from sestina_export._hub import OnHub, fetch, is_model_id
from sestina_export._source import opened
from sestina_model._errors import CheckpointError, UnsupportedCheckpointError

huggingface_hub = pytest.importorskip("huggingface_hub")
transformers = pytest.importorskip("transformers")

OWNER = "someone/tiny-bert"
# What a model has beside what is read: none of it may be fetched.
SURPLUS = {
    "pytorch_model.bin": b"pickle",
    "modeling_tiny.py": b"raise SystemExit",
    "onnx/model.onnx": b"graph",
    "onnx/config.json": b"{}",
    "openvino/openvino_model.bin": b"graph",
    "model.gguf": b"gguf",
    "training_args.bin": b"pickle",
    "2_Other/model.safetensors": b"weights",
    "eval/results.json": b"{}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT as sentence-transformers lays it out."""
    path = tmp_path_factory.mktemp("hub") / "tiny-bert"
    tokenizer = tiny_wordpiece()
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=40, **shape
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    (path / "tokenizer_config.json").write_text("{}")
    listed = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (path / "modules.json").write_text(json.dumps(listed))
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    for name, content in SURPLUS.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that huggingface_hub takes for the only one, and an empty cache."""
    constants = huggingface_hub.constants
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving() as served:
        template = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", served.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_URL_HOSTS", frozenset({"127.0.0.1"}), raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)
        close = getattr(huggingface_hub, "close_session", lambda: None)
        close()
        yield served
        close()


def got(revision: str | None = None) -> OnHub:
    return fetch(OWNER, revision, shown=False)


def why(error: type[Exception] = ExportError, revision: str | None = None) -> str:
    with pytest.raises(error) as caught:
        got(revision)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_model_becomes_a_bundle_that_says_where_it_is_from(hub: Hub, folder: Path, tmp_path: Path) -> None:
    model = hub.add(OWNER, folder, refs=("main", "v1.0"))
    said: list[str] = []
    result = export(
        OWNER, tmp_path / "hub.sestina", revision="v1.0", precisions=["fp32"], progress=said.append
    )
    there, manifest = result.manifest.provenance, result.manifest
    assert (there["source"], there["revision"]) == (OWNER, model.commit)
    assert there["tokenizer_compared"] == transformers.__version__
    assert (manifest.name, manifest.licence, manifest.contract.pooling) == ("tiny-bert", "mit", "cls")
    assert said[1] == f"fetching {OWNER}"
    # But for where it is from it is what the folder gives.
    same = export(folder, tmp_path / "folder.sestina", precisions=["fp32"])
    for file in ("cpu-fp32.onnx", "golden.npy", "tokenizer.json"):
        assert (result.path / file).read_bytes() == (same.path / file).read_bytes()
    assert same.manifest.space == manifest.space
    assert "source" not in same.manifest.provenance


def test_heads_beside_the_encoder_are_fetched_by_name(hub: Hub, folder: Path, tmp_path: Path) -> None:
    """The only pickles that are; what is in them `read_token_heads` decides."""
    other = Path(shutil.copytree(folder, tmp_path / "m3"))
    for name in ("sparse_linear.pt", "colbert_linear.pt", "other.pt"):
        (other / name).write_bytes(b"pickle")
    hub.add(OWNER, other)
    found = got().folder
    assert sorted(path.name for path in found.glob("*.pt")) == ["colbert_linear.pt", "sparse_linear.pt"]


def test_nothing_is_fetched_that_is_not_read(hub: Hub, folder: Path) -> None:
    model = hub.add(OWNER, folder)
    found = got()
    assert (found.model_id, found.revision) == (OWNER, model.commit)
    names = {path.relative_to(found.folder).as_posix() for path in found.folder.rglob("*") if path.is_file()}
    assert names == set(model.files) - set(SURPLUS)
    assert set(hub.fetched()) & set(SURPLUS) == set()
    assert len(hub.sent()) == 1
    before = len(hub.fetched())
    assert got() == found  # from the cache
    assert got(model.commit) == found
    assert (len(hub.fetched()), len(hub.sent())) == (before, 1)


def test_a_branch_that_moves_on(hub: Hub, folder: Path, tmp_path: Path) -> None:
    first = hub.add(OWNER, folder)
    assert got().revision == first.commit
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "1_Pooling" / "config.json").write_text("{}")
    second = hub.add(OWNER, other)
    found = got()
    assert found.revision == second.commit != first.commit
    assert (found.folder / "1_Pooling" / "config.json").read_text() == "{}"


def test_offline_what_is_in_the_cache_is_used(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hub.add(OWNER, folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "is not whole in the cache at" in (message := why())
    assert "HF_HUB_OFFLINE is set; fetch it once without" in message
    assert hub.asked == []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    found = got()
    asked = len(hub.asked)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert got() == got("main") == got(model.commit) == found
    assert "at v2 is not whole in the cache" in why(revision="v2")
    for path in found.folder.rglob("model.safetensors"):
        path.unlink()
    assert "is not whole in the cache" in why()
    assert len(hub.asked) == asked


def test_a_hub_that_cannot_be_reached_is_not_needed_once_it_is_cached(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(OWNER, folder)
    found = got()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert got() == found
    shutil.rmtree(huggingface_hub.constants.HF_HUB_CACHE)
    huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE.clear()
    message = why()
    assert message.startswith(f"{OWNER} cannot be fetched from http://127.0.0.1:9 (ConnectError: ")
    assert message.endswith("; check the connection")


def test_a_download_that_breaks_goes_on_where_it_was(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = hub.add(OWNER, folder)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.breaks = 2
    found = got()
    whole = model.files["model.safetensors"]
    assert (found.folder / "model.safetensors").read_bytes() == whole
    begins = [int(headers.get("range", "bytes=0-")[6:-1]) for headers in hub.sent()]
    assert begins[0] == 0
    assert len(begins) == 3
    assert 0 < begins[1] <= len(whole) // 2 < begins[2] <= len(whole)


def test_a_download_that_never_ends_leaves_no_part_of_a_file(hub: Hub, folder: Path) -> None:
    model = hub.add(OWNER, folder)
    hub.breaks = 1000
    assert "cannot be fetched from" in why()
    cache = Path(huggingface_hub.constants.HF_HUB_CACHE)
    assert not list(cache.rglob("model.safetensors"))
    hub.breaks = 0
    assert (got().folder / "model.safetensors").read_bytes() == model.files["model.safetensors"]


def test_a_model_that_has_moved(hub: Hub, folder: Path) -> None:
    model = hub.add("someone/new-name", folder)
    hub.moved[OWNER] = "someone/new-name"
    assert got().revision == model.commit


@pytest.mark.parametrize(
    "change, message",
    [
        ({"status": 503}, "answers 503"),
        ({"status": 500}, "answers 500"),
        ({"models": {}}, f"there is no folder '{OWNER}', and no such model at http://127.0.0.1:"),
    ],
    ids=str,
)
def test_a_hub_that_does_not_answer_so(hub: Hub, folder: Path, change: dict[str, Any], message: str) -> None:
    hub.add(OWNER, folder)
    for name, value in change.items():
        setattr(hub, name, value)
    assert message in why()


def test_a_model_for_those_with_a_token(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(OWNER, folder, token="hf_mine")
    message = why()
    assert message.startswith(f"{OWNER} is gated: ask for access at http://127.0.0.1:")
    assert "HF_TOKEN" in message
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    assert "is gated" in (message := why())
    assert "hf_other" not in message
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    got()
    sent = {headers.get("authorization") for _, path, headers in hub.asked if "/resolve/" in path}
    assert sent == {None, "Bearer hf_other", "Bearer hf_mine"}
    assert {headers.get("authorization") for headers in hub.sent()} == {None}  # a token is for the hub alone


def test_a_private_model(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(OWNER, folder, token="hf_mine", private=True)
    assert "or only for those with access: check the name, or set HF_TOKEN" in why()
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    got()


@pytest.mark.parametrize("revision", ["", "../../x", "a b", "-x", "v1\n", "/main", "é"])
def test_what_is_no_revision(hub: Hub, folder: Path, revision: str) -> None:
    hub.add(OWNER, folder)
    assert f"revision is {revision!r}; it must be a branch, a tag or a commit of {OWNER}" == why(
        revision=revision
    )
    assert hub.asked == []


def test_a_revision_that_is_not_there(hub: Hub, folder: Path) -> None:
    hub.add(OWNER, folder)
    for revision in ("v9", "0" * 40):
        assert why(revision=revision) == (
            f"{OWNER} has no revision {revision!r}; name a branch, a tag or a commit that it has"
        )


def test_where_a_revision_does_not_go(folder: Path, tmp_path: Path) -> None:
    for source in (folder, str(folder), "here.sestina", 5):
        with pytest.raises(ExportError, match="revision goes with the id of a model, such as OWNER/NAME"):
            export(source, tmp_path / "out", revision="main")


@pytest.mark.parametrize(
    "source, expected",
    [
        ("BAAI/bge-small-en-v1.5", True),
        ("a/b", True),
        *(
            (each, False)
            for each in ("./a/b", "/a/b", "a", "a/b/c", "a b/c", "a/", "~/a", "a\\b", "", 5, None)
        ),
    ],
)
def test_what_can_be_the_id_of_a_model(source: Any, expected: bool) -> None:
    assert is_model_id(source) is expected


def test_a_folder_of_that_name_wins(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / OWNER)
    monkeypatch.chdir(tmp_path)
    assert not is_model_id(OWNER)
    result = export(OWNER, "out.sestina", precisions=["fp32"])
    assert "source" not in result.manifest.provenance
    assert hub.asked == []


def test_an_id_that_the_hub_would_not_take(hub: Hub) -> None:
    with pytest.raises(ExportError, match="'a/b--c' is neither a folder nor a model id such as OWNER/NAME"):
        fetch("a/b--c", None, shown=False)
    assert hub.asked == []


class TestWithoutSafetensors:
    @pytest.fixture
    def bare(self, folder: Path, tmp_path: Path) -> Path:
        path = shutil.copytree(folder, tmp_path / "bare")
        (path / "model.safetensors").unlink()
        return path

    def test_pickled(self, hub: Hub, bare: Path) -> None:
        hub.add(OWNER, bare)
        message = why()
        assert message.startswith(
            f"{OWNER} has pytorch_model.bin and no safetensors, and pickles are never read"
        )
        assert f"SentenceTransformer as M; M('{OWNER}').save_pretrained('NAME')" in message

    def test_pickled_without_modules(self, hub: Hub, bare: Path) -> None:
        (bare / "modules.json").unlink()
        hub.add(OWNER, bare)
        assert "from transformers import AutoModel as M, AutoTokenizer as T" in why()

    def test_another_format(self, hub: Hub, bare: Path) -> None:
        (bare / "pytorch_model.bin").unlink()
        hub.add(OWNER, bare)
        message = why()
        assert message.startswith(f"{OWNER} has no model.safetensors (it has ")
        assert "model.gguf" in message

    def test_a_later_module(self, hub: Hub, folder: Path, tmp_path: Path) -> None:
        path = shutil.copytree(folder, tmp_path / "bare")
        (path / "1_Pooling" / "pytorch_model.bin").write_bytes(b"pickle")
        hub.add(OWNER, path)
        assert f"{OWNER} has 1_Pooling/pytorch_model.bin and no safetensors" in why()


def test_shards(hub: Hub, folder: Path, tmp_path: Path) -> None:
    path = shutil.copytree(folder, tmp_path / "sharded")
    tensors = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    names = sorted(tensors)
    index: dict[str, str] = {}
    for at, part in enumerate((names[:5], names[5:])):
        file = f"model-0000{at + 1}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, path / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (path / "model-extra.safetensors").write_bytes(b"not listed")
    hub.add(OWNER, path)
    there = {each.name for each in got().folder.iterdir()}
    assert {f"model-0000{at}-of-00002.safetensors" for at in (1, 2)} <= there
    assert "model-extra.safetensors" not in there


def test_what_is_not_supported_is_refused_before_its_weights_are_fetched(
    hub: Hub, folder: Path, tmp_path: Path
) -> None:
    path = shutil.copytree(folder, tmp_path / "odd")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "no-such-type"}))
    hub.add(OWNER, path)
    assert "no-such-type" in why(UnsupportedCheckpointError)
    assert "config.json" in hub.fetched()
    assert hub.sent() == []


@pytest.mark.parametrize("listed", ["{", "[{}]", '[{"path": 5, "type": "x"}]', '"x"'])
def test_a_list_of_modules_that_is_none(hub: Hub, folder: Path, tmp_path: Path, listed: str) -> None:
    path = shutil.copytree(folder, tmp_path / "odd")
    (path / "modules.json").write_text(listed)
    hub.add(OWNER, path)
    with pytest.raises(CheckpointError, match=r"modules\.json"):
        export(OWNER, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_modules_that_lead_outside(hub: Hub, folder: Path, tmp_path: Path) -> None:
    path = shutil.copytree(folder, tmp_path / "odd")
    listed = json.loads((path / "modules.json").read_text())
    listed[1]["path"] = "../../elsewhere"
    (path / "modules.json").write_text(json.dumps(listed))
    hub.add(OWNER, path)
    with pytest.raises(CheckpointError, match="leaves the folder"):
        export(OWNER, tmp_path / "out")
    assert not [path for _, path, _ in hub.asked if "elsewhere" in path]


def test_a_full_disk(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(OWNER, folder)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub.file_download, "http_get", full)
    message = why()
    assert message.startswith(f"{OWNER} cannot be kept: no space left at ")
    assert "HF_HOME" in message


def test_a_cache_that_cannot_be_written(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(OWNER, folder)
    (tmp_path / "cache").write_text("a file")
    message = why()
    assert f"{OWNER} cannot be kept at {tmp_path / 'cache'}: " in message


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def bars() -> Iterator[None]:
    """As they are at first: another file of tests may have switched them off."""
    utils = huggingface_hub.utils
    off = utils.are_progress_bars_disabled()
    utils.enable_progress_bars()
    yield
    if off:
        utils.disable_progress_bars()


@pytest.mark.usefixtures("bars")
def test_bars_are_for_those_who_ask(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hub.add(OWNER, folder)
    drawn = []
    for shown, stream in ((False, Terminal()), (True, io.StringIO()), (True, Terminal())):
        shutil.rmtree(huggingface_hub.constants.HF_HUB_CACHE, ignore_errors=True)
        monkeypatch.setattr(sys, "stderr", stream)
        assert fetch(OWNER, None, shown=shown).revision == model.commit
        drawn.append(stream.getvalue())
    assert drawn[:2] == ["", ""]
    assert "100%" in drawn[2]
    assert not huggingface_hub.utils.are_progress_bars_disabled()  # as it was


def test_a_model_with_the_vocabulary_alone(hub: Hub, folder: Path, tmp_path: Path) -> None:
    path = shutil.copytree(folder, tmp_path / "bare")
    ids = tiny_wordpiece().get_vocab()
    (path / "tokenizer.json").unlink()
    (path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in sorted(ids, key=ids.__getitem__)))
    hub.add(OWNER, path)
    names = ("tokenizer", "head", "name", "licence", "revision")
    with opened(OWNER, **dict.fromkeys(names), say=lambda _: None, shown=False) as found:
        ids_of = found.checkpoint.tokenize
        assert ids_of(["the model"]) == [tiny_wordpiece().encode("the model").ids]
    assert "tokenizer.json" not in {each.name for each in got().folder.iterdir()}


def test_the_command(folder: Path, tmp_path: Path) -> None:
    """In a process of its own, where the environment alone says which hub there is."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))
    }
    with serving() as hub:
        model = hub.add(OWNER, folder, token="hf_mine")
        environment |= {
            "HF_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": "hf_mine",
            "NO_PROXY": "127.0.0.1,localhost",
        }

        options = ("--precision", "fp32", "--json", "--revision", model.commit)
        command = [sys.executable, "-m", "sestina", "export", OWNER, "a.sestina", *options]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("|")) == (0, 0), done.stderr  # no bar in a pipe
        assert json.loads(done.stdout)["name"] == "tiny-bert"
        manifest = json.loads((tmp_path / "a.sestina" / "manifest.json").read_text())
        assert manifest["provenance"]["revision"] == model.commit
        assert (tmp_path / "home" / "hub" / "models--someone--tiny-bert").is_dir()
