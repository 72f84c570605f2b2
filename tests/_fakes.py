"""Providers that are not here: the real onnxruntime, with claims of a test's choosing laid over it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import onnxruntime
import pytest

FREE = "free dimension "
COMPILED = onnx.ModelProto(producer_name="context.onnx").SerializeToString()  # to be merged with a graph


def made_for(graph: bytes) -> str:
    """The file that a graph of `_masked` says it is, or that it was compiled."""
    return str(onnx.load_from_string(graph).producer_name)


@dataclass
class Behaviour:
    """What a provider does.

    Attributes:
        share: Of the nodes, the first so many are given to it, the rest to the CPU.
        spoil: Done to every vector that it gives.
        started: Whether it is in the session, without which onnxruntime goes on.
        fails: Raised when a session is made.
        device, device_id: The kind of its device, where it is a plugin and has one, and which.
    """

    share: float = 1.0
    spoil: Callable[[Any], Any] | None = None
    started: bool = True
    fails: Exception | None = None
    device: str | None = "NPU"
    device_id: int = 0


@dataclass
class Options:
    """`SessionOptions` that remembers."""

    entries: dict[str, str] = field(default_factory=dict)
    attached: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    graph_optimization_level: Any = None

    def add_session_config_entry(self, name: str, value: str) -> None:
        self.entries[name] = value

    def add_initializer(self, name: str, value: Any) -> None:
        raise AssertionError("only a CPU is given weights in place of those of the graph")

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        self.entries[FREE + name] = str(value)

    def add_provider_for_devices(self, devices: Sequence[Any], options: Mapping[str, str]) -> None:
        assert {type(value) for value in options.values()} <= {str}
        self.attached.append((devices[0].ep_name, dict(options)))


class FakeOnnxruntime:
    """The module: `behaviours` has the providers by onnxruntime's name.

    Attributes:
        registered: Plugin libraries by name.
        opened: For every session: provider, options, `SessionOptions`, what its graph says it was made for.
        bound: Outputs that were bound to a device, with the device.
    """

    def __init__(self, built_in: Mapping[str, Behaviour] | None = None, **plugins: Behaviour) -> None:
        self.built_in = dict(built_in or {})
        self.plugins = plugins
        self.registered: dict[str, str] = {}
        self.opened: list[tuple[str, dict[str, str], Options, str]] = []
        self.bound: list[tuple[str, str, int]] = []
        self.SessionOptions = Options

    def __getattr__(self, name: str) -> Any:
        return getattr(onnxruntime, name)

    def get_available_providers(self) -> list[str]:
        return [*self.built_in, "CPUExecutionProvider"]

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if name in self.registered:
            raise RuntimeError(f"EP library is already registered under {name}")
        if not Path(path).exists():
            raise RuntimeError(f"Failed to load library {path}")
        self.registered[name] = path

    def get_ep_devices(self) -> list[Any]:
        return [
            SimpleNamespace(
                ep_name=name,
                ep_metadata={"version": "1.0"},
                device=SimpleNamespace(
                    type=SimpleNamespace(name=behaviour.device),
                    vendor="Fake",
                    vendor_id=7,
                    device_id=behaviour.device_id,
                    metadata={"SoC": "60"},
                ),
            )
            for name, behaviour in self.plugins.items()
            if name in self.registered and behaviour.device is not None
        ]

    def InferenceSession(  # noqa: N802
        self, source: Any, options: Options, providers: Any = None, enable_fallback: int = 1
    ) -> Any:
        assert enable_fallback == 0, "onnxruntime would fall back silently"
        assert bool(providers) != bool(options.attached)
        name, given = (providers or options.attached)[0]
        behaviour = {"CPUExecutionProvider": Behaviour(), **self.built_in, **self.plugins}[name]
        assert isinstance(source, bytes), "a session is made of what was checked, not of a path"
        self.opened.append((name, given, options, made_for(source)))
        if behaviour.fails is not None:
            raise behaviour.fails
        if options.entries.get("session.disable_cpu_ep_fallback") == "1" and behaviour.share < 1:
            raise RuntimeError("some nodes are assigned to the CPU, and fallback is disabled")
        if "ep.context_file_path" in options.entries:
            Path(options.entries["ep.context_file_path"]).write_bytes(source + COMPILED)
        real = onnxruntime.SessionOptions()
        real.log_severity_level = 4
        for key, value in options.entries.items():
            if key.startswith(FREE):
                real.add_free_dimension_override_by_name(key.removeprefix(FREE), int(value))
        real.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        return Session(
            onnxruntime.InferenceSession(source, real, providers=["CPUExecutionProvider"]),
            name,
            behaviour,
            self.bound,
        )


class Session:
    """A session on the CPU that says it is elsewhere."""

    def __init__(self, real: Any, name: str, behaviour: Behaviour, bound: list[tuple[str, str, int]]) -> None:
        self._real, self._name, self._behaviour, self._bound = real, name, behaviour, bound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def run(self, outputs: list[str], feeds: Mapping[str, Any]) -> list[Any]:
        spoil = self._behaviour.spoil or (lambda value: value)
        return [spoil(value) for value in self._real.run(outputs, feeds)]

    def get_providers(self) -> list[str]:
        return [*([self._name] if self._behaviour.started else []), "CPUExecutionProvider"]

    def io_binding(self) -> Any:
        return Binding(self._bound)

    def run_with_iobinding(self, binding: Any) -> None:
        binding.results = self.run([binding.output], binding.feeds)

    def get_provider_graph_assignment_info(self) -> list[Any]:
        nodes = [
            node for part in self._real.get_provider_graph_assignment_info() for node in part.get_nodes()
        ]
        count = round(self._behaviour.share * len(nodes))
        return [
            SimpleNamespace(ep_name=name, get_nodes=lambda part=part: part)
            for name, part in ((self._name, nodes[:count]), ("CPUExecutionProvider", nodes[count:]))
            if part
        ]


class Binding:
    """`IOBinding` for one run."""

    def __init__(self, bound: list[tuple[str, str, int]]) -> None:
        self._bound = bound
        self.feeds: dict[str, Any] = {}
        self.output = ""
        self.results: list[Any] = []

    def bind_cpu_input(self, name: str, value: Any) -> None:
        self.feeds[name] = value

    def bind_output(self, name: str, device: str, device_id: int) -> None:
        self._bound.append((name, device, device_id))
        self.output = name

    def copy_outputs_to_cpu(self) -> list[Any]:
        return self.results


def install(monkeypatch: pytest.MonkeyPatch, fake: FakeOnnxruntime) -> FakeOnnxruntime:
    """Make it what the runtime imports as onnxruntime."""
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    return fake


def plugin_package(
    monkeypatch: pytest.MonkeyPatch, folder: Path, module: str, ep: str, library: bool = True
) -> None:
    """A package on the path that brings a plugin, as the real ones do."""
    package = folder / module
    package.mkdir(parents=True)
    if library:
        (package / "lib.so").write_bytes(b"")
    (package / "__init__.py").write_text(
        "import pathlib\n"
        f"def get_ep_name(): return {ep!r}\n"
        "def get_library_path(): return str(pathlib.Path(__file__).parent / 'lib.so')\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    # Noted as it was, then out of the way: what a test imports is gone when the test is over.
    monkeypatch.setitem(sys.modules, module, None)
    del sys.modules[module]


def forget_packages(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """As if packages were not installed."""
    from sestina._providers import attached_provider as _attachment

    honest = _attachment.importlib.util.find_spec
    monkeypatch.setattr(
        _attachment.importlib.util, "find_spec", lambda name: None if name in modules else honest(name)
    )
