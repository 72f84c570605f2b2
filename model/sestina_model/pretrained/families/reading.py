"""From a config.json to our configuration: by the family that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sestina_model._errors import CheckpointError, ConfigError, UnsupportedCheckpointError
from sestina_model.config import EncoderConfig
from sestina_model.pretrained.families.bert import BERT_LIKE
from sestina_model.pretrained.families.deberta import DEBERTA
from sestina_model.pretrained.families.family import POSITIONS, Architecture, Family
from sestina_model.pretrained.families.keys import Keys
from sestina_model.pretrained.families.llama import LLAMA_LIKE
from sestina_model.pretrained.families.rope import depends_on_length
from sestina_model.pretrained.families.rotary import ROTARY
from sestina_model.pretrained.families.t5 import T5_LIKE

__all__ = ["FAMILIES", "read_architecture"]

FAMILIES: Mapping[str, Family] = {**BERT_LIKE, "deberta-v2": DEBERTA, **ROTARY, **LLAMA_LIKE, **T5_LIKE}

# Settings of every family that change the computation or name other files, and the values that do not.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "quantization_config": (None,),
    # Other weights, and other configurations by the version of transformers.
    "transformers_weights": (None, "model.safetensors"),
    "configuration_files": (None, [], ["config.json"]),
    "pruned_heads": ({}, None),
    # Of encoders transformers makes this one way without padding and another with it.
    "is_causal": (False, None),
}


def read_architecture(values: Mapping[str, Any], origin: Path) -> Architecture:
    """Read a Hugging Face config.json.

    Args:
        values: What it holds.
        origin: Its path, for errors.

    Raises:
        CheckpointError: Where a value is missing or makes no sense.
        UnsupportedCheckpointError: Naming what Sestina's encoder does not have.
    """
    family = _family(values, origin)
    keys = Keys(_with_aliases(values, family, origin), origin)
    _check_neutral(keys, family)
    settings = _settings(keys, family)
    n_token_types = _token_types(keys, family)
    try:
        settings["token_types"] = "folded" if n_token_types else "none"
        if family.padded_positions:
            settings["positions"] = "counted"
        config = EncoderConfig(**settings)
        skipped = config.pad_id if family.padded_positions else 0
        if family.padded_positions:  # those before the padding id's own, and that one
            config = replace(config, max_positions=config.max_positions - skipped - 1)
    except ConfigError as error:
        raise CheckpointError(f"{origin}: {error}{_theirs(error, family)}") from error
    by_length = None
    if config.positions == "rotary" and depends_on_length(keys):
        by_length = keys.unsupported(
            "rope_type", "dynamic", f" for texts beyond {config.max_positions} tokens; lower max_seq_length"
        )
    stated = family.settings["max_positions"][0] != "" or keys.values.get(POSITIONS, -1) != -1
    return Architecture(family, config, skipped, n_token_types, family.layer_name(keys), by_length, stated)


def _with_aliases(values: Mapping[str, Any], family: Family, origin: Path) -> Mapping[str, Any]:
    named = dict(values)
    for name, alias in family.aliases.items():
        if {name, alias} <= values.keys() and values[name] != values[alias]:
            raise CheckpointError(
                f"{origin}: {name} is {values[name]!r:.60} and {alias}, another name for it, is "
                f"{values[alias]!r:.60}; state one"
            )
        if name not in values and alias in values:
            named[name] = values[alias]
    return named


def _check_neutral(keys: Keys, family: Family) -> None:
    for key, neutral in {**_NEUTRAL, **family.neutral}.items():
        value = keys.values.get(key, neutral[0])
        if value not in neutral:
            carried = [repr(each) for each in neutral if each is not None]
            allowed = f"; only {carried[0]} is" if len(carried) == 1 else f"; {' and '.join(carried)} are"
            allowed = allowed if carried else ""
            raise keys.unsupported(key, value, allowed)
    if keys.values.get("auto_map") and not family.own_code:
        raise keys.unsupported(
            "auto_map", keys.values["auto_map"], "; code that comes with a checkpoint is never run"
        )


def _settings(keys: Keys, family: Family) -> dict[str, Any]:
    settings = {
        name: keys.values.get(key, default) if key else default
        for name, (key, default) in family.settings.items()
    }
    if not family.padded_positions and settings["pad_id"] in (None, -1):
        settings["pad_id"] = family.settings["pad_id"][1]  # it decides nothing there
    if "activation" in settings:
        settings["activation"] = keys.activation(family.settings["activation"][0], settings["activation"])
    return settings | dict(family.fixed) | dict(family.choices(keys))


def _token_types(keys: Keys, family: Family) -> int:
    if family.token_types is None:
        return 0
    default = family.token_types[1]
    return keys.whole("type_vocab_size", default, 0 if family.token_types_optional else 1)


def _theirs(error: ConfigError, family: Family) -> str:
    """What the file calls the field that an error begins with."""
    name = str(error).partition(" ")[0]
    theirs = family.settings.get(name, ("", None))[0]
    return f" ({name} is {theirs} there)" if theirs not in ("", name) else ""


def _family(values: Mapping[str, Any], origin: Path) -> Family:
    model_type, known = values.get("model_type"), ", ".join(FAMILIES)
    if not isinstance(model_type, str):
        raise CheckpointError(f"{origin} has no model_type; add the one of {known} that it is")
    if model_type not in FAMILIES:
        raise UnsupportedCheckpointError(
            f"{origin}: model_type {model_type!r:.60} is not supported; {known} are"
        )
    return FAMILIES[model_type]
