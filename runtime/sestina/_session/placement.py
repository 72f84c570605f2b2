"""Which nodes of a graph run where, as onnxruntime assigned them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

_CPU = "CPUExecutionProvider"
# What onnxruntime leaves to the CPU where it computes shapes, for providers that it would have to wait for.
SHAPING = frozenset(
    (
        "Add", "Cast", "Concat", "Div", "Gather", "Max", "Min", "Mul", "Pow", "Range", "Reshape", "Shape",
        "Slice", "Squeeze", "Sub", "Unsqueeze",
    )
)  # fmt: skip


class Placement(NamedTuple):
    """Where the nodes of a session's graph run.

    Attributes:
        ep: The provider that was to run them (onnxruntime's name).
        nodes: Provider -> operator -> number of nodes.
        partitions: Subgraphs that were handed to that provider, each as one; a provider that runs node by
            node, such as the CPU's and CUDA's, has one for each node.
    """

    ep: str
    nodes: Mapping[str, Mapping[str, int]]
    partitions: int

    @property
    def share(self) -> float:
        """The share of all nodes that the provider was given, from 0 to 1.

        Of a graph in onnxruntime's own format nothing is recorded; on the CPU there is nowhere else.
        """
        if not self.nodes:
            return float(self.ep == _CPU)
        counts = {name: sum(operators.values()) for name, operators in self.nodes.items()}
        return counts.get(self.ep, 0) / sum(counts.values())

    def computed(self) -> tuple[float, Mapping[str, int]]:
        """The share, and what fell back, without what computes shapes."""
        stays = {name: count for name, count in self.fell_back.items() if name not in SHAPING}
        taken = sum(self.nodes.get(self.ep, {}).values())
        return taken / max(taken + sum(stays.values()), 1), stays

    @property
    def fell_back(self) -> Mapping[str, int]:
        """Operators that onnxruntime gave to the CPU instead, and how many of each."""
        return {} if self.ep == _CPU else self.nodes.get(_CPU, {})


def read_placement(session: Any, ep: str) -> Placement:
    """The placement of an `InferenceSession` that was told to record it."""
    placed: dict[str, Counter[str]] = {}
    partitions = 0
    for part in session.get_provider_graph_assignment_info():
        partitions += part.ep_name == ep
        placed.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
    nodes = {name: dict(sorted(counter.items())) for name, counter in sorted(placed.items())}
    return Placement(ep, nodes, partitions)
