"""Coroutines of a host wait for an encoder, and those that wait together are encoded together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import sestina
from sestina.integrations._empty import refuse_empty
from sestina.integrations._encoder import Kind, Source

if TYPE_CHECKING:
    from sestina.integrations._empty import Vectors


class Waiting:
    """`Source.encode`, awaited, in any number of event loops."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._loops: dict[asyncio.AbstractEventLoop, sestina.AsyncEncoder] = {}

    async def encode(self, texts: Any, kind: Kind, *, empty: str = "error") -> Vectors:
        """As `Source.encode`."""
        asked = self._source.dimensions_asked
        options = {} if asked is None else {"dimensions": asked}
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            for ended in [each for each in list(self._loops) if each.is_closed()]:
                self._loops.pop(ended, None)
            encoder = await loop.run_in_executor(None, lambda: self._source.encoder)
            self._loops.setdefault(loop, sestina.AsyncEncoder(encoder))
        many = self._loops[loop]
        encode = many.encode_query if kind == "query" else many.encode_document
        vectors = await encode(texts, on_empty="zero", **options)
        if empty == "error":
            refuse_empty(vectors, texts, kind)
        return vectors

    def __reduce__(self) -> tuple[type[Waiting], tuple[Source]]:
        return Waiting, (self._source,)
