"""BERTopic: a backend that embeds documents and words."""

from __future__ import annotations

from sestina.integrations._backend import Backend
from sestina.integrations._host import Host

with Host("bertopic"):
    from bertopic.backend import BaseEmbedder


class SestinaBackend(Backend, BaseEmbedder):
    """`BERTopic(embedding_model=SestinaBackend())`."""
