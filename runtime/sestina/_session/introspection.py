"""A session for looking inside a graph: the same weights, with inner values as outputs after its own."""

from __future__ import annotations

from collections.abc import Sequence

from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import Variant
from sestina._errors import BundleFormatError
from sestina._session.inner_values import node_output, outputs
from sestina._session.session import Session, Setting


def open_introspection(bundle: Bundle, variant: Variant, threads: int, names: Sequence[str]) -> Session:
    """Open a variant on the CPU with these float32 inner values as outputs too.

    Raises:
        BundleFormatError: Where the graph has no such inner value.
        BundleIntegrityError: Where it is not the file that was exported.
        ProviderError: Where onnxruntime does not load it.
    """
    file = variant.entry.file
    bundle.check_variant(variant)
    graph = bundle.graph(file)
    for name in names:
        if not graph.names(node_output(name)):
            raise BundleFormatError(
                f"{graph.where} has no inner value {name!r}, as graphs exported by this version "
                "have: export the bundle again"
            )
    setting = Setting(threads=threads, inner=tuple(names))
    return Session(graph, variant, setting, outputs(names))
