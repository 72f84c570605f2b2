"""Under which prefix the weights of an encoder stand in a checkpoint, and what else stands there.

A task head, a wrapper or a trainer puts its own name before theirs (`bert.`, `model.`, `module.`,
`0.auto_model.`): the prefix is the one under which the names are there that the encoder asks for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from sestina_model._errors import CheckpointError

__all__ = ["Found", "find_prefix", "left_out"]

_NAMED = 6  # tensors that a note names
_OF_A_LAYER = re.compile(r"\.\d+\.")


class Found(NamedTuple):
    """The prefix, and which of the layouts stands under it."""

    prefix: str
    layout: int


def find_prefix(names: Collection[str], layouts: Sequence[Collection[str]], origin: Path) -> Found:
    """The prefix and the layout of which the most names are there; the first of those that are even.

    Raises:
        CheckpointError: Where none of them is there, or the weights of an encoder are there twice.
    """
    counts: Counter[Found] = Counter()
    for layout, wanted in enumerate(layouts):
        for name in names:
            counts.update(Found(prefix, layout) for prefix in _prefixes(name, wanted))
    if not counts:
        some = min(layouts[0])
        raise CheckpointError(
            f"{origin}: the weights do not fit the configuration; none of {len(layouts[0])} is there, such "
            f"as {some}: check model_type, or fetch the folder again"
        )
    best = min(counts, key=lambda found: (-counts[found], found.layout, len(found.prefix), found.prefix))
    for name in sorted(names):
        for prefix in _prefixes(name, layouts[best.layout]):
            # A norm or a bias of this name may be of a head; a map of a layer, or a table, is an encoder's.
            own = name[len(prefix) :]
            if prefix != best.prefix and (_OF_A_LAYER.search(own) or "embed" in own):
                raise CheckpointError(
                    f"{origin}: {own} is there twice, under {best.prefix!r} and under "
                    f"{prefix!r}; keep the weights of one encoder"
                )
    return best


def _prefixes(name: str, wanted: Collection[str]) -> list[str]:
    """What may stand before a wanted name to give this one."""
    starts = [0, *(at + 1 for at, each in enumerate(name) if each == ".")]
    return [name[:start] for start in starts if name[start:] in wanted]


def left_out(names: Collection[str], read: Collection[str], origin: Path) -> tuple[str, ...]:
    """One line that says which tensors the encoder does not read; none where it reads all."""
    if not names:
        return ()
    modules = {name.rpartition(".")[0] for name in read}
    first = sorted(names, key=lambda name: (name.rpartition(".")[0] not in modules, name))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    shown = ", ".join(f"{name:.80}" for name in first[:_NAMED])
    return (f"{origin}: {len(names)} tensors are no part of the encoder and left out: {shown}{more}",)
