"""An explanation as data for programs, and as lines for a person at a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sestina._explain.scene import Scene

_DIGITS = 6  # after the point: the weights of a row still sum to 1 within 1e-4
_BAR = 30  # characters of the longest


def document(scene: Scene) -> Iterator[str]:
    """The lines of one JSON document, without line ends.

    `attention[layer][head][from][to]`, counted from 0, is how much one token takes from another.
    """
    found = scene.found
    members = {
        "bundle": scene.name,
        "space": scene.space,
        "variant": scene.variant,
        "precision": scene.precision,
        "pooling": found.pooling,
        **({"prompt": found.tokens.prompt} if found.tokens.prompt else {}),
        "text": scene.text,
        "truncated": found.tokens.truncated,
        "max_tokens": found.tokens.max_tokens,
        "n_layers": scene.n_layers,
        "n_heads": scene.n_heads,
        "tokens": [
            {
                "id": found.tokens.ids[at],
                "token": found.tokens.tokens[at],
                "offsets": list(found.tokens.offsets[at]),
                "contribution": contribution,
            }
            for at, contribution in enumerate(_numbers(found.contributions))
        ],
        "vector": [float(f"{value:.9g}") for value in found.vector.tolist()],
    }
    for name, value in members.items():
        begin = "{" if name == "bundle" else " "
        yield f"{begin}{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},"
    yield ' "attention": ['
    for layer, heads in enumerate(found.attention, start=1):
        texts = ",\n".join(json.dumps(_numbers(head)) for head in heads)
        yield f"[{texts}]{',' if layer < scene.n_layers else ']}'}"


def _numbers(values: npt.NDArray[np.float32]) -> list[float]:
    rounded: list[float] = values.astype(np.float64).round(_DIGITS).tolist()
    return rounded


def lines(scene: Scene) -> Iterator[str]:
    """A line for each token with what it contributes."""
    largest = max(map(abs, scene.found.contributions.tolist()), default=0.0) or 1.0
    for word, part in zip(scene.words, scene.found.contributions.tolist(), strict=True):
        bar = ("#" if part > 0 else "-") * round(_BAR * abs(part) / largest)
        yield f"{part:7.1%}  {bar:<{_BAR}}  {word}"
