"""One onnxruntime session for one variant: opened without silent fallback, and accounted for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sestina._bundle import Bundle
from sestina._choice import PROVIDERS, Choice
from sestina._errors import BundleFormatError, ProviderError
from sestina._onnxruntime import onnxruntime, session_options


class Session:
    """A loaded graph. `run` may be called from many threads at once."""

    def __init__(self, bundle: Bundle, choice: Choice, threads: int) -> None:
        module = onnxruntime()
        self.variant = choice.variant
        self.version = str(module.__version__)
        options = session_options(threads)
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        path = bundle.file(self.variant.entry.file)
        try:
            self._session: Any = module.InferenceSession(
                _source(path), options, providers=[PROVIDERS[choice.provider].name], enable_fallback=0
            )
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            raise ProviderError(f"{path} cannot be loaded on {choice.provider}: {_line(error)}") from None
        self._check_interface(str(path))

    def _check_interface(self, where: str) -> None:
        """The graph must take and give what its manifest entry says."""
        for kind, stated, found in (
            ("inputs", self.variant.inputs, self._session.get_inputs()),
            ("outputs", self.variant.outputs, self._session.get_outputs()),
        ):
            names = [tensor.name for tensor in found]
            if names != [tensor.name for tensor in stated]:
                raise BundleFormatError(f"{where} has the {kind} {names}, unlike its manifest entry")

    def run(self, output: str, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Run one batch of equal lengths.

        Args:
            output: "sentence_embedding" or "last_hidden_state".
            ids: (B, S) int64.

        Returns: (B, d) or (B, S, d) float32.

        Raises:
            ProviderError: Where onnxruntime fails.
        """
        try:
            result: npt.NDArray[np.float32] = self._session.run([output], {"input_ids": ids})[0]
        except Exception as error:  # noqa: BLE001  onnxruntime has no common root
            raise ProviderError(f"{self.variant.entry.file} failed on {ids.shape}: {_line(error)}") from None
        return result

    def placement(self) -> dict[str, dict[str, int]]:
        """Which operators run where: provider -> operator -> number of nodes, as onnxruntime assigned."""
        placed: dict[str, Counter[str]] = {}
        for part in self._session.get_provider_graph_assignment_info():
            counter = placed.setdefault(part.ep_name, Counter())
            counter.update(node.op_type for node in part.get_nodes())
        return {name: dict(sorted(counter.items())) for name, counter in sorted(placed.items())}


def _source(path: Path) -> str | bytes:
    """The path; the content where onnxruntime, which reads paths as UTF-8, could not take it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.read_bytes()
    return str(path)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
