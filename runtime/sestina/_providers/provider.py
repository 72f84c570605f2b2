"""What there is to say about an execution provider.

Named tuples: dataclasses take eight times as long to be made, and these are at every start.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from sestina._bundle.manifest import Precision, Target

Shapes = Literal["dynamic", "static"]


class Option(NamedTuple):
    """One option of a provider.

    Attributes:
        name: As onnxruntime spells it; "device" is ours: the kind of device to take of those found.
        type: "flag" (True or False), "number" (a whole number), "choice", or "json" (an object, as text).
        choices: The values of a "choice".
        least: The least value of a "number".
        default: What Sestina sets where nothing else is asked for; None: the provider's own default.
    """

    name: str
    type: Literal["flag", "number", "choice", "json"]
    choices: tuple[str, ...] = ()
    least: int = 0
    default: str | None = None


class Wanted(NamedTuple):
    """Variants that a provider runs: a target, and its precisions in order of preference."""

    target: Target
    precisions: tuple[Precision, ...]


class Provider(NamedTuple):
    """An execution provider.

    Attributes:
        name: What Sestina calls it.
        ep: What onnxruntime calls it.
        hardware: What it computes on, for people.
        install: The pip command, or what else brings it.
        module: The package to import, where the provider is a plugin; None: it is built into onnxruntime.
        wanted: The variants that it runs, best first.
        shapes: The shapes of graphs that it takes.
        options: What may be asked of it.
        on_cpu: Options added where its device is the CPU; objects in them give way, member by member, to what
            is asked for.
        simulates: Whether its device on the CPU only simulates another.
        devices: Kinds of device, best first, as onnxruntime names them. Of a plugin they are looked for; of
            what is built into onnxruntime, which does not list them, the first is what it is for.
        auto: Kinds of device on which "auto" considers it; empty: it must be asked for by name.
        least_share: The share of a graph's nodes that it must take to be accepted.
        in_flight: Batches that run side by side; 0: one for each thread.
        batch_tokens: Tokens of a batch.
        bound: The device type that outputs are bound to, where results are made in its own memory.
        cache: How it keeps what it compiled: "context" (onnxruntime's context model), the name of an option
            that takes a directory, or None.
        half_precision: Whether it may compute float32 graphs in float16 or bfloat16, by its device or by an
            option.
        cuda: Whether it needs NVIDIA's libraries. In graphs of dynamic shapes onnxruntime then keeps the
            arithmetic of shapes on the CPU, on purpose, which does not count against it.
        note: What a user must know before choosing it.
        proof: How far the project itself has run it: "ran", "simulated", "registered, no device", "checked
            statically" (what it would take of a graph), or "not tried" (then against fakes alone).
    """

    name: str
    ep: str
    hardware: str
    install: str
    module: str | None
    wanted: tuple[Wanted, ...]
    shapes: tuple[Shapes, ...]
    options: tuple[Option, ...] = ()
    on_cpu: tuple[tuple[str, str], ...] = ()
    simulates: bool = False
    devices: tuple[str, ...] = ()
    auto: tuple[str, ...] = ()
    least_share: float = 0.9
    in_flight: int = 1
    batch_tokens: int = 512
    bound: str | None = None
    cache: str | None = None
    half_precision: bool = False
    cuda: bool = False
    note: str = ""
    proof: Literal["ran", "simulated", "registered, no device", "checked statically", "not tried"] = (
        "not tried"
    )
