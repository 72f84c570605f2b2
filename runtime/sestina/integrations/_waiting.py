"""Coroutines of a host wait for an encoder, and those that wait together are encoded together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import sestina
from sestina.integrations._encoder import Kind, Source, refuse_empty, way

if TYPE_CHECKING:
    from sestina.integrations._encoder import Vectors

_Loops = dict[asyncio.AbstractEventLoop, sestina.AsyncEncoder]


class Waiting:
    """`Source.encode`, awaited, in any number of event loops."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._loops: dict[Kind, _Loops] = {"query": {}, "document": {}}

    async def encode(self, texts: Any, kind: Kind, *, empty: str = "error") -> Vectors:
        """As `Source.encode`."""
        asked = self._source.dimensions_asked
        options = {} if asked is None else {"dimensions": asked}
        loop, loops = asyncio.get_running_loop(), self._loops[kind]
        if loop not in loops:
            for ended in [each for each in list(loops) if each.is_closed()]:
                loops.pop(ended, None)
            encoder = await loop.run_in_executor(None, lambda: self._source.encoder)
            loops.setdefault(loop, sestina.AsyncEncoder(_Way(encoder, kind)))  # type: ignore[arg-type]
        vectors = await loops[loop].encode(texts, **options)
        if empty == "error":
            refuse_empty(vectors, texts, kind)
        return vectors

    def __reduce__(self) -> tuple[type[Waiting], tuple[Source]]:
        return Waiting, (self._source,)


class _Way:
    """An encoder whose `encode` is that of queries or documents, as `AsyncEncoder` calls it."""

    def __init__(self, encoder: sestina.Encoder, kind: Kind) -> None:
        self.encode = way(encoder, kind)
