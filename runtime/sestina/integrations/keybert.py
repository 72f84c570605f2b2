"""KeyBERT: a backend that embeds documents and candidates."""

from __future__ import annotations

from sestina.integrations._backend import Backend
from sestina.integrations._host import Host

with Host("keybert"):
    from keybert.backend import BaseEmbedder


class SestinaBackend(Backend, BaseEmbedder):
    """`KeyBERT(SestinaBackend())`."""
