"""What a caller asks for as `provider=`: read, and refused where onnxruntime would silently accept it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from sestina._errors import OptionError
from sestina._manifest import Variant
from sestina._provider import Option, Provider
from sestina._providers import AUTO_ORDER, PROVIDERS

ProviderArgument = str | Sequence[str | tuple[str, Mapping[str, object]]]

AUTO = "auto"
_NUMBER_MOST = 1 << 62


class Asked(NamedTuple):
    """One provider that was asked for, and its options as onnxruntime takes them."""

    provider: Provider
    options: Mapping[str, str]


def read_asked(argument: object) -> tuple[Asked, ...] | None:
    """The providers that were asked for, in order; None for "auto".

    Args:
        argument: "auto", a name, or a list of names and of (name, options).

    Raises:
        OptionError: On an unknown provider, an option that it does not have, or a value that the option does
            not take.
    """
    if isinstance(argument, str):
        return None if argument == AUTO else (Asked(_provider(argument), MappingProxyType({})),)
    if not isinstance(argument, Sequence) or isinstance(argument, bytes | bytearray) or not argument:
        raise OptionError(
            f"provider is {argument!r:.80}; it must be a name, or a list of names and (name, options)"
        )
    return tuple(_entry(entry) for entry in argument)


def in_order(
    named: tuple[Asked, ...] | None, variants: Sequence[Variant], *, strict: bool
) -> tuple[Asked, ...]:
    """Every provider that may be used, in the order in which to try them.

    Args:
        named: As `read_asked` gives them.
        variants: Of the bundle. "auto" leaves out accelerators that none of them was made for.
        strict: Whether what was not named may not be used.
    """
    if named is None:
        targets = {variant.target for variant in variants}
        automatic = (PROVIDERS[name] for name in AUTO_ORDER)
        return tuple(
            Asked(provider, MappingProxyType({}))
            for provider in automatic
            if provider.name == "cpu" or targets & ({wanted.target for wanted in provider.wanted} - {"cpu"})
        )
    if strict or any(asked.provider.name == "cpu" for asked in named):
        return named
    return (*named, Asked(PROVIDERS["cpu"], MappingProxyType({})))


def spell(argument: ProviderArgument) -> str:
    """The names in an argument that was found right, in one line."""
    if isinstance(argument, str):
        return argument
    return ", ".join(entry if isinstance(entry, str) else entry[0] for entry in argument)


def _entry(entry: object) -> Asked:
    if isinstance(entry, str):
        return Asked(_provider(entry), MappingProxyType({}))
    if isinstance(entry, tuple | list) and len(entry) == 2 and isinstance(entry[1], Mapping):
        provider = _provider(entry[0])
        options = {name: _value(provider, name, value) for name, value in entry[1].items()}
        return Asked(provider, MappingProxyType(options))
    raise OptionError(f"provider has the entry {entry!r:.80}; it must be a name, or (name, options)")


def _provider(name: object) -> Provider:
    found = PROVIDERS.get(name) if isinstance(name, str) else None
    if found is None:
        raise OptionError(f"provider is {name!r:.80}; it must be one of auto, {', '.join(PROVIDERS)}")
    return found


def _value(provider: Provider, name: object, value: object) -> str:
    """The value of an option as onnxruntime takes it, which is text."""
    known = {option.name: option for option in provider.options}
    if name not in known:
        have = f"it has {', '.join(known)}" if known else "it has none"
        raise OptionError(f"{provider.name} has no option {name!r:.60}; {have}")
    option = known[str(name)]
    read = {"flag": _flag, "number": _number, "choice": _choice, "json": _json}[option.type](option, value)
    if read is None:
        raise OptionError(f"option {name} of {provider.name} is {value!r:.60}; it must be {_allowed(option)}")
    return read


def _flag(_: Option, value: object) -> str | None:
    return {True: "1", False: "0", "1": "1", "0": "0"}.get(value) if isinstance(value, bool | str) else None


def _number(option: Option, value: object) -> str | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not option.least <= value <= _NUMBER_MOST:
        return None
    return str(value)


def _choice(option: Option, value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value in option.choices else None


def _json(_: Option, value: object) -> str | None:
    """An object of objects, as text or as such."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
        if not isinstance(found, Mapping) or not all(isinstance(each, Mapping) for each in found.values()):
            return None
        return json.dumps({str(name): dict(each) for name, each in found.items()}, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return None


def _allowed(option: Option) -> str:
    if option.type == "number":
        return f"a whole number of at least {option.least}"
    if option.type == "json":
        return 'an object for each device, such as {"CPU": {"NUM_STREAMS": "2"}}'
    return "True or False" if option.type == "flag" else f"one of {', '.join(option.choices)}"
