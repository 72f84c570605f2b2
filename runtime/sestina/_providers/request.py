"""What a caller asks for as `provider=`: read, and refused where onnxruntime would silently accept it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from sestina._arguments import plain_str, truth, whole_number
from sestina._bundle.manifest import Variant
from sestina._errors import OptionError
from sestina._handlers import let_through
from sestina._providers.provider import Option, Provider
from sestina._providers.table import AUTO_ORDER, PROVIDERS
from sestina._quote import quote

ProviderArgument = str | Sequence[str | tuple[str, Mapping[str, object]]]

AUTO = "auto"
_NUMBER_MOST = 1 << 62


class ProviderRequest(NamedTuple):
    """One provider that was asked for, and its options as onnxruntime takes them."""

    provider: Provider
    options: Mapping[str, str]


def read_request(argument: object) -> tuple[ProviderRequest, ...] | None:
    """The providers that were asked for, in order; None for "auto".

    Args:
        argument: "auto", a name, or a list of names and of (name, options).

    Raises:
        OptionError: On an unknown provider, an option that it does not have, or a value that the option does
            not take.
    """
    name = plain_str(argument)
    if name is not None:
        return None if name == AUTO else (ProviderRequest(_provider(name), MappingProxyType({})),)
    entries: tuple[object, ...] = ()
    try:
        if isinstance(argument, Sequence) and not isinstance(argument, bytes | bytearray):
            entries = tuple(argument)
    except Exception as error:  # noqa: BLE001  whatever a sequence raises where it is read
        let_through(error)
    if not entries:
        raise OptionError(
            f"provider is {quote(argument)}; it must be a name, or a list of names and (name, options)"
        )
    return tuple(_entry(entry) for entry in entries)


def in_order(
    named: tuple[ProviderRequest, ...] | None, variants: Sequence[Variant], *, strict: bool
) -> tuple[ProviderRequest, ...]:
    """Every provider that may be used, in the order in which to try them.

    Args:
        named: As `read_request` gives them.
        variants: Of the bundle. "auto" leaves out accelerators that none of them was made for.
        strict: Whether what was not named may not be used.
    """
    if named is None:
        targets = {variant.target for variant in variants}
        automatic = (PROVIDERS[name] for name in AUTO_ORDER)
        return tuple(
            ProviderRequest(provider, MappingProxyType({}))
            for provider in automatic
            if provider.name == "cpu" or targets & ({wanted.target for wanted in provider.wanted} - {"cpu"})
        )
    if strict or any(asked.provider.name == "cpu" for asked in named):
        return named
    return (*named, ProviderRequest(PROVIDERS["cpu"], MappingProxyType({})))


def spell(argument: ProviderArgument) -> str:
    """The names in an argument that was found right, in one line."""
    if isinstance(argument, str):
        return argument
    return ", ".join(entry if isinstance(entry, str) else entry[0] for entry in argument)


def _entry(entry: object) -> ProviderRequest:
    if plain_str(entry) is not None:
        return ProviderRequest(_provider(entry), MappingProxyType({}))
    pair: tuple[object, ...] = ()
    given: list[tuple[object, object]] | None = None
    try:
        pair = tuple(entry) if isinstance(entry, tuple | list) else ()
        if len(pair) == 2 and isinstance(pair[1], Mapping):
            given = list(pair[1].items())
    except Exception as error:  # noqa: BLE001  as above
        let_through(error)
    if given is None:
        raise OptionError(f"provider has the entry {quote(entry)}; it must be a name, or (name, options)")
    provider = _provider(pair[0])
    return ProviderRequest(provider, MappingProxyType(dict(_option(provider, *each) for each in given)))


def _provider(given: object) -> Provider:
    name = plain_str(given)
    found = None if name is None else PROVIDERS.get(name)
    if found is None:
        raise OptionError(f"provider is {quote(given)}; it must be one of auto, {', '.join(PROVIDERS)}")
    return found


def _option(provider: Provider, given: object, value: object) -> tuple[str, str]:
    """The name of an option, and its value as onnxruntime takes it, which is text."""
    known = {option.name: option for option in provider.options}
    name = plain_str(given)
    if name is None or name not in known:
        have = f"it has {', '.join(known)}" if known else "it has none"
        raise OptionError(f"{provider.name} has no option {quote(given)}; {have}")
    option, text = known[name], plain_str(value)
    read = {"flag": _flag, "number": _number, "choice": _choice, "json": _json}[option.type]
    found = read(option, value if text is None else text)
    if found is None:
        raise OptionError(
            f"option {name} of {provider.name} is {quote(value)}; it must be {_allowed(option)}"
        )
    return name, found


def _flag(option: Option, value: object) -> str | None:
    if isinstance(value, str):
        return value if value in ("0", "1") else None
    try:
        return str(int(truth(option.name, value)))
    except OptionError:
        return None


def _number(option: Option, value: object) -> str | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    try:
        return str(whole_number(option.name, value, option.least, _NUMBER_MOST))
    except OptionError:
        return None


def _choice(option: Option, value: object) -> str | None:
    number = None if isinstance(value, str) else _number(option, value)
    text = value if isinstance(value, str) else number
    return text if text in option.choices else None


def _json(_: Option, value: object) -> str | None:
    """An object of objects, as text or as such."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
        if not isinstance(found, Mapping) or not all(isinstance(each, Mapping) for each in found.values()):
            return None
        return json.dumps({str(name): dict(each) for name, each in found.items()}, sort_keys=True)
    except Exception as error:  # noqa: BLE001  whatever a mapping raises where it is read
        let_through(error)
        return None


def _allowed(option: Option) -> str:
    if option.type == "number":
        return f"a whole number of at least {option.least}"
    if option.type == "json":
        return 'an object for each device, such as {"CPU": {"NUM_STREAMS": "2"}}'
    return "True or False" if option.type == "flag" else f"one of {', '.join(option.choices)}"
