"""What providers compiled: kept only where the caller says, and used only where all of it fits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

import sestina
from _fakes import Behaviour, FakeOnnxruntime, forget_packages, install, made_for, plugin_package
from _masked import for_cpu, masked_bundle, masked_graph, portable, variant
from sestina._errors import OutputError
from sestina._providers.table import PROVIDERS
from sestina._selection.contexts import Contexts
from sestina._session.placement import Placement

QNN, TENSORRT, COREML, OPENVINO = (
    PROVIDERS[name].ep for name in ("qnn", "tensorrt", "coreml", "openvino")
)  # fmt: skip
PLACED = Placement("X", {"X": {"Add": 2}}, 1)


@pytest.fixture
def path(bundle: Path, tmp_path: Path) -> Path:
    masked = masked_graph("qnn-a16w8.onnx")
    for_qnn = variant("qnn-a16w8.onnx", masked, "qnn", "a16w8"), masked
    return masked_bundle(bundle, tmp_path / "many.sestina", for_cpu(), portable(), for_qnn)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeOnnxruntime:
    for module, ep in (("onnxruntime_qnn", QNN), ("onnxruntime_ep_openvino", OPENVINO)):
        plugin_package(monkeypatch, tmp_path / "packages", module, ep)
    forget_packages(monkeypatch, "onnxruntime_ep_webgpu")
    plugins = {QNN: Behaviour(), OPENVINO: Behaviour(device="GPU")}
    return install(monkeypatch, FakeOnnxruntime({TENSORRT: Behaviour(), COREML: Behaviour()}, **plugins))


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if not path.name.startswith("."))


def load(path: Path, cache: Path, **options: Any) -> None:
    with sestina.load(path, cache_dir=cache, **{"provider": "qnn", **options}) as encoder:
        assert encoder.report().provider == "qnn"
        assert encoder.verify().passed  # every bucket


def test_nothing_is_written_unless_asked(path: Path, fake: FakeOnnxruntime, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with sestina.load(path, provider="qnn") as encoder:
        encoder.verify()
    assert all("ep.context_enable" not in options.entries for _, _, options, _ in fake.opened)
    assert [each for each in sorted(tmp_path.rglob("*")) if "__pycache__" not in each.parts] == before
    with sestina.load(path, provider="cpu", cache_dir=tmp_path / "cache"):
        pass
    assert not (tmp_path / "cache").exists()


def test_a_context_is_compiled_once_for_each_bucket(
    path: Path, fake: FakeOnnxruntime, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    load(path, cache)
    assert len(fake.opened) == len(entries(cache)) == 3
    assert all(options.entries["ep.context_enable"] == "1" for _, _, options, _ in fake.opened)
    assert not list(cache.glob(".building*"))
    first = [(entry, (entry / "entry.json").read_bytes()) for entry in entries(cache)]
    fake.opened.clear()
    load(path, cache)
    assert [(entry, (entry / "entry.json").read_bytes()) for entry in entries(cache)] == first
    assert {source for *_, source in fake.opened} == {"context.onnx"}
    assert all("ep.context_enable" not in options.entries for _, _, options, _ in fake.opened)


def test_the_placement_is_that_of_the_graph_that_was_compiled(
    path: Path, fake: FakeOnnxruntime, tmp_path: Path
) -> None:
    """A compiled graph is one node, which says nothing."""
    fake.plugins[QNN].share = 0.97
    reports = []
    for _ in range(2):
        with sestina.load(path, provider="qnn", cache_dir=tmp_path / "cache") as encoder:
            reports.append(encoder.report())
        fake.plugins[QNN].share = 1.0
    assert reports[0].placement == reports[1].placement
    assert reports[1].share < 1


@pytest.mark.parametrize("damage", ["alter", "add", "lose", "unrecord", "misrecord", "placement"])
def test_what_is_in_doubt_is_compiled_again(
    path: Path, fake: FakeOnnxruntime, tmp_path: Path, damage: str
) -> None:
    cache = tmp_path / "cache"
    with sestina.load(path, provider="qnn", cache_dir=cache):
        pass
    (entry,) = entries(cache)
    context, record = entry / "context.onnx", entry / "entry.json"
    if damage == "alter":
        context.write_bytes(context.read_bytes()[:-1] + b"?")
    elif damage == "add":
        (entry / "more").write_bytes(b"")
    elif damage == "lose":
        context.unlink()
    elif damage == "unrecord":
        record.write_text("{")
    else:
        document = json.loads(record.read_text())
        document["record"]["facts" if damage == "misrecord" else "nodes"] = 3
        record.write_text(json.dumps(document))
    fake.opened.clear()
    with sestina.load(path, provider="qnn", cache_dir=cache):
        pass
    assert [source for *_, source in fake.opened] == ["qnn-a16w8.onnx"]
    assert fake.opened[0][2].entries["ep.context_enable"] == "1"
    assert entries(cache) == [entry]
    assert not (entry / "more").exists()


def test_a_context_that_fails_its_probe_is_compiled_again(
    path: Path, fake: FakeOnnxruntime, tmp_path: Path
) -> None:
    """A whole entry may still be of another driver, which no version told apart."""
    cache = tmp_path / "cache"
    with sestina.load(path, provider="qnn", cache_dir=cache):
        pass
    opened = fake.InferenceSession

    def session(source: Any, options: Any, **more: Any) -> Any:
        if made_for(source) == "context.onnx":
            raise RuntimeError("made for another driver")
        return opened(source, options, **more)

    fake.InferenceSession = session
    fake.opened.clear()
    with sestina.load(path, provider="qnn", cache_dir=cache) as encoder:
        assert encoder.report().provider == "qnn"
    assert [source for *_, source in fake.opened] == ["qnn-a16w8.onnx"]
    assert len(entries(cache)) == 1


def test_the_key_holds_everything_that_matters(
    path: Path, fake: FakeOnnxruntime, tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"

    def count(**options: Any) -> int:
        with sestina.load(options.pop("path", path), cache_dir=cache, **{"provider": "qnn", **options}):
            pass
        return len(entries(cache))

    assert count() == count() == 1
    assert count(provider=[("qnn", {"vtcm_mb": 8})]) == 2
    assert count(strict=True) == 3
    fake.plugins[QNN].device = "CPU"
    assert count() == 4
    fake.plugins[QNN].device = "NPU"
    fake.plugins[QNN].device_id = 1
    assert count() == 5
    monkeypatch.setattr(fake, "__version__", "9.9", raising=False)
    assert count() == 6
    monkeypatch.setattr("sestina._providers.attached_provider._version", lambda _: "later")
    assert count() == 7
    monkeypatch.setattr("platform.platform", lambda: "another system")
    assert count() == 8
    model = onnx.load_from_string(masked_graph())
    model.producer_name = "another"
    content = model.SerializeToString()
    changed = masked_bundle(
        bundle, tmp_path / "changed.sestina", (variant("qnn-a16w8.onnx", content, "qnn", "a16w8"), content)
    )
    assert count(path=changed) == 9
    assert count() == count(path=changed) == 9


@pytest.mark.parametrize(
    "provider, ep, option",
    [
        ("tensorrt", TENSORRT, "trt_engine_cache_path"),
        ("coreml", COREML, "ModelCacheDirectory"),
        ("openvino", OPENVINO, "load_config"),
    ],
)
def test_providers_that_take_a_directory_get_one_of_their_own(
    bundle: Path, fake: FakeOnnxruntime, tmp_path: Path, provider: str, ep: str, option: str
) -> None:
    cache = tmp_path / "cache"
    path = masked_bundle(bundle, tmp_path / "portable.sestina", portable())
    for expected in (".building-", entries):
        with sestina.load(path, provider=provider, cache_dir=cache) as encoder:
            assert encoder.report().provider == provider
        name, options, _, source = fake.opened[-1]
        value = options[option]
        folder = Path(json.loads(value)["GPU"]["CACHE_DIR"] if provider == "openvino" else value)
        assert (name, source, folder.parent) == (ep, "portable-fp32.onnx", cache)
        if expected is entries:
            assert [folder] == entries(cache)
        else:
            assert folder.name.startswith(str(expected))
    assert ("trt_engine_cache_enable" in fake.opened[-1][1]) == (provider == "tensorrt")


def test_a_directory_that_cannot_be_written(path: Path, fake: FakeOnnxruntime, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for where in (tmp_path / "file", tmp_path / "file" / "below", "a\0b"):
        with pytest.raises(OutputError, match="cache_dir .* cannot be written: ") as caught:
            sestina.load(path, provider="qnn", cache_dir=where)
        assert "\n" not in str(caught.value)


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    contexts = Contexts(tmp_path / "cache")

    def build() -> None:
        with contexts.build() as folder:
            (folder / "half").write_bytes(b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_quicker_of_two_processes_stays(tmp_path: Path) -> None:
    contexts, facts = Contexts(tmp_path / "cache"), {"graph": "a"}
    for content in (b"first", b"second"):
        with contexts.build() as folder:
            (folder / "context.onnx").write_bytes(content)
            contexts.keep(folder, facts, PLACED)
    found = contexts.find(facts)
    assert found is not None
    assert (found[0] / "context.onnx").read_bytes() == b"first"
    assert found[1] == PLACED
    assert contexts.find({"graph": "b"}) is None
    shutil.rmtree(found[0])
    assert contexts.find(facts) is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing proves that a process is dead")
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import os, sys; from sestina._selection.contexts import Contexts\n"
        "with Contexts(sys.argv[1]).build() as folder:\n"
        "    (folder / 'half').write_bytes(b'x'); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (dead,) = tmp_path.iterdir()
    mine = tmp_path / ".building-site"
    mine.mkdir()
    (mine / "plan").write_text("of years")
    os.utime(mine, (0, 0))
    contexts = Contexts(tmp_path)
    assert list(tmp_path.iterdir()) == [mine]
    assert (mine / "plan").read_text() == "of years"
    with contexts.build() as folder:
        assert folder.name[:-12] == dead.name[:-12]  # of the same boot
        Contexts(tmp_path)  # another encoder of this process
        assert folder.is_dir()
