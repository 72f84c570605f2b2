"""From a provider that was asked for to what a session is given: found on this machine, or why not."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from sestina._errors import ProviderError
from sestina._handlers import let_through
from sestina._onnxruntime import line, onnxruntime
from sestina._process.fork import ForkLock
from sestina._process.native import opening
from sestina._providers.libraries import preload_cuda
from sestina._providers.provider import Provider
from sestina._providers.request import ProviderRequest
from sestina._providers.table import PROVIDERS

_DEVICE = "device"  # the one option of ours, which onnxruntime never sees
_registering = ForkLock()


class AttachedProvider(NamedTuple):
    """A provider as it was found here.

    Attributes:
        provider: Which.
        options: What it is given, Sestina's defaults included.
        devices: What a plugin computes on, as onnxruntime's `OrtEpDevice`; empty for what is built in.
        kind: "CPU", "GPU" or "NPU".
        device: The device, for people.
        version: Of the plugin; "" for what is built in.
    """

    provider: Provider
    options: Mapping[str, str]
    devices: tuple[Any, ...]
    kind: str
    device: str
    version: str

    def attach(self, session_options: Any, more: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
        """Give a session the provider.

        Args:
            session_options: A plugin's devices are attached to these.
            more: Options besides those of this attachment.

        Returns: what `InferenceSession` takes as `providers`; empty for a plugin, which that list would
            silently leave out.
        """
        options = {**self.options, **more}
        if not self.devices:
            return [(self.provider.ep, options)]
        session_options.add_provider_for_devices(list(self.devices), options)
        return []

    def hardware(self) -> list[list[str]]:
        """What tells the devices of a plugin from others of their kind."""
        found = (each.device for each in self.devices)
        return [[str(each.vendor_id), str(each.device_id), *_pairs(each.metadata)] for each in found]


CPU = AttachedProvider(PROVIDERS["cpu"], MappingProxyType({}), (), "CPU", "CPU", "")


def attach(asked: ProviderRequest) -> AttachedProvider:
    """Find a provider on this machine; a plugin's package is imported and registered for it.

    Raises:
        ProviderError: Where it is not here, or no device for it is; the message says what to do.
    """
    provider = asked.provider
    options = {option.name: option.default for option in provider.options if option.default is not None}
    options |= asked.options
    kinds = (options.pop(_DEVICE),) if _DEVICE in options else provider.devices
    if provider.cuda:
        with opening:
            preload_cuda(onnxruntime())
    if provider.module is not None:
        _register(provider, provider.module)
    elif provider.ep in onnxruntime().get_available_providers():
        which = f", device {options['device_id']}" if "device_id" in options else ""
        return AttachedProvider(provider, options, (), kinds[0], f"{provider.hardware}{which}", "")
    found = [device for device in onnxruntime().get_ep_devices() if device.ep_name == provider.ep]
    if not found and provider.module is None:
        version = onnxruntime().__version__
        raise ProviderError(f"this onnxruntime {version} was built without it: {provider.install}")
    for kind in kinds:
        for device in found:
            if device.device.type.name == kind:
                return _on(provider, options, device, kind)
    have = ", ".join(sorted({device.device.type.name for device in found})) or "none"
    raise ProviderError(f"no device for it was found here (wanted {' or '.join(kinds)}, found {have})")


def is_here(provider: Provider) -> bool:
    """Whether it seems to be installed, found out without importing or registering anything."""
    if provider.module is not None:
        return _is_installed(provider.module)
    module = onnxruntime()
    return provider.ep in module.get_available_providers() or any(
        device.ep_name == provider.ep for device in module.get_ep_devices()
    )


def _on(provider: Provider, options: dict[str, str], device: Any, kind: str) -> AttachedProvider:
    name = f"{device.device.vendor} {kind}".strip()
    if kind == "CPU":
        options = _over(dict(provider.on_cpu), options)
        if provider.simulates:
            name += ", simulating an NPU"
    version = f"{_version(provider)} {device.ep_metadata.get('version', '')}".strip()
    return AttachedProvider(provider, options, (device,), kind, name, version)


def _over(defaults: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """What is given over the defaults; where both are objects by device, member by member."""
    options = {**defaults, **given}
    for name in defaults.keys() & given.keys():
        if defaults[name].startswith("{"):
            mine, theirs = json.loads(defaults[name]), json.loads(given[name])
            each = {kind: {**mine.get(kind, {}), **theirs.get(kind, {})} for kind in {**mine, **theirs}}
            options[name] = json.dumps(each, sort_keys=True)
    return options


def _register(provider: Provider, name: str) -> None:
    if not _is_installed(name):
        raise ProviderError(f"the package {name} is not installed: {provider.install}")
    _registering.holding(partial(_register_once, provider, name))


def _register_once(provider: Provider, name: str) -> None:
    module = onnxruntime()
    # Whoever registered it before, the application perhaps, onnxruntime refuses it a second time.
    if any(device.ep_name == provider.ep for device in module.get_ep_devices()):
        return
    try:
        with opening:
            package = importlib.import_module(name)
        module.register_execution_provider_library(package.get_ep_name(), package.get_library_path())
    except Exception as error:  # noqa: BLE001  whatever a foreign package or library does
        if "already registered" not in str(error):
            raise ProviderError(f"its library cannot be registered: {line(error)}") from None


def _pairs(metadata: Mapping[str, str]) -> list[str]:
    return sorted(f"{name}={value}" for name, value in metadata.items())


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError as error:  # somebody has blocked it
        let_through(error)
        return False


def _version(provider: Provider) -> str:
    if provider.module is None:
        return str(onnxruntime().__version__)  # of several distributions of it, the one that is imported
    with opening:
        from importlib import metadata  # slow to import, and of no use to a CPU

    try:
        return metadata.version(provider.module)
    except metadata.PackageNotFoundError:
        return ""
