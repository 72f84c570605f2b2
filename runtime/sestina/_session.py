"""One onnxruntime session for one variant: opened without silent fallback, and accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina._bundle import Bundle
from sestina._choice import PROVIDERS, Choice
from sestina._errors import BundleFormatError, ProviderError
from sestina._inner import gives, with_outputs
from sestina._manifest import TensorInfo
from sestina._onnxruntime import onnxruntime, session_options


class Session:
    """A loaded graph. `run` may be called from many threads at once.

    Args:
        bundle: Holds the graph.
        choice: Which graph, and on which provider.
        threads: Threads that share each node of a run.
        inner: float32 values of its inside that are to be outputs after its own.

    Raises:
        ProviderError: Where onnxruntime does not load it.
        BundleFormatError: Where it is not what its manifest entry says, or has no such inner value.
        BundleIntegrityError: With `inner`: where it is no longer the file that was exported.
    """

    def __init__(self, bundle: Bundle, choice: Choice, threads: int, inner: Sequence[str] = ()) -> None:
        module = onnxruntime()
        self.variant = choice.variant
        self._inner = tuple(inner)
        self.version = str(module.__version__)
        options = session_options(threads)
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        path = bundle.file(self.variant.entry.file)
        source = self._source(bundle)
        try:
            self._session: Any = module.InferenceSession(
                source, options, providers=[PROVIDERS[choice.provider].name], enable_fallback=0
            )
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            raise ProviderError(f"{path} cannot be loaded on {choice.provider}: {_line(error)}") from None
        self._check_interface(str(path))

    def _source(self, bundle: Bundle) -> str | bytes:
        """The path; the content where it is given more outputs, or where onnxruntime could not take the path,
        which it reads as UTF-8.
        """
        file = self.variant.entry.file
        path = bundle.file(file)
        if self._inner:
            graph = bundle.read(file)
            for name in self._inner:
                if not gives(graph, name):
                    raise BundleFormatError(
                        f"{path} has no inner value {name!r}, as graphs exported by this version have: "
                        "export the bundle again"
                    )
            return with_outputs(graph, self._inner)
        try:
            str(path).encode()
        except UnicodeEncodeError:
            return path.read_bytes()
        return str(path)

    def _check_interface(self, where: str) -> None:
        """The graph must take and give what its manifest entry says."""
        for kind, stated, found in (
            ("inputs", self._names(self.variant.inputs), self._session.get_inputs()),
            ("outputs", self._names(self.variant.outputs) + self._inner, self._session.get_outputs()),
        ):
            names = self._names(found)
            if names != stated:
                raise BundleFormatError(f"{where} has the {kind} {list(names)}, unlike its manifest entry")

    @staticmethod
    def _names(tensors: Iterable[TensorInfo]) -> tuple[str, ...]:
        return tuple(tensor.name for tensor in tensors)

    def run(self, output: str, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Run one batch of equal lengths.

        Args:
            output: "sentence_embedding" or "last_hidden_state".
            ids: (B, S) int64.

        Returns: (B, d) or (B, S, d) float32.

        Raises:
            ProviderError: Where onnxruntime fails.
        """
        return self.run_for([output], ids)[output]

    def run_for(
        self, outputs: Sequence[str], ids: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Run one batch of equal lengths, (B, S), for several outputs, by their names.

        Raises:
            ProviderError: Where onnxruntime fails.
        """
        try:
            results = self._session.run(list(outputs), {"input_ids": ids})
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            raise ProviderError(f"{self.variant.entry.file} failed on {ids.shape}: {_line(error)}") from None
        return dict(zip(outputs, results, strict=True))

    def placement(self) -> dict[str, dict[str, int]]:
        """Which operators run where: provider -> operator -> number of nodes, as onnxruntime assigned."""
        placed: dict[str, Counter[str]] = {}
        for part in self._session.get_provider_graph_assignment_info():
            counter = placed.setdefault(part.ep_name, Counter())
            counter.update(node.op_type for node in part.get_nodes())
        return {name: dict(sorted(counter.items())) for name, counter in sorted(placed.items())}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
