"""What the inputs of each linear map look like on real text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sestina._text.checked import check_text
from sestina_export._errors import ExportError, QualityError
from sestina_export._forms.linears import layer_linears, place_of
from sestina_model.checkpoint import Checkpoint
from sestina_model.inputs import Text

__all__ = [
    "InputStatistics",
    "calibrate",
    "default_texts",
    "in_thirds",
    "in_two",
    "readers_of",
    "split_texts",
]

T = TypeVar("T")

_LEADERS = {"key": "query", "value": "query", "gate": "inner"}
_FEWEST = 32  # texts or pairs; fewer say too little of a range


@dataclass(slots=True)
class InputStatistics:
    """Over all tokens of the calibration text, of one linear map's input of width K.

    Attributes:
        low: (K,) smallest value of each channel.
        high: (K,) largest value of each channel.
        hessian: (K, K) sum of x x^T.
    """

    low: Tensor
    high: Tensor
    hessian: Tensor

    def add(self, rows: Tensor) -> None:
        """Take (n, K) more inputs into account."""
        self.low = torch.minimum(self.low, rows.amin(0))
        self.high = torch.maximum(self.high, rows.amax(0))
        self.hessian += rows.T @ rows


def default_texts() -> list[str]:
    """The texts that come with the exporter: public-domain English, other scripts, code."""
    return resources.files("sestina_export").joinpath("calibration.txt").read_text("utf-8").splitlines()


def split_texts(calibration: Iterable[str]) -> tuple[list[str], list[str]]:
    """Every third text is held back: (to calibrate with, to measure on).

    Blank texts, and all but the first of equal ones, are left out: they say nothing of a range, and a text
    in both parts would be measured where it was calibrated.

    Raises:
        ExportError: Where it is no sequence of texts, or one of too few to say anything.
        sestina.TextTypeError, sestina.TextValueError: Where a member is not a `str`, or not valid Unicode.
    """
    return in_two(calibration, "texts", check_text, str.strip)


def in_two(
    calibration: object, what: str, check: Callable[[Any, int], T], says: Callable[[T], object]
) -> tuple[list[T], list[T]]:
    """Two thirds and the third that is held back, of what is not blank and not repeated.

    Args:
        calibration: Members of any kind.
        what: Its name for several.
        check: Makes one of what was given and its place, or raises.
        says: Whether one is not blank.

    Raises:
        ExportError: Where it is no sequence, or one of too few.
    """
    if isinstance(calibration, str | bytes) or not isinstance(calibration, Iterable):
        raise ExportError(f"calibration is a {type(calibration).__name__}; it must be a sequence of {what}")
    checked = [check(each, at) for at, each in enumerate(calibration)]
    kept = list(dict.fromkeys(each for each in checked if says(each)))
    if len(kept) < _FEWEST:
        rest = "" if len(kept) == len(checked) else " that are neither blank nor repeated"
        raise ExportError(f"{len(kept)} calibration {what} are too few; give at least {_FEWEST}{rest}")
    return in_thirds(kept)


def in_thirds(members: Sequence[T]) -> tuple[list[T], list[T]]:
    """Two of three, and every third, which is held back."""
    return [each for at, each in enumerate(members) if at % 3 != 2], [*members[2::3]]


def readers_of(paths: Iterable[str]) -> dict[str, list[str]]:
    """The linear maps that read the same input, by the path of one of them: query's, inner's, or its own."""
    readers: dict[str, list[str]] = {}
    for path in paths:
        base, _, name = path.rpartition(".")
        leader = _LEADERS.get(name, name)
        readers.setdefault(f"{base}.{leader}", []).append(path)
    return readers


def calibrate(checkpoint: Checkpoint, texts: Sequence[Text]) -> Mapping[str, InputStatistics]:
    """Run PyTorch on the texts and watch the input of every layer's linear maps, by path.

    Maps that share their input share one `InputStatistics`.

    Raises:
        QualityError: Where an input is not finite, or no text has a token: nothing to set a range by.
    """
    model = checkpoint.model
    linears = layer_linears(model)
    statistics: dict[str, InputStatistics] = {}
    hooks = []
    shared = readers_of(linears)
    for path in shared:
        linear = linears[path]
        k = linear.in_features
        mine = InputStatistics(torch.full((k,), torch.inf), torch.full((k,), -torch.inf), torch.zeros(k, k))
        statistics[path] = mine

        def watch(_: nn.Module, inputs: tuple[Tensor], mine: InputStatistics = mine) -> None:
            mine.add(inputs[0].flatten(0, -2))

        hooks.append(linear.register_forward_pre_hook(watch))
    try:
        with torch.inference_mode():
            for given in checkpoint.operands(texts):
                if given is not None:
                    model.every(given.ids, given.mask, types=given.types)
    finally:
        for hook in hooks:
            hook.remove()
    for path, seen in statistics.items():
        if bool((seen.low > seen.high).all()):
            raise QualityError("int8: no calibration text has a token; give texts of your own kind")
        if not all(bool(torch.isfinite(each).all()) for each in (seen.low, seen.high, seen.hessian)):
            place = place_of(path).removeprefix("encoder.")
            raise QualityError(
                f"int8: the inputs of {place} on the calibration texts are beyond float32, so no scale "
                "fits them: check the weights, or leave this precision out"
            )
    return {reader: statistics[leader] for leader, readers in shared.items() for reader in readers}
