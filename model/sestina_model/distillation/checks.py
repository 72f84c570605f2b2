"""What a run's configuration allows, value by value; each refusal names the value and what is allowed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sestina_model._errors import ConfigError

if TYPE_CHECKING:
    from sestina_model.distillation.config import DistillationConfig

__all__ = ["SMALLEST_BATCH", "check"]

SMALLEST_BATCH = 8  # texts that a batch must have for its pairs to teach
_LARGEST = sys.float_info.max

_POSITIVE = (
    "tokens", "max_tokens", "batch_tokens", "batch_texts", "shard_texts", "run_texts", "bank_texts",
    "evaluate_every", "save_every", "report_every",
)  # fmt: skip
_WEIGHTS = (
    "weight_decay", "cosine_weight", "similarity_weight", "near_weight", "token_weight", "layer_weight",
    "bank_weight",
)  # fmt: skip


def check(config: DistillationConfig) -> None:
    """Refuse what is not allowed.

    Raises:
        ConfigError: Where a value is not allowed.
    """
    for field in _POSITIVE:
        _whole(config, field, 1)
    for field in ("seed", "join_lines", "calibration_texts"):
        _whole(config, field, 0)
    for field in ("threads", "until"):
        if getattr(config, field) is not None:
            _whole(config, field, 1)
    for field in ("learning_rate", "clip", "bank_temperature"):
        _number(config, field, above=0.0)
    for field in _WEIGHTS:
        _number(config, field)
    for field in ("warm_up", "final_rate"):
        _number(config, field, most=1.0)
    _number(config, "dropout", most=0.9)
    _number(config, "altered_share", most=0.5)
    if config.cosine_weight + config.similarity_weight == 0:
        raise ConfigError("cosine_weight and similarity_weight are both 0; one of them must be above 0")
    if not isinstance(config.warm_start, str) or not config.warm_start:
        raise ConfigError(
            f'warm_start is {config.warm_start!r}; it must be "teacher", "none" or a checkpoint\'s folder'
        )
    if not config.texts:
        raise ConfigError("texts is empty; name at least one file of text")
    _check_phases(config)
    _check_mix(config)


def _check_phases(config: DistillationConfig) -> None:
    for phase in config.phases:
        if not isinstance(phase.max_tokens, int) or not 1 <= phase.max_tokens <= config.max_tokens:
            raise ConfigError(
                f"a phase has max_tokens {phase.max_tokens!r}; it must be a whole number from 1 to "
                f"{config.max_tokens}, the run's own max_tokens"
            )
        if not isinstance(phase.share, int | float) or phase.share <= 0:
            raise ConfigError(f"a phase has the share {phase.share!r}; it must be a number above 0")
    if config.batch_tokens < SMALLEST_BATCH * config.longest:
        raise ConfigError(
            f"batch_tokens is {config.batch_tokens}; it must be at least {SMALLEST_BATCH * config.longest}, "
            f"{SMALLEST_BATCH} texts of the longest phase"
        )
    total = sum(phase.share for phase in config.phases)
    if abs(total - 1.0) > 1e-6:
        raise ConfigError(f"the shares of the phases add up to {total:g}; they must add up to 1")


def _check_mix(config: DistillationConfig) -> None:
    if config.mix is None:
        for name in ("bank_weight", "bundle"):
            if value := getattr(config, name):
                raise ConfigError(f"{name} is {value!r} without a mix; state a mix, or leave it out")
        return
    allowed = ("words", "terms", "lines", "passages")
    if not isinstance(config.mix, dict) or not config.mix or set(config.mix) - set(allowed):
        raise ConfigError(f"mix is {config.mix!r}; it must give shares to some of {', '.join(allowed)}")
    for kind, share in config.mix.items():
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
            raise ConfigError(f"mix gives {kind} the share {share!r}; it must be a number above 0, at most 1")
    total = sum(config.mix.values())
    if abs(total - 1.0) > 1e-6:
        raise ConfigError(f"the shares of the mix add up to {total:g}; they must add up to 1")
    if len(config.phases) > 1:
        raise ConfigError(f"there are {len(config.phases)} phases; with a mix there is one")
    if config.warm_start != "teacher" and not config.calibration_texts:
        raise ConfigError("calibration_texts is 0; with a mix some are needed, to find the teacher's space")
    for name in ("token_weight", "layer_weight", "altered_share", "join_lines"):
        if getattr(config, name):
            raise ConfigError(
                f"{name} is {getattr(config, name)!r}; with a mix it must be 0, for the teacher is not there "
                "to read more than its kept vectors"
            )


def _whole(config: DistillationConfig, field: str, least: int) -> None:
    value = getattr(config, field)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{field} is {value!r}; it must be a whole number of at least {least}")


def _number(
    config: DistillationConfig, field: str, *, above: float | None = None, most: float = _LARGEST
) -> None:
    value = getattr(config, field)
    least = 0.0 if above is None else above
    sound = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not sound or (above is not None and value == above):
        limit = f", at most {most}" if most < _LARGEST else " and finite"
        raise ConfigError(
            f"{field} is {value!r}; it must be {'at least' if above is None else 'above'} 0{limit}"
        )
