"""The cluster: joined or begun on this machine, and how many encoders of how many CPUs stand on it."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import ray

from sestina import OptionError

# Ray Data's own tasks and the actor that passes over what is done take a CPU each: with none left, encoders
# wait for readers, and readers for a CPU.
_OTHERS = 2


class Places(NamedTuple):
    """Encoders on a cluster.

    Attributes:
        encoders: How many.
        cpus: Of each, and its threads.
    """

    encoders: int
    cpus: int


@contextlib.contextmanager
def meanwhile(module: str) -> Iterator[None]:
    """Import a module beside what is done in the block, which waits for other processes."""

    def begin() -> None:
        with contextlib.suppress(Exception):  # raised where it is imported again
            importlib.import_module(module)

    thread = threading.Thread(target=begin, name=f"import {module}")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def join(address: str | None, cores: int) -> list[int]:
    """Connect to a cluster, or begin one of this machine alone; the CPUs of each node.

    Args:
        address: Of the cluster, "auto" for the one that runs here; None: RAY_ADDRESS, else this machine.
        cores: Of this machine, to be computed on. A cluster of this machine alone has two CPUs more, for Ray.

    Raises:
        OptionError: Where there is no cluster at the address.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "WARNING"}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of Sestina calls home
        options |= {"num_cpus": cores + _OTHERS, "include_dashboard": False}
    if not ray.is_initialized():
        try:
            _knock(address)
            ray.init(address=address, **options)
        except (OSError, ValueError) as error:
            told = str(error).partition("\n")[0].rstrip(".")
            raise OptionError(
                f"there is no Ray cluster at {address} ({told}): start it, or pass another --address"
            ) from None
    return [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]


def leave() -> None:
    """Disconnect, and end a cluster that `join` began."""
    if not ray.is_initialized():
        return
    with contextlib.suppress(AttributeError, KeyError):  # Ray's own, which may be elsewhere one day
        for each in ray._private.worker._global_node.all_processes["monitor"]:
            # It would ask for more machines, and does not heed SIGTERM: Ray would wait a second for it.
            each.process.kill()
    ray.shutdown()


def _knock(address: str) -> None:
    """Whether somebody listens at HOST:PORT; Ray itself would try for two minutes.

    Raises:
        OSError, ValueError: Where nobody does, or it is no such address.
    """
    if address in ("auto", "local") or "://" in address:
        return
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError("an address is HOST:PORT, auto or local")
    socket.create_connection((host, int(port)), timeout=10).close()


def places(nodes: Sequence[int], cpus: int | None, encoders: int | None) -> Places:
    """How many encoders, of how many CPUs each.

    Args:
        nodes: The CPUs of each node.
        cpus: Of an encoder; None: all of the smallest node's but what is left to Ray.
        encoders: How many; None: as many as there is room for.

    Raises:
        OptionError: Where there is no room for one.
    """
    if cpus is None:
        smallest = min((each for each in nodes if each > 1), default=1)
        cpus = max(1, min(smallest - 1, sum(nodes) - _OTHERS))
    room = sum(max(0, each - 1) // cpus for each in nodes)
    while room and sum(nodes) - room * cpus < _OTHERS:
        room -= 1
    if room == 0 and any(each >= cpus for each in nodes) and sum(nodes) - cpus >= _OTHERS:
        room = 1
    if room < (encoders or 1):
        raise OptionError(
            f"the cluster has nodes of {', '.join(map(str, sorted(nodes)))} CPUs, which is no room for "
            f"{encoders or 1} encoders of {cpus}: an encoder is on one node, and a CPU of each node and "
            f"{_OTHERS} in all are left to Ray; add nodes, or pass fewer --encoders or --encoder-cpus"
        )
    return Places(encoders or room, cpus)
