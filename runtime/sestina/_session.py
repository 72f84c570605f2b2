"""One onnxruntime session for one variant: chosen, opened without silent fallback, and accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from sestina._bundle import Bundle
from sestina._errors import BundleFormatError, OptionError, ProviderError
from sestina._manifest import Precision, Variant

# Name in our API -> what onnxruntime calls it, and the target whose variants it runs.
_PROVIDERS = {"cpu": ("CPUExecutionProvider", "cpu")}


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant and a provider for it, and why every other variant was passed over."""

    variant: Variant
    provider: str
    passed_over: tuple[str, ...]


def choose(bundle: Bundle, provider: str, precision: str) -> Choice:
    """The best variant of a bundle for what was asked.

    Raises:
        OptionError: On an unknown provider or precision, or a precision that the bundle does not have.
        ProviderError: Where the bundle has no variant for the provider.
    """
    if provider not in ("auto", *_PROVIDERS):
        raise OptionError(f"provider is {provider!r}; it must be one of auto, {', '.join(_PROVIDERS)}")
    if precision not in ("auto", *get_args(Precision)):
        raise OptionError(
            f"precision is {precision!r}; it must be one of auto, {', '.join(get_args(Precision))}"
        )
    used = "cpu" if provider == "auto" else provider
    target = _PROVIDERS[used][1]
    passed_over, fitting = [], []
    for variant in bundle.manifest.variants:
        if variant.target != target:
            passed_over.append(f"{variant.entry.file}: made for {variant.target}, not for {target}")
        elif precision not in ("auto", variant.precision):
            passed_over.append(f"{variant.entry.file}: is {variant.precision}, {precision} was asked for")
        else:
            fitting.append(variant)
    if not fitting:
        have = ", ".join(f"{variant.target}/{variant.precision}" for variant in bundle.manifest.variants)
        error = ProviderError if precision == "auto" else OptionError
        wanted = target if precision == "auto" else f"{target}/{precision}"
        raise error(f"{bundle.path} has no variant for {wanted}; it has {have}: export one, or ask for auto")
    best = fitting[0]
    passed_over += [f"{other.entry.file}: {best.entry.file} comes first" for other in fitting[1:]]
    return Choice(best, used, tuple(passed_over))


class Session:
    """A loaded graph. `run` may be called from many threads at once."""

    def __init__(self, bundle: Bundle, choice: Choice, threads: int) -> None:
        import onnxruntime

        self._onnxruntime = onnxruntime
        self.variant = choice.variant
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what matters is raised
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        path = bundle.file(self.variant.entry.file)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), options, providers=[_PROVIDERS[choice.provider][0]], enable_fallback=0
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

    def version(self) -> str:
        """The version of onnxruntime."""
        return str(self._onnxruntime.__version__)


def _line(error: Exception) -> str:
    text: Sequence[str] = str(error).split()
    return " ".join(text)[:300]
