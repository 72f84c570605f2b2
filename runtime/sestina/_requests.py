"""What coroutines wait for, encoded together: each gets the vectors, warnings and errors of its own texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sestina._arguments import plain_str
from sestina._caller import kept_warnings

if TYPE_CHECKING:
    import asyncio

    from sestina._encoder import Encoder


_PLAIN = (str, int, float, bool, type(None))


class Request(NamedTuple):
    """What one caller waits for: vectors of some texts, or of the only one. Those of one kind go together."""

    method: str
    texts: list[str | None]
    alone: bool
    options: dict[str, Any]
    kind: object
    answer: asyncio.Future[Any]


def kind_of(method: str, options: Mapping[str, Any]) -> object:
    """What requests have in common that may be encoded together; of options that are no plain values, which
    may compare and call themselves what they like, each request is of a kind of its own.
    """
    if not all(type(value) in _PLAIN for value in options.values()):
        return object()
    return method, sorted((name, type(value).__name__, value) for name, value in options.items())


def encoded(encoder: Encoder, batch: list[Request]) -> list[Any]:
    """What each request gets: its vectors and warnings, or the error of its own."""
    if len(batch) > 1:
        # What there is to warn of is told to its caller, in its place among the caller's own.
        options = {"on_truncate": "warn", **batch[0].options}
        options = {name: "error" if _warns(name, value) else value for name, value in options.items()}
        try:
            vectors = getattr(encoder, batch[0].method)(
                [text for each in batch for text in each.texts], **options
            )
        except Exception:  # noqa: BLE001  of one of them: each alone says whose it is
            return [_alone(encoder, each) for each in batch]
        ends = np.cumsum([len(each.texts) for each in batch])
        parts = np.split(vectors, ends[:-1])
        return [
            ((part[0] if each.alone else part).copy(), ()) for part, each in zip(parts, batch, strict=True)
        ]
    return [_alone(encoder, batch[0])]


def _warns(name: str, value: object) -> bool:
    return name in ("on_truncate", "on_empty") and plain_str(value) == "warn"


def _alone(encoder: Encoder, request: Request) -> Any:
    try:
        with kept_warnings() as told:
            vectors = getattr(encoder, request.method)(
                request.texts[0] if request.alone else request.texts, **request.options
            )
    except Exception as error:  # noqa: BLE001  it is raised where it is awaited
        return error
    return vectors, told
