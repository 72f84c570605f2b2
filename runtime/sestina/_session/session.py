"""One onnxruntime session for one variant: opened without silent fallback, and accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from sestina._bundle.graph import Graph
from sestina._bundle.manifest import Variant
from sestina._errors import OptionError, ProviderError, SestinaError
from sestina._onnxruntime import line, onnxruntime, session_options
from sestina._providers.attached_provider import CPU, AttachedProvider
from sestina._session.guarded import GuardedSession
from sestina._session.interface import ATTENDED, AXES, START, TYPES, check_graph, check_left_out, check_result
from sestina._session.placement import Placement, read_placement

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Ids, Vectors

_STATES = "last_hidden_state"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Run(Protocol):
    """What gives vectors for token ids, whatever is behind it; safe to use from many threads at once.

    Attributes:
        variant: The graph.
        version: Of onnxruntime.
    """

    variant: Variant
    version: str

    def run(self, output: str, ids: Ids, start: int = 0) -> Vectors:
        """Run texts of one length.

        Args:
            output: One of the graph's: a result of `manifest.RESULTS`, or "last_hidden_state".
            ids: (B, S) int64; (B, S, 2) of a graph that is told token types, which stand beside the ids.
            start: The first token of each that is pooled, of graphs that leave prompts out; how many tokens
                of each are attended to (0: all), of those whose texts may have others. Else of no effect.

        Returns: (B, d) or (B, S, d) float32.

        Raises:
            OptionError: Where the variant has no such output.
            ProviderError: Where onnxruntime fails, or gives something else or what is not finite.
        """

    def run_for(self, outputs: Sequence[str], ids: Ids, start: int = 0) -> dict[str, Vectors]:
        """The same for several outputs at once, by their names, of ids (B, S)."""

    def placement(self) -> Placement:
        """Which operators run where."""


class Setting(NamedTuple):
    """How a session is opened.

    Attributes:
        attachment: The provider, as it was found here.
        threads: Threads that share each node of a run, on a CPU.
        strict: Whether a node that the provider does not take is an error.
        length: Of every text, where the graph has static shapes; None for a dynamic one.
        options: For the provider, besides those of the attachment.
        entries: For the session (`add_session_config_entry`).
        inner: Inner values of the graph that it was given as outputs after its own.
        states: Whether it is to give outputs of each token; else what they need is left out, where it can be.
        placement: Of the graph before it was compiled, where a compiled one is opened.
    """

    attachment: AttachedProvider = CPU
    threads: int = 1
    strict: bool = False
    length: int | None = None
    options: Mapping[str, str] = _NOTHING
    entries: Mapping[str, str] = _NOTHING
    inner: tuple[str, ...] = ()
    states: bool = True
    placement: Placement | None = None


class Session:
    """A loaded graph. `run` may be called from many threads at once.

    Args:
        graph: The graph.
        variant: What it is to be.
        setting: How it is opened.
        more: Bytes after those of the graph, where more is asked of it.

    Raises:
        ProviderError: Where onnxruntime does not load it.
        BundleFormatError: Where it is not what its manifest entry says.
        ForkError: In a child that was forked meanwhile, as in `run`.
    """

    def __init__(self, graph: Graph, variant: Variant, setting: Setting, more: bytes = b"") -> None:
        module = onnxruntime()
        self.variant = variant
        self.version = str(module.__version__)
        types = {tensor.name: tensor.dtype for tensor in variant.inputs}
        self._start, self._attended = types.get(START), types.get(ATTENDED)
        self._provider = setting.attachment.provider
        # An optimizer may rewrite an initializer under its own name, and never asks for one that it is given.
        mapped = graph.maps and self._provider.name == "cpu" and setting.length is None
        try:
            make = partial(_open, module, graph, setting, more, mapped=mapped)
            self._guarded = GuardedSession(make, quick=self._provider.name == "cpu")
            self._session = self._guarded.native
            found = (self._session.get_inputs(), self._session.get_outputs())
        except SestinaError:  # ours already: the file is no longer what it was
            raise
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            name = self._provider.name
            raise ProviderError(f"{graph.where} cannot be loaded on {name}: {line(error)}") from None
        self._graph = graph  # whose bytes the session goes on to use
        graph.settle()
        self._recorded = setting.placement
        self._device_id = int(setting.attachment.options.get("device_id", 0))
        if graph.has_states_part and not setting.states:
            self._outputs = tuple(each for each in variant.outputs if each.name not in graph.states_outputs)
            check_left_out(graph.where, variant, graph.states_outputs)
        else:
            self._outputs = variant.outputs
        opened = variant._replace(outputs=self._outputs)
        check_graph(graph.where, opened, *found, length=setting.length, inner=setting.inner)

    def run(self, output: str, ids: Ids, start: int = 0) -> Vectors:
        """As `Run.run`, for a graph of dynamic shapes."""
        if ids.ndim == 2:
            return self.feed(output, {"input_ids": ids}, start)
        tokens, types = np.ascontiguousarray(np.moveaxis(ids, 2, 0))
        return self.feed(output, {"input_ids": tokens, TYPES: types}, start)

    def run_for(self, outputs: Sequence[str], ids: Ids, start: int = 0) -> dict[str, Vectors]:
        """As `Run.run_for`, for a graph of dynamic shapes, and for inner values, which may be infinite."""
        return self.feed_for(outputs, {"input_ids": ids}, start)

    def _whole(self, feeds: Mapping[str, npt.NDArray[Any]], start: int) -> Mapping[str, npt.NDArray[Any]]:
        """What a graph is fed with, with the first token that is pooled, or how many are attended to, where
        it takes that.
        """
        if self._attended is not None:
            count = start or feeds["input_ids"].shape[1]
            return {**feeds, ATTENDED: np.array([count], dtype=self._attended)}
        if self._start is None:
            return feeds
        return {**feeds, START: np.array([start], dtype=self._start)}

    def feed(self, output: str, feeds: Mapping[str, npt.NDArray[Any]], start: int = 0) -> Vectors:
        """Run the graph once, on what its inputs are to be."""
        return self.feed_for([output], feeds, start)[output]

    def feed_for(
        self, outputs: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]], start: int = 0
    ) -> dict[str, Vectors]:
        """The same for several outputs, by their names."""
        if _STATES in outputs and all(tensor.name != _STATES for tensor in self._outputs):
            raise OptionError(
                f"{self.variant.entry.file} gives no hidden states: load another variant, with provider='cpu'"
            )
        shape = feeds["input_ids"].shape
        feeds = self._whole(feeds, start)
        try:
            if self._provider.bound is None:
                results = self._guarded.run(lambda session: session.run(list(outputs), feeds))
            else:
                results = self._guarded.run(lambda _: self._run_bound(outputs, feeds))
        except SestinaError:
            raise
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            raise ProviderError(f"{self.variant.entry.file} failed on {shape}: {line(error)}") from None
        for output, result in zip(outputs, results, strict=True):
            check_result(self.variant, output, result, shape)
        return dict(zip(outputs, results, strict=True))

    def _run_bound(self, outputs: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]]) -> list[Vectors]:
        """With these outputs made in the device's memory and copied once, instead of all of them.

        A binding belongs to one run, so that runs side by side share nothing.
        """
        binding = self._session.io_binding()
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        for output in outputs:
            binding.bind_output(output, self._provider.bound, self._device_id)
        self._session.run_with_iobinding(binding)
        results: list[Vectors] = binding.copy_outputs_to_cpu()
        return results

    @property
    def pools_from(self) -> bool:
        """Whether it is told the first token that is pooled."""
        return self._start is not None

    def placement(self) -> Placement:
        """Which operators run where, as onnxruntime assigned them.

        Raises:
            ProviderError: Where it does not say.
        """
        if self._recorded is not None:
            return self._recorded
        try:
            return read_placement(self._session, self._provider.ep)
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            raise ProviderError(f"{self._graph.where} is placed nowhere: {line(error)}") from None


def _open(module: Any, graph: Graph, setting: Setting, more: bytes, *, mapped: bool) -> Any:
    """An `InferenceSession`; where onnxruntime does not take views of the weights, of all the bytes."""
    if mapped:
        try:
            return _made(module, graph, setting, more, mapped=True)
        except Exception as error:  # noqa: BLE001  of onnxruntime
            line(error)  # which raises what is not
    return _made(module, graph, setting, more, mapped=False)


def _made(module: Any, graph: Graph, setting: Setting, more: bytes, *, mapped: bool) -> Any:
    options = session_options(setting.threads)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    provider = setting.attachment.provider
    if setting.strict and provider.name != "cpu" and not provider.cuda:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if setting.length is not None:
        for axis, size in zip(AXES, (1, setting.length), strict=True):
            options.add_free_dimension_override_by_name(axis, size)
        # What depends on shapes alone is now constant; left in the graph it would split it.
        options.graph_optimization_level = module.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for name, value in setting.entries.items():
        options.add_session_config_entry(name, value)
    providers = setting.attachment.attach(options, setting.options)
    source = graph.source(options, more, mapped=mapped, states=setting.states)
    session = module.InferenceSession(source, options, providers=providers or None, enable_fallback=0)
    if provider.cuda and provider.ep not in session.get_providers():  # said on standard error alone
        raise ProviderError(
            f"onnxruntime {module.__version__} cannot start it: its driver, or the libraries of CUDA "
            f"{getattr(module, 'cuda_version', None) or 'that it was built with'}, are not found; install "
            "onnxruntime-gpu[cuda,cudnn]"
        )
    return session
