"""Which provider is taken: against fakes that claim to be elsewhere and compute on the CPU."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sestina
from _fakes import Behaviour, FakeOnnxruntime, forget_packages, install, made_for, plugin_package
from _masked import for_cpu, masked_bundle, masked_graph, portable, variant
from sestina._bundle.bundle import Bundle
from sestina._providers.attached_provider import CPU
from sestina._providers.table import PROVIDERS
from sestina._session.placement import Placement
from sestina._session.session import Session, Setting

CUDA, QNN, WEBGPU = (PROVIDERS[name].ep for name in ("cuda", "qnn", "webgpu"))
PLUGINS = ("onnxruntime_qnn", "onnxruntime_ep_openvino", "onnxruntime_ep_webgpu")


@pytest.fixture(scope="module")
def path(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph for the CPU, one for QNN, and one for every provider."""
    masked = masked_graph("qnn-a16w8.onnx")
    for_qnn = variant("qnn-a16w8.onnx", masked, "qnn", "a16w8", tolerance=1e-3), masked
    target = tmp_path_factory.mktemp("selection") / "many.sestina"
    return masked_bundle(bundle, target, for_cpu(), portable(), for_qnn)


@pytest.fixture
def qnn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Behaviour:
    """QNN's plugin is installed, no other is; what it does is for the test to say."""
    behaviour = Behaviour()
    plugin_package(monkeypatch, tmp_path / "packages", "onnxruntime_qnn", QNN)
    forget_packages(monkeypatch, *PLUGINS[1:])
    install(monkeypatch, FakeOnnxruntime(**{QNN: behaviour}))
    return behaviour


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> tuple[Behaviour, FakeOnnxruntime]:
    """onnxruntime has CUDA, and no plugin is installed."""
    behaviour = Behaviour()
    forget_packages(monkeypatch, *PLUGINS)
    return behaviour, install(monkeypatch, FakeOnnxruntime({CUDA: behaviour}))


def current() -> FakeOnnxruntime:
    fake: Any = sys.modules["onnxruntime"]
    assert isinstance(fake, FakeOnnxruntime)
    return fake


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(sestina.ProviderError) as caught:
        sestina.load(path, strict=True, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def wrong(value: Any) -> Any:
    return value + np.float32(0.01)


def nearly(value: Any) -> Any:
    """What float16 makes of a vector, and float32 does not."""
    return value + np.float32(0.001)


@pytest.fixture
def floats(bundle: Path, tmp_path: Path) -> Path:
    """The graph for every provider alone, with what it may differ by in float16."""
    entry, content = portable()
    entry = entry._replace(parity={**entry.parity, "float16_tolerance": 5e-3})
    return masked_bundle(bundle, tmp_path / "floats.sestina", (entry, content))


def test_a_provider_that_computes_in_float16_is_held_to_what_float16_can(
    floats: Path, path: Path, qnn: Behaviour
) -> None:
    qnn.spoil = nearly
    with sestina.load(floats, provider="qnn", strict=True) as encoder:
        report, verification = encoder.report(), encoder.verify()
    assert (report.provider, report.precision, report.half_precision) == ("qnn", "fp32", True)
    assert (verification.passed, verification.tolerance) == (True, 5e-3)
    with sestina.load(floats, provider="cpu") as encoder:
        assert not encoder.report().half_precision
        assert encoder.verify().tolerance == portable()[0].tolerance
    qnn.spoil = None  # what it may do and what it does are two things: the goldens tell
    with sestina.load(floats, provider="qnn", strict=True) as encoder:
        assert not encoder.report().half_precision
        assert encoder.verify().tolerance == portable()[0].tolerance
    qnn.spoil = wrong
    assert "0.01 from PyTorch's, the variant's tolerance is 0.005" in refused(floats, provider="qnn")
    qnn.spoil = nearly  # a bundle that states no such tolerance promises float32
    assert "the variant's tolerance is 1e-05" in refused(path, provider="qnn", precision="fp32")


def test_a_provider_that_computes_in_float32_is_held_to_float32(
    floats: Path, cuda: tuple[Behaviour, FakeOnnxruntime]
) -> None:
    cuda[0].spoil = nearly
    assert "the variant's tolerance is 1e-05" in refused(floats, provider="cuda")
    cuda[0].spoil = None
    with sestina.load(floats, provider="cuda", strict=True) as encoder:
        assert not encoder.report().half_precision


@pytest.mark.parametrize("value", [0, -1, "0.1", None])
def test_a_tolerance_for_float16_is_a_number(value: object, floats: Path) -> None:
    manifest = floats / "manifest.json"
    document = json.loads(manifest.read_text())
    document["variants"][0]["parity"]["float16_tolerance"] = value
    manifest.write_text(json.dumps(document))
    with pytest.raises(sestina.BundleFormatError, match="float16_tolerance"):
        sestina.load(floats)


def test_an_accepted_provider_is_reported_in_full(path: Path, qnn: Behaviour) -> None:
    qnn.share = 0.96
    with sestina.load(path, provider="qnn") as encoder:
        report = encoder.report()
        assert encoder.verify().passed
        assert encoder.encode(["a text", "another"]).shape == (2, 32)
    assert (report.provider_asked, report.provider, report.device) == ("qnn", "qnn", "Fake NPU")
    assert (report.variant, report.precision) == ("qnn-a16w8.onnx", "a16w8")
    assert 0.95 < report.share < 1
    assert (report.partitions, report.workers) == (1, 1)
    assert sum(report.fell_back.values()) >= 1
    assert report.placement["CPUExecutionProvider"] == report.fell_back
    assert report.probe_error is not None
    assert report.probe_error < 1e-5
    assert report.first_run_ms is not None
    assert report.first_run_ms > 0
    assert report.reason == "the only one made for qnn"
    assert report.passed_over == (
        "cpu-fp32.onnx: made for cpu, not for qnn",
        "portable-fp32.onnx: qnn-a16w8.onnx was preferred: the only one made for qnn",
    )
    name, options, session, _ = current().opened[0]
    assert (name, options) == (QNN, {"backend_type": "htp", "offload_graph_io_quantization": "0"})
    assert session.entries["session.record_ep_graph_assignment_info"] == "1"
    assert "session.disable_cpu_ep_fallback" not in session.entries


def test_strict_asks_onnxruntime_too(path: Path, qnn: Behaviour) -> None:
    with sestina.load(path, provider="qnn", strict=True):
        pass
    assert current().opened[0][2].entries["session.disable_cpu_ep_fallback"] == "1"
    qnn.share = 0.96
    message = refused(path, provider="qnn")
    assert message.count("some nodes are assigned to the CPU, and fallback is disabled") == 2


def test_cuda_may_leave_the_arithmetic_of_shapes_to_the_cpu(
    path: Path, cuda: tuple[Behaviour, FakeOnnxruntime]
) -> None:
    """onnxruntime does so whatever it is asked, and its own strictness would refuse every dynamic graph."""
    _, fake = cuda
    with sestina.load(path, provider="cuda", strict=True):
        pass
    assert "session.disable_cpu_ep_fallback" not in fake.opened[0][2].entries
    shapes = {"Concat": 3, "Squeeze": 1}
    taken = {"Gemm": 6, "MultiHeadAttention": 2}
    placed = Placement(CUDA, {CUDA: taken, "CPUExecutionProvider": shapes}, 8)
    assert placed.share == 8 / 12
    assert placed.computed() == (1.0, {})
    placed = Placement(CUDA, {CUDA: taken, "CPUExecutionProvider": {**shapes, "GroupQueryAttention": 2}}, 8)
    assert placed.computed() == (0.8, {"GroupQueryAttention": 2})
    assert Placement(CUDA, {"CPUExecutionProvider": shapes}, 0).computed() == (0.0, {})


def test_cuda_with_a_computation_on_the_cpu_is_refused(
    path: Path, cuda: tuple[Behaviour, FakeOnnxruntime]
) -> None:
    behaviour, _ = cuda
    behaviour.share = 0.0
    assert "0% of its nodes run there, at least 100% must; the CPU has" in refused(path, provider="cuda")


def test_cuda_that_does_not_start_is_named(path: Path, cuda: tuple[Behaviour, FakeOnnxruntime]) -> None:
    """onnxruntime says that on standard error, and goes on with the CPU."""
    behaviour, fake = cuda
    behaviour.started = False
    message = refused(path, provider="cuda")
    assert f"onnxruntime {fake.__version__} cannot start it: its driver, or the libraries of CUDA" in message
    assert "install onnxruntime-gpu[cuda,cudnn]" in message


def test_options_reach_the_provider(path: Path, qnn: Behaviour) -> None:
    asked: Any = [("qnn", {"vtcm_mb": 4, "offload_graph_io_quantization": True})]
    with sestina.load(path, provider=asked):
        pass
    assert current().opened[0][1] == {
        "backend_type": "htp", "offload_graph_io_quantization": "1", "vtcm_mb": "4",
    }  # fmt: skip


def test_a_simulated_device_is_told_what_to_simulate(path: Path, qnn: Behaviour) -> None:
    qnn.device = "CPU"
    with sestina.load(path, provider="qnn") as encoder:
        assert encoder.report().device == "Fake CPU, simulating an NPU"
    assert current().opened[0][1]["soc_model"] == "57"
    asked: Any = [("qnn", {"soc_model": 60})]
    with sestina.load(path, provider=asked):
        pass
    assert current().opened[-1][1]["soc_model"] == "60"


@pytest.mark.parametrize(
    "behaviour, said",
    [
        (Behaviour(share=0.5), "of its nodes run there, at least 95% must; the CPU has 1 Add"),
        (Behaviour(spoil=wrong), "its vectors are 0.01 from PyTorch's, the variant's tolerance is 0.001"),
        (Behaviour(spoil=lambda value: value * np.nan), "gave a sentence_embedding that is not finite for ids of shape (1, "),
        (Behaviour(spoil=lambda value: value[:, ::-1]), "from PyTorch's, the variant's tolerance is"),
        (Behaviour(fails=RuntimeError("the driver\nis not there")), "cannot be loaded on qnn: the driver is not there"),
        (Behaviour(fails=SystemError("bad")), "cannot be loaded on qnn: bad"),
        (Behaviour(device=None), "qnn: no device for it was found here (wanted NPU or CPU, found none)"),
        (Behaviour(device="GPU"), "no device for it was found here (wanted NPU or CPU, found GPU)"),
    ],
)  # fmt: skip
def test_what_is_not_accepted(path: Path, qnn: Behaviour, behaviour: Behaviour, said: str) -> None:
    current().plugins[QNN] = behaviour
    with pytest.warns(sestina.ProviderWarning) as caught:
        encoder = sestina.load(path, provider="qnn")
    with encoder:
        report = encoder.report()
        assert encoder.verify().passed
    assert (report.provider_asked, report.provider, report.variant) == ("qnn", "cpu", "cpu-fp32.onnx")
    (warning,) = caught
    assert str(warning.message).startswith("qnn was asked for, the CPU is used: qnn")
    assert said in str(warning.message)
    assert warning.filename == __file__
    assert any(said in why for why in report.passed_over)
    with sestina.load(path) as encoder:  # nobody named it: no warning
        report = encoder.report()
    assert (report.provider_asked, report.provider) == ("auto", "cpu")
    assert any(said in why for why in report.passed_over)
    if behaviour.share == 1:
        assert said in refused(path, provider="qnn")


def test_a_wrong_vector_in_the_preferred_variant_alone(path: Path, qnn: Behaviour) -> None:
    """The next variant is tried: here the portable one, which the same provider gets right."""
    opened = current().InferenceSession

    def session(source: Any, options: Any, **more: Any) -> Any:
        found = opened(source, options, **more)
        if "qnn-a16w8" in made_for(source):
            found._behaviour = replace(qnn, spoil=wrong)
        return found

    current().InferenceSession = session
    with sestina.load(path, provider="qnn") as encoder:
        report = encoder.report()
    assert (report.provider, report.variant) == ("qnn", "portable-fp32.onnx")
    assert report.reason == "the first that qnn passed with"
    (why,) = (why for why in report.passed_over if "qnn-a16w8.onnx" in why)
    assert why.startswith("qnn with qnn-a16w8.onnx: its vectors are 0.01 from PyTorch's")


def test_the_order_of_a_list_is_respected(
    path: Path, qnn: Behaviour, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    current().built_in[CUDA] = Behaviour()
    for names in (["cuda", "qnn"], ["qnn", "cuda"], ["cpu", "cuda", "qnn"]):
        with sestina.load(path, provider=names) as encoder:
            assert encoder.report().provider == names[0]
            assert encoder.report().provider_asked == ", ".join(names)
    qnn.fails = RuntimeError("no")
    with sestina.load(path, provider=["qnn", "cuda"]) as encoder:
        report = encoder.report()
    assert report.provider == "cuda"
    assert any(why.startswith("qnn with qnn-a16w8.onnx: ") for why in report.passed_over)
    with sestina.load(path, provider=["qnn", "cpu"]) as encoder:  # the CPU was named: no warning
        assert encoder.report().provider == "cpu"


def test_strict_raises_with_all_reasons_in_one_line(path: Path, qnn: Behaviour) -> None:
    qnn.spoil = wrong
    current().built_in[CUDA] = Behaviour(share=0.2)
    message = refused(path, provider=["qnn", "cuda", "webgpu"])
    assert message.startswith(f"no provider that was allowed runs {path}: ")
    for part in (
        "qnn with qnn-a16w8.onnx: its vectors",
        "qnn with portable-fp32.onnx: its vectors",
        "cuda with portable-fp32.onnx: ",
        "cuda with cpu-fp32.onnx: ",
        "webgpu: the package onnxruntime_ep_webgpu is not installed: pip install onnxruntime-ep-webgpu",
    ):
        assert message.count(part) == 1
    assert "cpu: " not in message.replace("found cpu: ", "")
    with sestina.load(path, provider=["qnn", "cpu"], strict=True) as encoder:
        assert encoder.report().provider == "cpu"


def test_auto_takes_an_accelerator_and_only_that(path: Path, qnn: Behaviour) -> None:
    with sestina.load(path) as encoder:
        report = encoder.report()
    assert (report.provider_asked, report.provider, report.variant) == ("auto", "qnn", "qnn-a16w8.onnx")
    assert any(why.startswith("cuda: this onnxruntime") for why in report.passed_over)
    qnn.device = "CPU"
    with sestina.load(path) as encoder:
        report = encoder.report()
    assert report.provider == "cpu"
    (why,) = (why for why in report.passed_over if why.startswith("qnn: "))
    assert "auto leaves to the CPU's own variants; ask for provider='qnn' to use it" in why


def test_auto_looks_for_nothing_that_the_bundle_has_no_variant_for(
    bundle: Path, qnn: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a start on a plain CPU pays for no provider."""

    def never(*_: object) -> None:
        raise AssertionError("looked for a provider")

    for name in ("get_ep_devices", "get_available_providers"):
        monkeypatch.setattr(current(), name, never)
    monkeypatch.setattr("importlib.util.find_spec", never)
    with sestina.load(bundle) as encoder:
        assert encoder.report().provider == "cpu"
        assert encoder.verify().passed


def test_auto_moves_no_graph_made_for_the_cpu(
    bundle: Path, tmp_path: Path, cuda: tuple[Behaviour, FakeOnnxruntime]
) -> None:
    path = masked_bundle(bundle, tmp_path / "cpu.sestina", for_cpu())
    with sestina.load(path) as encoder:
        assert encoder.report().provider == "cpu"
    with sestina.load(path, provider="cuda") as encoder:
        assert encoder.report().provider == "cuda"


def test_a_library_that_is_not_there(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugin_package(monkeypatch, tmp_path, "onnxruntime_qnn", QNN, library=False)
    install(monkeypatch, FakeOnnxruntime(**{QNN: Behaviour()}))
    message = refused(path, provider="qnn")
    assert "qnn: its library cannot be registered: Failed to load library" in message


def test_a_package_that_cannot_be_imported(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugin_package(monkeypatch, tmp_path, "onnxruntime_qnn", QNN)
    (tmp_path / "onnxruntime_qnn" / "__init__.py").write_text("raise ZeroDivisionError('at import')")
    install(monkeypatch, FakeOnnxruntime(**{QNN: Behaviour()}))
    assert "qnn: its library cannot be registered: at import" in refused(path, provider="qnn")


def test_plugins_are_registered_only_when_asked_for_and_once(path: Path, qnn: Behaviour) -> None:
    with sestina.load(path, provider="cpu"):
        pass
    assert current().registered == {}
    assert "onnxruntime_qnn" not in sys.modules
    for _ in range(2):
        with sestina.load(path, provider="qnn"):
            pass
    assert list(current().registered) == [QNN]


def test_cuda_that_comes_as_a_plugin_within_onnxruntime(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As onnxruntime 1.32's CUDA wheels may have it: registered at import, not among those built in."""
    fake = install(monkeypatch, FakeOnnxruntime(**{CUDA: Behaviour(device="GPU")}))
    fake.registered[CUDA] = ""
    with sestina.load(path, provider="cuda") as encoder:
        assert (encoder.report().provider, encoder.report().device) == ("cuda", "Fake GPU")
    assert fake.opened[0][2].attached == [(CUDA, {"sdpa_kernel": "55", "use_tf32": "0"})]


def test_cuda_binds_its_outputs_and_keeps_several_batches_in_flight(
    path: Path, cuda: tuple[Behaviour, FakeOnnxruntime]
) -> None:
    asked: Any = [("cuda", {"device_id": 2})]
    texts = [f"{'model ' * (number % 9)}{number}" for number in range(300)]
    with sestina.load(path, provider="cpu") as encoder:
        expected, states = encoder.encode(texts), encoder.hidden_states(texts[:20])
    with sestina.load(path, provider=asked) as encoder:
        report = encoder.report()
        assert encoder.verify().passed
        assert np.abs(encoder.encode(texts) - expected).max() < 1e-6
        own = encoder.hidden_states(texts[:20])
    assert all(np.abs(one - other).max() < 1e-6 for one, other in zip(own, states, strict=True))
    assert (report.provider, report.device) == ("cuda", "NVIDIA GPUs, device 2")
    assert (report.workers, report.batch_tokens) == (3, 16384)
    assert set(cuda[1].bound) == {("sentence_embedding", "cuda", 2), ("last_hidden_state", "cuda", 2)}


def test_a_dynamic_graph_is_probed_in_batches_too(
    bundle: Path, tmp_path: Path, cuda: tuple[Behaviour, FakeOnnxruntime]
) -> None:
    """Attention that mixes the rows of a batch is right for every text alone."""

    def mixed(value: Any) -> Any:
        return value if len(value) == 1 else value + np.arange(len(value))[:, None].astype(np.float32)

    cuda[0].spoil = mixed
    path = masked_bundle(bundle, tmp_path / "cpu.sestina", for_cpu())
    assert "cuda with cpu-fp32.onnx: its vectors are 1 from PyTorch's" in refused(path, provider="cuda")


def test_a_bucket_that_goes_wrong_later_is_loud(path: Path, qnn: Behaviour) -> None:
    """Buckets are opened when they are needed, and probed then."""
    with sestina.load(path, provider="qnn") as encoder:
        encoder.encode("a")
        qnn.spoil = wrong
        with pytest.raises(sestina.ProviderError, match=r"its vectors are 0\.01 from PyTorch's"):
            encoder.encode("model " * 70, on_truncate="ignore")
        qnn.spoil = None
        assert encoder.encode("model " * 70, on_truncate="ignore").shape == (32,)


def test_an_altered_graph_is_not_tried(path: Path, bundle: Path, tmp_path: Path, qnn: Behaviour) -> None:
    own = masked_bundle(bundle, tmp_path / "own.sestina", portable())
    graph = own / "portable-fp32.onnx"
    content = bytearray(graph.read_bytes())
    content[-100] ^= 1
    graph.write_bytes(content)
    with pytest.raises(sestina.BundleIntegrityError, match="its SHA-256 differs"):
        sestina.load(own, provider="qnn")
    assert current().opened == []


def test_a_precision_that_the_provider_has_no_variant_of(path: Path, qnn: Behaviour) -> None:
    message = refused(path, provider="qnn", precision="int8")
    assert "qnn: " in message
    assert "has no variant for qnn/int8; it has cpu/fp32, portable/fp32 of fixed shapes" in message
    with sestina.load(path, provider="qnn", precision="fp32") as encoder:
        assert encoder.report().variant == "portable-fp32.onnx"


def test_a_bundle_without_a_variant_for_the_cpu(bundle: Path, tmp_path: Path, qnn: Behaviour) -> None:
    content = masked_graph()
    path = masked_bundle(
        bundle, tmp_path / "qnn.sestina", (variant("q.onnx", content, "qnn", "fp16"), content)
    )
    with sestina.load(path) as encoder:
        assert encoder.report().provider == "qnn"
    qnn.fails = RuntimeError("no")
    with pytest.raises(sestina.ProviderError) as caught, warnings.catch_warnings():
        sestina.load(path, provider="qnn")
    message = str(caught.value)
    assert "qnn with q.onnx: " in message
    assert "cpu: " in message
    assert "has no variant for cpu; it has qnn/fp16 of fixed shapes" in message


def test_the_kind_of_device_can_be_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ep = PROVIDERS["openvino"].ep
    plugin_package(monkeypatch, tmp_path / "packages", "onnxruntime_ep_openvino", ep)
    fake = install(monkeypatch, FakeOnnxruntime(**{ep: Behaviour(device="CPU")}))
    asked: Any = [("openvino", {"device": "CPU"})]
    with sestina.load(path, provider=asked) as encoder:
        assert encoder.report().device == "Fake CPU"
    assert "device" not in fake.opened[0][1]  # onnxruntime never hears of it
    asked = [("openvino", {"device": "GPU"})]
    assert "no device for it was found here (wanted GPU, found CPU)" in refused(path, provider=asked)


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, {"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}),
        ({"CPU": {"NUM_STREAMS": "2"}}, {"CPU": {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "2"}}),
        ({"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}, {"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}),
        ({"GPU": {"A": "1"}}, {"CPU": {"INFERENCE_PRECISION_HINT": "f32"}, "GPU": {"A": "1"}}),
    ],
)
def test_openvino_computes_float32_on_a_cpu_as_such_unless_told_otherwise(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: Any, expected: Any
) -> None:
    ep = PROVIDERS["openvino"].ep
    plugin_package(monkeypatch, tmp_path / "packages", "onnxruntime_ep_openvino", ep)
    device = Behaviour(device="CPU")
    fake = install(monkeypatch, FakeOnnxruntime(**{ep: device}))
    sestina.load(path, provider=[("openvino", {"load_config": given} if given else {})]).close()
    assert json.loads(fake.opened[0][1]["load_config"]) == expected
    device.device = "GPU"  # where float16 is the device's own way
    sestina.load(path, provider="openvino").close()
    assert fake.opened[-1][1] == {}


def test_a_package_that_is_blocked_is_not_installed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_qnn", None)  # as tests of slimness do
    assert "qnn: the package onnxruntime_qnn is not installed" in refused(path, provider="qnn")


def test_binding_with_the_real_onnxruntime(path: Path) -> None:
    """Bound to the CPU's memory, since no other is here."""
    graph, entry = Bundle(path).graph("cpu-fp32.onnx"), for_cpu()[0]
    plain = Session(graph, entry, Setting())
    attachment = CPU._replace(provider=CPU.provider._replace(bound="cpu"))
    bound = Session(graph, entry, Setting(attachment))
    ids = np.array([[3, 5, 7], [11, 2, 0]], dtype=np.int64)
    for output in ("sentence_embedding", "last_hidden_state"):
        assert np.array_equal(bound.run(output, ids), plain.run(output, ids))
    assert bound.run("sentence_embedding", ids).dtype == np.float32
    with pytest.raises(sestina.ProviderError, match=r"cpu-fp32\.onnx failed on \(1, 1\)"):
        bound.run("sentence_embedding", np.array([[10**6]], dtype=np.int64))
