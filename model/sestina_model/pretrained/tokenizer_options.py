"""What the JSON files beside a tokenizer.json say of it, read as transformers 5 reads them.

Tokens are named in four places, and not all count: where tokenizer_config.json has added_tokens_decoder,
special_tokens_map.json and added_tokens.json are not looked at; where it has none, all are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from sestina_model._errors import CheckpointError, UnsupportedCheckpointError
from sestina_model._files import read_json_object

__all__ = ["CONFIG", "EXTRA", "OLD_EXTRA", "ROLES", "TokenizerOptions", "read_options"]

CONFIG = "tokenizer_config.json"
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
EXTRA, OLD_EXTRA = "extra_special_tokens", "additional_special_tokens"

_SPECIAL_TOKENS, _ADDED_TOKENS = "special_tokens_map.json", "added_tokens.json"
_NAMED = "model_specific_special_tokens"
# What would change the tokenizer in a way that a tokenizer.json cannot hold, or that names another one.
_REFUSED = (
    "_json_padding",
    "_json_truncation",
    "_spm_precompiled_charsmap",
    "gguf_file",
    "init_inputs",
    "post_processor",
    "tokenizer_object",
    "tokenizer_padding",
    "tokenizer_truncation",
)


@dataclass(frozen=True, slots=True)
class TokenizerOptions:
    """What a folder says of its tokenizer.

    Attributes:
        origin: tokenizer_config.json, for errors.
        values: Options by name; special_tokens_map.json may have changed them.
        added: Added tokens by the id that they are stated with. The id orders them and decides nothing else.
        roles: Special tokens by what they are for; the names of `ROLES` first, where given, None for null.
        extra: Special tokens without a role.
    """

    origin: Path
    values: Mapping[str, Any]
    added: Mapping[int, AddedToken]
    roles: Mapping[str, AddedToken | str | None]
    extra: tuple[AddedToken | str, ...]

    def flag(self, name: str, default: bool, *, null: bool | None = None) -> bool:
        """An option that is true or false.

        Args:
            name: The option.
            default: Its value where it is not there.
            null: Its value where it is null; None: it may not be.

        Raises:
            CheckpointError: Where it is anything else.
        """
        value = self.values.get(name, default)
        if value is None and null is not None:
            return null
        if not isinstance(value, bool):
            raise CheckpointError(f"{self.origin}: {name} is {value!r:.60}; it must be true or false")
        return value


def read_options(folder: Path, document: Mapping[str, Any]) -> TokenizerOptions:
    """Read the files of a folder.

    Args:
        folder: Where they are; each may be absent.
        document: What tokenizer.json holds.

    Raises:
        CheckpointError: Where a file is damaged, or a token is not stated as one.
        UnsupportedCheckpointError: Naming an option that a tokenizer.json cannot hold.
    """
    origin = folder / CONFIG
    values = read_json_object(origin, optional=True)
    values.pop("add_bos_token", None)  # not looked at where there is a tokenizer.json
    values.pop("add_eos_token", None)
    if OLD_EXTRA in values and not values.get(EXTRA):
        values[EXTRA] = values.pop(OLD_EXTRA)
    named = _own_roles(values)
    if isinstance(values.get(EXTRA), dict):
        named.update(values.pop(EXTRA))
    if named:
        values[_NAMED] = named
    _check_once(folder, values.get("added_tokens_decoder"), document)
    added = _added_tokens(folder, values, document)
    values = {name: _read_marked(value, origin) for name, value in values.items()}
    _refuse(values, origin)
    roles, extra = _special_tokens(values, {token.content: token for token in added.values()}, origin)
    return TokenizerOptions(origin, values, added, roles, extra)


def _special_tokens(
    values: dict[str, Any], added: Mapping[str, AddedToken], origin: Path
) -> tuple[dict[str, AddedToken | str | None], tuple[AddedToken | str, ...]]:
    """By role, and those without one. A token that is among the added ones is as it is there."""
    roles = {role: added.get(_content(values[role]), values[role]) for role in ROLES if role in values}
    extra, named = values.get(EXTRA, values.get(OLD_EXTRA)) or [], values.get(_NAMED) or {}
    for name, value, kinds in ((EXTRA, extra, list | dict), (_NAMED, named, dict)):
        if not isinstance(value, kinds):
            raise CheckpointError(f"{origin}: {name} is {value!r:.60}; it must hold tokens")
    roles |= {**(extra if isinstance(extra, dict) else {}), **_own_roles(values), **named}
    listed = extra if isinstance(extra, list) else []
    for name, token in (*roles.items(), *((EXTRA, token) for token in listed)):
        if not isinstance(token, AddedToken | str) and not (token is None and name in ROLES):
            raise CheckpointError(f"{origin}: {name} is {token!r:.60}; it must be a token")
    return roles, tuple(listed)


def _own_roles(values: dict[str, Any]) -> dict[str, Any]:
    """Take out the tokens whose roles are the folder's own: every other "..._token" that is one."""
    names = [name for name in values if name.endswith("_token") and name not in ROLES]
    return {name: values.pop(name) for name in names if isinstance(values[name], AddedToken | str)}


def _added_tokens(folder: Path, values: dict[str, Any], document: Mapping[str, Any]) -> dict[int, AddedToken]:
    origin = folder / CONFIG
    if "added_tokens_decoder" in values:
        stated = values.pop("added_tokens_decoder")
        if not isinstance(stated, dict):
            raise CheckpointError(f"{origin}: added_tokens_decoder must map ids to tokens")
        return {_whole(id_, origin): _token(token, origin) for id_, token in stated.items()}
    _join_special_tokens(folder / _SPECIAL_TOKENS, values)
    special = {_content(values[role]) for role in ROLES if values.get(role)}
    special |= {_content(token) for token in _items(values.get(EXTRA))}
    added = {}
    for content, id_ in read_json_object(folder / _ADDED_TOKENS, optional=True).items():
        known = content in special
        token = {"content": content, "normalized": not known, "special": known}
        added[_whole(id_, folder / _ADDED_TOKENS)] = _token(token, folder / _ADDED_TOKENS)
    for token in document.get("added_tokens") or ():
        stated = {name: value for name, value in token.items() if name != "id"}
        added[_whole(token["id"], folder / "tokenizer.json")] = _token(stated, folder / "tokenizer.json")
    return added


def _check_once(folder: Path, decoder: object, document: Mapping[str, Any]) -> None:
    """Refuse a token that one file states twice, each time with other options: only one of them can be."""
    stated = {
        "tokenizer.json": document.get("added_tokens") or (),
        CONFIG: decoder.values() if isinstance(decoder, dict) else (),
    }
    for file, tokens in stated.items():
        seen: dict[str, dict[str, Any]] = {}
        for token in tokens:
            if not isinstance(token, dict):
                continue  # refused where it is read
            options = {name: value for name, value in token.items() if name != "id"}
            if seen.setdefault(str(token.get("content")), options) != options:
                raise UnsupportedCheckpointError(
                    f"{folder / file}: the added token {token.get('content')!r:.60} is there twice with "
                    f"different options, which is not supported; keep one of them"
                )


def _join_special_tokens(path: Path, values: dict[str, Any]) -> None:
    """Put what special_tokens_map.json says over what tokenizer_config.json says."""
    for name, given in read_json_object(path, optional=True).items():
        value: Any = given
        if name in ("tokenizer_file", "add_bos_token", "add_eos_token"):
            raise UnsupportedCheckpointError(f"{path}: {name} is not supported; leave it out")
        if name == EXTRA and isinstance(given, list):
            value = list(_items(values.get(EXTRA)))
            for token in given:
                token = _token(token | {"special": True}, path) if isinstance(token, dict) else token
                if token not in value:
                    value.append(token)
        elif name != EXTRA and isinstance(given, dict):
            value = _token(given | {"special": True}, path)
        values[name] = value
    if isinstance(values.get(EXTRA), dict):
        named = values.setdefault(_NAMED, {})
        if not isinstance(named, dict):
            raise CheckpointError(f"{path}: {_NAMED} is {named!r:.60}; it must map names to tokens")
        named.update(values.pop(EXTRA))


def _items(tokens: object) -> list[Any]:
    return list(tokens) if isinstance(tokens, list | dict) else []


def _read_marked(value: Any, origin: Path) -> Any:
    """A JSON value, in which each object that is marked as a token has become one."""
    if isinstance(value, dict):
        if value.get("__type") == "AddedToken":
            return _token({name: each for name, each in value.items() if name != "__type"}, origin)
        return {name: _read_marked(each, origin) for name, each in value.items()}
    if isinstance(value, list):
        return [_read_marked(each, origin) for each in value]
    return value


def _content(token: object) -> str:
    return token.content if isinstance(token, AddedToken) else str(token)


def _token(stated: Any, origin: Path) -> AddedToken:
    try:
        return AddedToken(**stated)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{origin}: {stated!r:.60} is not a token: {error}") from error


def _whole(value: object, origin: Path) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    raise CheckpointError(f"{origin}: {value!r:.60} is not the id of a token")


def _refuse(values: Mapping[str, Any], origin: Path) -> None:
    checks: Mapping[str, tuple[Callable[[Any], bool], str]] = {
        "auto_map": (
            lambda value: isinstance(value, dict) and "AutoTokenizer" not in value,
            "code that comes with a checkpoint is never run",
        ),
        "fast_tokenizer_files": (
            lambda value: isinstance(value, list) and all(name == "tokenizer.json" for name in value),
            "only tokenizer.json is read",
        ),
        "split_special_tokens": (lambda value: value is False, "only false is"),
        "truncation_side": (lambda value: value == "right", "only 'right' is"),
        **dict.fromkeys(_REFUSED, (lambda value: not value, "leave it out")),
    }
    for name, (allowed, what) in checks.items():
        if name in values and not allowed(values[name]):
            raise UnsupportedCheckpointError(
                f"{origin}: {name} {values[name]!r:.60} is not supported; {what}"
            )
