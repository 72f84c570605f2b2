"""What a target's operators cannot say of an encoder, as data: refused by name before any work is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sestina_export._errors import ExportError
from sestina_export._variants import VariantSpec
from sestina_model.config import EncoderConfig

__all__ = ["LIMITS", "Limit", "refuse_beyond", "status"]

_OWN_PROVIDER = "CPUExecutionProvider"  # whose kernels every export is measured on


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing of an encoder that some targets have no graph for.

    Attributes:
        targets: Which.
        family: Whose it is, by transformers' name.
        concept: What of an encoder it is.
        applies: Whether an encoder has it.
        operator: What it would take.
        why: Why the targets do not have that.
    """

    targets: tuple[str, ...]
    family: str
    concept: str
    applies: Callable[[EncoderConfig], bool]
    operator: str
    why: str


LIMITS: tuple[Limit, ...] = (
    Limit(
        targets=("portable", "qnn", "webgpu"),
        family="deberta-v2",
        concept="disentangled attention",
        applies=lambda config: config.relative == "disentangled",
        operator="GatherElements",
        why="which is not among the operators that every provider takes whole",
    ),
)


# Targets whose graphs give vectors alone, and why.
_DENSE_ALONE: Mapping[str, str] = {
    "qnn": "a16w8 is calibrated for vectors alone",
    "mobile-cpu": "an .ort file computes all that it gives at each run, the last layer twice",
}

# What a16w8 cannot be calibrated for, by task.
_NO_A16W8: Mapping[str, str] = {
    "rerank": "a16w8 is calibrated on texts alone, and this encoder reads pairs",
    "sparse": "the logits of a whole vocabulary need more than the scales of a16w8",
    "multi-vector": "a16w8 is calibrated on texts all of whose tokens are attended to",
}


def refuse_beyond(
    specs: Sequence[VariantSpec],
    config: EncoderConfig,
    task: str = "embedding",
    outputs: Sequence[str] = (),
) -> None:
    """Refuse variants that there can be no graph of.

    Args:
        specs: What is to be exported.
        config: Of the encoder.
        task: What it is exported for.
        outputs: What it gives beside the vector of a text.

    Raises:
        ExportError: Naming the target, and the family and the operator, the task, or the outputs.
    """
    for spec in specs:
        why = _DENSE_ALONE.get(spec.target)
        if outputs and why is not None:
            raise ExportError(
                f"target {spec.target} has no graph that gives {' and '.join(outputs)} too: {why}; export it "
                "for the cpu, portable, cuda or webgpu, or its dense vectors alone: outputs=['dense'] "
                "(--outputs dense)"
            )
        if spec.precision == "a16w8" and task in _NO_A16W8:
            raise ExportError(
                f"target {spec.target} has no graph of the task {task}: {_NO_A16W8[task]}; export it for the "
                "cpu, portable, cuda, webgpu or mobile-cpu"
            )
        for limit in LIMITS:
            if spec.target in limit.targets and limit.applies(config):
                raise ExportError(
                    f"target {spec.target} has no graph of {limit.family}: its {limit.concept} takes "
                    f"{limit.operator}, {limit.why}; export it for the cpu, cuda or mobile-cpu"
                )


def status(spec: VariantSpec, config: EncoderConfig) -> str:
    """What an export says of a variant: "proved", "not run here" on its provider, or "refused"."""
    if any(spec.target in limit.targets and limit.applies(config) for limit in LIMITS):
        return "refused"
    return "proved" if spec.provider == _OWN_PROVIDER else "not run here"
