"""What a run's configuration allows, value by value; each refusal names the value and what is allowed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sestina_model._errors import ConfigError

if TYPE_CHECKING:
    from sestina_model.distillation.config import DistillationConfig

__all__ = ["CROPS", "KINDS", "SMALLEST_BATCH", "WHOLE", "check"]

SMALLEST_BATCH = 8  # texts that a batch must have for its pairs to teach
_LARGEST = sys.float_info.max
KINDS = ("words", "terms", "lines", "passages")  # of a mix
WHOLE = ("windows", "lines", "passages")  # of crops, what a search looks through
CROPS = ("words", "terms", *WHOLE, "altered", "queries")

_POSITIVE = (
    "tokens", "max_tokens", "batch_tokens", "batch_texts", "shard_texts", "shard_readings", "run_texts",
    "bank_texts", "evaluate_every", "save_every", "report_every",
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
    _number(config, "second_share", most=1.0)
    if config.cosine_weight + config.similarity_weight == 0:
        raise ConfigError("cosine_weight and similarity_weight are both 0; one of them must be above 0")
    if not isinstance(config.warm_start, str) or not config.warm_start:
        raise ConfigError(
            f'warm_start is {config.warm_start!r}; it must be "teacher", "none" or a checkpoint\'s folder'
        )
    if not config.texts:
        raise ConfigError("texts is empty; name at least one file of text")
    _check_phases(config)
    _check_drawn(config)


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


def _check_drawn(config: DistillationConfig) -> None:
    """Of a mix or of crops: their shares, and what cannot be had beside them."""
    if config.mix is not None and config.crops is not None:
        raise ConfigError("there are a mix and crops; state one of them")
    if config.mix is None and config.bundle is not None:
        raise ConfigError(f"bundle is {config.bundle!r} without a mix; state a mix, or leave it out")
    if config.second_teacher is not None and config.crops is None:
        raise ConfigError(
            f"second_teacher is {config.second_teacher!r} without crops; state crops, or leave it out"
        )
    if config.shard_readings > 1 and config.crops is None:
        raise ConfigError(
            f"shard_readings is {config.shard_readings!r} without crops; state crops, or leave it out"
        )
    if not config.holds_space:
        if config.bank_weight:
            raise ConfigError(
                f"bank_weight is {config.bank_weight!r} without a mix or crops; state one, or leave it out"
            )
        return
    if config.mix is not None:
        _check_shares("mix", "the mix", config.mix, KINDS)
    else:
        _check_shares("crops", "the crops", config.crops, CROPS)
    name = "crops" if config.mix is None else "a mix"
    if config.crops is not None and not set(WHOLE) & set(config.crops):
        raise ConfigError(
            f"crops is {config.crops!r}; altered texts and queries are drawn from {', '.join(WHOLE)}: give "
            "one of these a share"
        )
    if len(config.phases) > 1:
        raise ConfigError(f"there are {len(config.phases)} phases; with {name} there is one")
    if config.warm_start != "teacher" and not config.calibration_texts:
        raise ConfigError(f"calibration_texts is 0; with {name} some are needed, to find the teacher's space")
    for field in ("token_weight", "layer_weight", "altered_share", "join_lines"):
        if getattr(config, field):
            raise ConfigError(
                f"{field} is {getattr(config, field)!r}; with {name} it must be 0, for the teacher has read "
                "the texts before, and nothing but its vectors is kept"
            )


def _check_shares(field: str, name: str, shares: object, allowed: tuple[str, ...]) -> None:
    if not isinstance(shares, dict) or not shares or set(shares) - set(allowed):
        raise ConfigError(f"{field} is {shares!r}; it must give shares to some of {', '.join(allowed)}")
    for kind, share in shares.items():
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
            raise ConfigError(
                f"{field} gives {kind} the share {share!r}; it must be a number above 0, at most 1"
            )
    total = sum(shares.values())
    if abs(total - 1.0) > 1e-6:
        raise ConfigError(f"the shares of {name} add up to {total:g}; they must add up to 1")


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
