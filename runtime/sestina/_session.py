"""One onnxruntime session for one variant: opened without silent fallback, and accounted for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from mmap import ACCESS_READ, mmap
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sestina._attachment import CPU, Attachment
from sestina._errors import BundleFormatError, OptionError, ProviderError, SestinaError
from sestina._guarded import GuardedSession
from sestina._manifest import Variant
from sestina._mapped import outline
from sestina._onnxruntime import line, onnxruntime, session_options
from sestina._placement import Placement, read_placement

if TYPE_CHECKING:
    import numpy.typing as npt

    from sestina._arrays import Ids, Vectors

_FOLDER = "session.model_external_initializers_file_folder_path"
_STATES = "last_hidden_state"
_AXES = ("batch", "length")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Run(Protocol):
    """What gives vectors for token ids, whatever is behind it; safe to use from many threads at once.

    Attributes:
        variant: The graph.
        version: Of onnxruntime.
    """

    variant: Variant
    version: str

    def run(self, output: str, ids: Ids) -> Vectors:
        """Run texts of one length.

        Args:
            output: "sentence_embedding" or "last_hidden_state".
            ids: (B, S) int64.

        Returns: (B, d) or (B, S, d) float32.

        Raises:
            OptionError: Where the variant has no such output.
            ProviderError: Where onnxruntime fails.
        """

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
        placement: Of the graph before it was compiled, where a compiled one is opened.
    """

    attachment: Attachment = CPU
    threads: int = 1
    strict: bool = False
    length: int | None = None
    options: Mapping[str, str] = _NOTHING
    entries: Mapping[str, str] = _NOTHING
    inner: tuple[str, ...] = ()
    placement: Placement | None = None


class Session:
    """A loaded graph. `run` may be called from many threads at once.

    Args:
        path: The graph.
        variant: What it is to be.
        setting: How it is opened.
        content: The file's bytes with more after them, where more is asked of the graph.

    Raises:
        ProviderError: Where onnxruntime does not load it.
        BundleFormatError: Where it is not what its manifest entry says.
        ForkError: In a child that was forked meanwhile, as in `run`.
    """

    def __init__(
        self, path: str | os.PathLike[str], variant: Variant, setting: Setting, content: bytes | None = None
    ) -> None:
        module, path = onnxruntime(), os.fspath(path)
        self.variant = variant
        self.version = str(module.__version__)
        self._provider = setting.attachment.provider
        options = session_options(setting.threads)
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        if setting.strict and self._provider.name != "cpu":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if setting.length is not None:
            for axis, size in zip(_AXES, (1, setting.length), strict=True):
                options.add_free_dimension_override_by_name(axis, size)
            # What depends on shapes alone is now constant; left in the graph it would split it.
            options.graph_optimization_level = module.GraphOptimizationLevel.ORT_ENABLE_BASIC
        for name, value in setting.entries.items():
            options.add_session_config_entry(name, value)
        try:
            providers = setting.attachment.attach(options, setting.options)
            cpu = self._provider.name == "cpu"
            make = partial(
                module.InferenceSession,
                _source(path, content, options, mapped=cpu),
                options,
                providers=providers or None,
                enable_fallback=0,
            )
            self._guarded = GuardedSession(make, quick=cpu)
            self._session = self._guarded.native
        except SestinaError:
            raise
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            raise ProviderError(f"{path} cannot be loaded on {self._provider.name}: {line(error)}") from None
        self._recorded = setting.placement
        self._device_id = int(setting.attachment.options.get("device_id", 0))
        self._check_interface(path, setting)

    def _check_interface(self, where: str, setting: Setting) -> None:
        """The graph must take and give what its manifest entry says, at the length it was opened for."""
        for kind, stated, more, found in (
            ("inputs", self.variant.inputs, (), self._session.get_inputs()),
            ("outputs", self.variant.outputs, setting.inner, self._session.get_outputs()),
        ):
            names = [tensor.name for tensor in found]
            if names != [*(tensor.name for tensor in stated), *more]:
                raise BundleFormatError(f"{where} has the {kind} {names}, unlike its manifest entry")
        length = setting.length
        for tensor in self._session.get_inputs() if length is not None else ():
            if list(tensor.shape) != [1, length]:
                raise BundleFormatError(
                    f"{where} has the input {tensor.name} of shape {tensor.shape}; its axes must be named "
                    "batch and length"
                )

    def run(self, output: str, ids: Ids) -> Vectors:
        """As `Run.run`, for a graph of dynamic shapes."""
        return self.feed(output, {"input_ids": ids})

    def run_for(self, outputs: Sequence[str], ids: Ids) -> dict[str, Vectors]:
        """Run texts of one length, (B, S), for several outputs, inner ones included, by their names.

        Raises:
            ProviderError: Where onnxruntime fails.
        """
        try:
            results = self._guarded.run(lambda session: session.run(list(outputs), {"input_ids": ids}))
        except SestinaError:
            raise
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            raise ProviderError(f"{self.variant.entry.file} failed on {ids.shape}: {line(error)}") from None
        return dict(zip(outputs, results, strict=True))

    def feed(self, output: str, feeds: Mapping[str, npt.NDArray[Any]]) -> Vectors:
        """Run the graph once, on what its inputs are to be."""
        if output == _STATES and all(tensor.name != output for tensor in self.variant.outputs):
            raise OptionError(
                f"{self.variant.entry.file} gives no hidden states: load another variant, with provider='cpu'"
            )
        try:
            if self._provider.bound is None:
                return self._guarded.run(lambda session: session.run([output], feeds))[0]
            return self._guarded.run(lambda _: self._run_bound(output, feeds))[0]
        except SestinaError:
            raise
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            shape = feeds["input_ids"].shape
            raise ProviderError(f"{self.variant.entry.file} failed on {shape}: {line(error)}") from None

    def _run_bound(self, output: str, feeds: Mapping[str, npt.NDArray[Any]]) -> list[Vectors]:
        """With the one output made in the device's memory and copied once, instead of all of them.

        A binding belongs to one run, so that runs side by side share nothing.
        """
        binding = self._session.io_binding()
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        binding.bind_output(output, self._provider.bound, self._device_id)
        self._session.run_with_iobinding(binding)
        results: list[Vectors] = binding.copy_outputs_to_cpu()
        return results

    def placement(self) -> Placement:
        """Which operators run where, as onnxruntime assigned them."""
        return self._recorded or read_placement(self._session, self._provider.ep)


def _source(path: str, content: bytes | None, options: Any, *, mapped: bool) -> str | bytes:
    """What onnxruntime opens: an outline, the weights of which it maps from the file; else the whole."""
    file = os.path.realpath(path)
    try:
        file.encode()
    except UnicodeEncodeError:  # onnxruntime, which reads paths as UTF-8, could not take it
        mapped, content = False, content or _read(file)
    if mapped and (graph := _outline(file, content)) is not None:
        options.add_session_config_entry(_FOLDER, os.path.dirname(file))
        return graph
    return content or file


def _outline(file: str, content: bytes | None) -> bytes | None:
    with open(file, "rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as whole:
        try:
            return outline(content or whole, os.path.basename(file))
        except ValueError:  # no graph: onnxruntime says what is wrong with it
            return None


def _read(file: str) -> bytes:
    with open(file, "rb") as stream:
        return stream.read()
