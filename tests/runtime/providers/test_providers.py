"""The table of providers, and what may be asked of them: what onnxruntime would silently take is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

import sestina
from sestina._bundle.manifest import Precision, Target
from sestina._cli.providers import markdown
from sestina._providers.attached_provider import attach
from sestina._providers.request import in_order, read_request, spell
from sestina._providers.table import AUTO_ORDER, PROVIDERS
from sestina._session.placement import Placement

PAGE = Path(__file__).parents[3] / "docs" / "providers.md"


def test_the_table_is_consistent() -> None:
    assert {provider.name for provider in PROVIDERS.values()} == set(PROVIDERS)
    assert len({provider.ep for provider in PROVIDERS.values()}) == len(PROVIDERS)
    assert AUTO_ORDER[-1] == "cpu"
    assert set(AUTO_ORDER) == {name for name, provider in PROVIDERS.items() if provider.auto}
    for provider in PROVIDERS.values():
        assert provider.wanted
        assert provider.devices
        assert set(provider.auto) <= set(provider.devices)
        assert 0 < provider.least_share <= 1
        for wanted in provider.wanted:
            assert wanted.target in get_args(Target)
            assert wanted.precisions
            assert set(wanted.precisions) <= set(get_args(Precision))
        names = [option.name for option in provider.options]
        assert len(set(names)) == len(names)
        for option in provider.options:
            assert bool(option.choices) == (option.type == "choice")


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_our_defaults_are_values_that_we_allow(provider: Any) -> None:
    ours = {option.name: option.default for option in provider.options if option.default is not None}
    ours |= dict(provider.on_cpu)
    (asked,) = read_request([(provider.name, ours)]) or ()
    assert asked.options == ours


@pytest.mark.parametrize(
    "name, option, value, sent",
    [
        ("cuda", "device_id", 1, "1"),
        ("cuda", "device_id", "1", "1"),
        ("cuda", "use_tf32", True, "1"),
        ("cuda", "use_tf32", "0", "0"),
        ("qnn", "htp_performance_mode", "burst", "burst"),
        ("qnn", "htp_graph_finalization_optimization_mode", 3, "3"),
        ("openvino", "load_config", {"CPU": {"NUM_STREAMS": 2}}, '{"CPU": {"NUM_STREAMS": 2}}'),
        ("openvino", "load_config", '{"CPU": {}}', '{"CPU": {}}'),
    ],
)
def test_options_become_the_text_that_onnxruntime_takes(
    name: str, option: str, value: object, sent: str
) -> None:
    (asked,) = read_request([(name, {option: value})]) or ()
    assert asked.options == {option: sent}


@pytest.mark.parametrize(
    "name, option, value, said",
    [
        ("cuda", "device_id", -1, "option device_id of cuda is -1; it must be a whole number of at least 0"),
        ("cuda", "device_id", 1.0, "a whole number of at least 0"),
        ("cuda", "device_id", True, "a whole number of at least 0"),
        ("cuda", "device_id", "١", "a whole number of at least 0"),
        ("cuda", "device_id", "9" * 5000, "a whole number of at least 0"),
        ("cuda", "gpu_mem_limit", 0, "option gpu_mem_limit of cuda is 0; it must be a whole number of at least 1"),
        ("cuda", "use_tf32", "yes", "option use_tf32 of cuda is 'yes'; it must be True or False"),
        ("cuda", "use_tf32", 1, "it must be True or False"),
        ("cuda", "use_tf32", None, "it must be True or False"),
        ("coreml", "MLComputeUnits", "all", "it must be one of ALL, CPUAndNeuralEngine, CPUAndGPU, CPUOnly"),
        ("qnn", "backend_type", ["htp"], "option backend_type of qnn is ['htp']; it must be one of htp, gpu, cpu"),
        ("openvino", "load_config", "{", "it must be an object for each device, such as"),
        ("openvino", "load_config", {"CPU": 1}, "it must be an object for each device, such as"),
        ("openvino", "load_config", {"CPU": {"a": object()}}, "it must be an object for each device"),
        ("cuda", "use_tf23", "0", "cuda has no option 'use_tf23'; it has device_id, gpu_mem_limit"),
        ("cuda", 3, "0", "cuda has no option 3; it has device_id"),
        ("cuda", "user_compute_stream", "140", "cuda has no option 'user_compute_stream'; it has"),
        ("tensorrt", "trt_engine_cache_path", "/", "tensorrt has no option 'trt_engine_cache_path'; it has"),
        ("cpu", "threads", 1, "cpu has no option 'threads'; it has none"),
    ],
)  # fmt: skip
def test_options_that_are_refused(name: str, option: Any, value: object, said: str, bundle: Path) -> None:
    with pytest.raises(sestina.OptionError) as caught:
        sestina.load(bundle, provider=[(name, {option: value})])
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert len(message) < 700


@pytest.mark.parametrize(
    "argument, said",
    [
        ("gpu", "provider is 'gpu'; it must be one of auto, cpu, cuda, tensorrt, coreml, qnn"),
        ("CPUExecutionProvider", "it must be one of auto, cpu"),
        ("", "provider is ''; it must be one of auto"),
        ([], "provider is []; it must be a name, or a list of names and (name, options)"),
        (None, "provider is None; it must be a name, or a list"),
        (b"cpu", "provider is b'cpu'; it must be a name, or a list"),
        ({"cuda": {}}, "it must be a name, or a list"),
        (["auto", "cpu"], "provider is 'auto'; it must be one of"),
        ([("cuda",)], "provider has the entry ('cuda',); it must be a name, or (name, options)"),
        ([("cuda", None)], "it must be a name, or (name, options)"),
        ([(None, {})], "provider is None; it must be one of auto"),
        ([3], "provider has the entry 3; it must be a name, or (name, options)"),
    ],
)
def test_arguments_that_name_no_provider(argument: Any, said: str, bundle: Path) -> None:
    with pytest.raises(sestina.OptionError) as caught:
        sestina.load(bundle, provider=argument)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", ["", 3, b"x", True])
def test_a_cache_directory_is_a_path(value: Any, bundle: Path) -> None:
    with pytest.raises(sestina.OptionError, match="it must be the path of a directory, or None"):
        sestina.load(bundle, cache_dir=value)


def test_order(bundle: Path) -> None:
    from sestina._bundle.bundle import Bundle

    variants = Bundle(bundle).manifest.variants  # made for the CPU alone
    named = read_request(["qnn", ("cuda", {"device_id": 1})])

    def names(asked: Any, strict: bool = False) -> list[str]:
        return [each.provider.name for each in in_order(asked, variants, strict=strict)]

    assert names(None) == ["cpu"]
    assert names(named) == ["qnn", "cuda", "cpu"]
    assert names(named, strict=True) == ["qnn", "cuda"]
    assert names(read_request(["cpu", "qnn"])) == ["cpu", "qnn"]
    assert spell(["qnn", ("cuda", {})]) == "qnn, cuda"


def test_what_is_not_here_says_how_to_get_it() -> None:
    """With the onnxruntime of this machine, which has the CPU alone."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    (cuda,) = read_request("cuda") or ()
    with pytest.raises(sestina.ProviderError) as caught:
        attach(cuda)
    assert str(caught.value) == (
        f"this onnxruntime {onnxruntime.__version__} was built without it: pip uninstall onnxruntime, then pip "
        "install onnxruntime-gpu"
    )


def test_the_table_of_the_readme_is_the_data() -> None:
    assert "\n".join(markdown()) in PAGE.read_text("utf-8")


def test_the_share_of_a_placement() -> None:
    def share(**counts: int) -> float:
        return Placement("A", {name: {"Add": count} for name, count in counts.items()}, 1).share

    assert (share(A=4), share(A=3, CPUExecutionProvider=1), share(B=2)) == (1, 0.75, 0)
    assert Placement("A", {}, 0).share == 0
    assert Placement("CPUExecutionProvider", {}, 0).share == 1  # as of a graph in the .ort format
