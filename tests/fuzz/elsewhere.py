"""Tensors that say that their values are in another file, wherever in a model a tensor may stand."""

from __future__ import annotations

from typing import Any

from fuzz import wire

# Wherever a TensorProto may stand, beside a graph's initializers.
PLACES = (
    "constant",
    "tensors",
    "sparse",
    "sparse-attribute",
    "function",
    "training",
    "subgraph",
    "unused",
)


def moved(
    tree: wire.Tree, at: int, place: str, location: str, offset: Any, length: Any, ways: dict[str, Any]
) -> bool:
    """Say of one tensor that it is in another file. Returns: whether there was one to say it of."""
    graph = next(field[2] for field in tree if field[0] == 7)
    tensors = [field for field in graph if field[0] == 5]
    held = tensors[at % len(tensors)][2]
    said = wire.external(location, offset, length)
    for field in said:
        if field[1] == "message":
            field[2][0].append(ways)  # the key, and what holds it
        field.append(ways)
    there = [field for field in held if field[0] not in (4, 5, 6, 7, 9, 10, 11)] + said
    if place == "initializer":
        held[:] = there
        return True
    name = [8, "bytes", b"another"]
    tensor = [field for field in there if field[0] != 8] + [name]
    sparse = [
        [1, "message", tensor],
        [2, "message", [[1, "varint", 1], [2, "varint", 7], [8, "bytes", b"i"]]],
        [3, "varint", 9],
    ]
    attribute = {
        "constant": [[1, "bytes", b"value"], [20, "varint", 4], [5, "message", tensor]],
        "tensors": [[1, "bytes", b"more"], [20, "varint", 9], [10, "message", tensor]],
        "sparse-attribute": [[1, "bytes", b"sparse_value"], [20, "varint", 11], [22, "message", sparse]],
        "subgraph": [
            [1, "bytes", b"g"],
            [20, "varint", 5],
            [6, "message", [[2, "bytes", b"g"], [5, "message", tensor]]],
        ],
    }.get(place)
    if attribute is not None:
        node = [[2, "bytes", b"unused"], [4, "bytes", b"Constant"], [5, "message", attribute]]
        graph.append([1, "message", node])
    elif place == "sparse":
        graph.append([15, "message", sparse])
    elif place == "unused":
        graph.append([5, "message", tensor])
    elif place == "training":
        tree.append([20, "message", [[1, "message", [[2, "bytes", b"g"], [5, "message", tensor]]]]])
    elif place == "function":
        attribute = [[1, "bytes", b"value"], [20, "varint", 4], [5, "message", tensor]]
        node = [[2, "bytes", b"y"], [4, "bytes", b"Constant"], [5, "message", attribute]]
        tree.append(
            [
                25,
                "message",
                [[1, "bytes", b"F"], [5, "bytes", b"y"], [7, "message", node], [10, "bytes", b"own"]],
            ]
        )
    return True
