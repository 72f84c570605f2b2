"""How a config.json states rotary positions, in all the ways that transformers reads.

They stand in rope_parameters, for all layers or by their type; older files have rope_theta and rope_scaling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sestina_model._checks import is_number, is_whole
from sestina_model._errors import ConfigError
from sestina_model.pretrained.families.keys import MOST, Keys
from sestina_model.rotary_config import RotaryConfig

__all__ = ["depends_on_length", "read_rotary", "read_rotary_by_type"]

_FULL, _LOCAL = "full_attention", "sliding_attention"


def read_rotary(keys: Keys, theta: float) -> RotaryConfig:
    """That of a family whose layers all turn alike.

    Args:
        keys: The config.json.
        theta: Where it has none.
    """
    values = keys.values
    name = "rope_scaling" if values.get("rope_scaling") else "rope_parameters"
    stated = _object(keys, name, values)
    for kind in (_FULL, _LOCAL):
        if kind in stated:
            raise keys.unsupported(f"{name}.{kind}", stated[kind], "; this family's layers all turn alike")
    return _rotary(keys, name, {"rope_theta": values.get("rope_theta", theta), **stated})


def read_rotary_by_type(
    keys: Keys, full: tuple[str, float], local: tuple[str, float], *, scaled: tuple[str, ...]
) -> tuple[RotaryConfig, RotaryConfig]:
    """Those of full and of local layers.

    Args:
        keys: The config.json.
        full: The older key of their theta, and the theta where it has none.
        local: The same of local layers.
        scaled: Which of them an older rope_scaling is for.
    """
    values = keys.values
    stated = _object(keys, "rope_parameters", values)
    found = []
    for kind, (key, theta) in ((_FULL, full), (_LOCAL, local)):
        name = f"rope_parameters.{kind}"
        own = _object(keys, kind, stated, "rope_parameters.")
        if not stated.get(kind):
            own = {"rope_type": "default"}
        if kind in scaled:
            own = {**own, **_object(keys, "rope_scaling", values)}
        found.append(_rotary(keys, name, {"rope_theta": values.get(key, theta), **own}))
    return found[0], found[1]


def depends_on_length(keys: Keys) -> bool:
    """Whether texts beyond max_position_embeddings turn in another way, each by its length."""
    stated = [keys.values.get("rope_scaling"), keys.values.get("rope_parameters")]
    stated += [each.get(kind) for each in stated if isinstance(each, dict) for kind in (_FULL, _LOCAL)]
    kinds = [each.get("rope_type", each.get("type")) for each in stated if isinstance(each, dict)]
    return "dynamic" in kinds


def _object(keys: Keys, key: str, values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    value = values.get(key)
    if value is not None and not isinstance(value, dict):
        raise keys.wrong(where + key, value, "an object")
    return dict(value or {})


def _rotary(keys: Keys, name: str, stated: Mapping[str, Any]) -> RotaryConfig:
    kind = stated.get("rope_type", stated.get("type", "default"))
    for source, share in (
        (f"{name}.partial_rotary_factor", stated.get("partial_rotary_factor")),
        ("partial_rotary_factor", keys.values.get("partial_rotary_factor")),
    ):
        if share not in (None, 1):
            raise keys.unsupported(source, share, "; only 1 is")
    readers = {"default": _plain, "dynamic": _dynamic, "linear": _linear, "yarn": _yarn, "llama3": _llama3}
    if not isinstance(kind, str) or kind not in readers:
        raise keys.unsupported(f"{name}.rope_type", kind, f"; {', '.join(readers)} are")
    theta = stated["rope_theta"]
    if not is_number(theta) or not 1 < theta < 1e30:
        raise keys.wrong(f"{name}.rope_theta", theta, "a number above 1")
    try:
        return RotaryConfig(theta=float(theta), **readers[kind](keys, name, stated))
    except ConfigError as error:
        raise keys.wrong(name, dict(stated), f"sound: {error}") from error


def _plain(keys: Keys, name: str, stated: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    return {}


def _dynamic(keys: Keys, name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    """It scales what is longer than max_position_embeddings, and no text is."""
    _number(keys, name, stated, "factor")
    return {}


def _linear(keys: Keys, name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    return {"scaling": "linear", "factor": _number(keys, name, stated, "factor")}


def _llama3(keys: Keys, name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "scaling": "llama3",
        "factor": _number(keys, name, stated, "factor"),
        "slow": _number(keys, name, stated, "low_freq_factor"),
        "fast": _number(keys, name, stated, "high_freq_factor"),
        "original_positions": _original(keys, name, stated),
    }


def _yarn(keys: Keys, name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    original = _original(keys, name, stated)
    if stated.get("factor") is None:
        factor = keys.whole("max_position_embeddings", original) / original
    else:
        factor = _number(keys, name, stated, "factor")
    if stated.get("attention_factor") is not None:
        magnitude = _number(keys, name, stated, "attention_factor")
    elif stated.get("mscale") and stated.get("mscale_all_dim"):
        over, under = (_number(keys, name, stated, key) for key in ("mscale", "mscale_all_dim"))
        magnitude = _growth(factor, over) / _growth(factor, under)
    else:
        magnitude = _growth(factor, 1.0)
    return {
        "scaling": "yarn",
        "factor": factor,
        "original_positions": original,
        "slow": _number(keys, name, stated, "beta_slow") if stated.get("beta_slow") else 1.0,
        "fast": _number(keys, name, stated, "beta_fast") if stated.get("beta_fast") else 32.0,
        "whole": name.count(".") > 0 or stated.get("truncate", True) is not False,
        "magnitude": magnitude,
    }


def _growth(factor: float, by: float) -> float:
    """Peng et al. 2023, equation 22."""
    return 1.0 if factor <= 1 else 0.1 * by * math.log(factor) + 1.0


def _number(keys: Keys, name: str, stated: Mapping[str, Any], key: str) -> float:
    value = stated.get(key)
    if not is_number(value) or not 0 < value < 1e30:
        raise keys.wrong(f"{name}.{key}", value, "a number above 0")
    return float(value)


def _original(keys: Keys, name: str, stated: Mapping[str, Any]) -> int:
    key = "original_max_position_embeddings"
    if keys.values.get(key) is not None:
        raise keys.unsupported(key, keys.values[key], f"; state it in {name}")
    value = stated.get(key, keys.values.get("max_position_embeddings"))
    if not is_whole(value) or not 1 <= value <= MOST:
        raise keys.wrong(f"{name}.{key}", value, f"a whole number from 1 to {MOST}")
    return int(value)
