"""The pooling of a sentence-transformers folder, as each of its versions has written it."""

from __future__ import annotations

from pathlib import Path

from sestina_model._errors import UnsupportedCheckpointError
from sestina_model._files import flag, read_json_object
from sestina_model.head_config import MOST_MODES, POOLINGS, Pooling

__all__ = ["read_pooling"]

# One flag per mode until version 5.3, then a single pooling_mode; several are joined in this order.
_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def read_pooling(path: Path) -> tuple[Pooling, bool]:
    """The pooling, and whether it takes in the tokens of a prompt."""
    config = read_json_object(path)
    if "pooling_mode" in config:
        found = config["pooling_mode"]
        modes = list(found) if isinstance(found, list) else [found]
    else:
        flags = {mode: flag(config, name, path) for name, mode in _POOLING_FLAGS.items()}
        modes = [mode for mode, set_ in flags.items() if set_] or ["mean"]
    if not 1 <= len(modes) <= MOST_MODES or not all(mode in POOLINGS for mode in modes):
        raise UnsupportedCheckpointError(
            f"{path}: pooling_mode {' with '.join(map(str, modes)) or '[]':.120} is not supported; "
            f"{', '.join(POOLINGS)} and lists of up to {MOST_MODES} of them are"
        )
    return "+".join(modes), flag({"include_prompt": True, **config}, "include_prompt", path)
