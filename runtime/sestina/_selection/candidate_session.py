"""A variant on a provider: sessions that are opened, counted and probed before anyone gets them."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sestina._bundle.bundle import Bundle
from sestina._bundle.goldens import Golden
from sestina._bundle.graph import Graph
from sestina._bundle.manifest import Variant
from sestina._errors import BundleFormatError, ProviderError
from sestina._handlers import let_through
from sestina._onnxruntime import onnxruntime
from sestina._providers.attached_provider import AttachedProvider
from sestina._selection.contexts import Contexts
from sestina._selection.further import Further
from sestina._selection.probe import Probe, pick, probe
from sestina._session.buckets import run_padded
from sestina._session.placement import Placement
from sestina._session.session import Session, Setting

if TYPE_CHECKING:
    from sestina._arrays import Ids, Vectors

_CONTEXT = "context.onnx"


@dataclass(frozen=True, slots=True)
class Terms:
    """What every candidate of one load has in common.

    Attributes:
        threads: Threads that compute, where the provider uses the CPU.
        strict: Whether every node must run on the provider.
        goldens: Of the bundle.
        contexts: Where compiled graphs are kept; None: nowhere.
    """

    threads: int
    strict: bool
    goldens: tuple[Golden, ...]
    contexts: Contexts | None


class CandidateSession:
    """Opens sessions of a variant on a provider.

    Attributes:
        probe: How the first session did; None before one was opened.
        tolerance: What it was held to, and those after it are.
    """

    def __init__(self, bundle: Bundle, variant: Variant, attachment: AttachedProvider, terms: Terms) -> None:
        self._graph = bundle.graph(variant.entry.file)
        self._variant = variant
        self._result = bundle.manifest.result
        results = bundle.manifest.contract.results
        self._further = None if results is None else Further(bundle, results)
        self._attachment = attachment
        self._terms = terms
        self.probe: Probe | None = None
        self.tolerance = variant.tolerance

    def open(self, length: int | None) -> Session:
        """A session that is placed where it should be and gives the goldens' vectors.

        Args:
            length: Of every text, where the graph has static shapes; None for a dynamic one.

        Raises:
            ProviderError: Where it cannot be opened, too little of it runs on the provider, or its vectors
                are not those of PyTorch within the variant's tolerance there.
            OutputError: Where what was compiled cannot be kept in the directory that the caller named.
        """
        setting = Setting(self._attachment, self._terms.threads, self._terms.strict, length)
        contexts, way = self._terms.contexts, self._attachment.provider.cache
        # A dynamic graph is compiled as shapes come, when it is no longer known what an entry holds.
        if contexts is None or way is None or length is None:
            return self._held(self._graph, setting)
        facts = self._facts(length)
        found = contexts.find(facts)
        if found is not None:
            folder, placement, digests = found
            try:
                graph = _compiled(folder, digests) if way == "context" else self._graph
                return self._held(graph, self._kept(setting, folder)._replace(placement=placement))
            except (BundleFormatError, ProviderError):  # in doubt: compiled again
                contexts.forget(facts)
        with contexts.build() as folder:
            if way == "context":
                session = self._held(self._graph, setting._replace(entries=_context_entries(folder)))
            else:
                session = self._held(self._graph, self._kept(setting, folder))
            contexts.keep(folder, facts, session.placement())
        return session

    def _held(self, graph: Graph, setting: Setting) -> Session:
        """Open, count, probe."""
        session = Session(graph, self._variant, setting)
        self._count(session.placement())
        goldens = pick(self._terms.goldens, setting.length)
        if not goldens:
            raise ProviderError(f"the bundle has no golden that fits into {setting.length} tokens")

        def run(ids: Ids, pooled_from: int) -> Vectors:
            if setting.length is None:
                return session.run(self._result, ids, pooled_from)
            return run_padded(session, self._result, ids[0], setting.length, pooled_from)

        outcome = probe(run, goldens, batches=setting.length is None)
        if self._further is not None:
            outcome = self._further.probed(outcome, session, goldens, self._terms.goldens, setting.length)
        tolerance = self._limit(outcome.error) if self.probe is None else self.tolerance
        if not outcome.error <= tolerance:
            raise ProviderError(
                f"its vectors are {outcome.error:.2g} from PyTorch's, the variant's tolerance is "
                f"{tolerance:.2g}"
            )
        if self.probe is None:
            self.probe, self.tolerance = outcome, tolerance
        return session

    def _limit(self, error: float) -> float:
        """What the first session is held to: half precision where float32 is missed and that is allowed."""
        variant = self._variant
        reduced = self._attachment.provider.half_precision and error > variant.tolerance
        return variant.float16_tolerance if reduced else variant.tolerance

    def _count(self, placement: Placement) -> None:
        provider = self._attachment.provider
        least = 1.0 if self._terms.strict else provider.least_share
        share, stays = placement.computed() if provider.cuda else (placement.share, placement.fell_back)
        if share < least:
            stay = ", ".join(f"{count} {name}" for name, count in stays.items())
            raise ProviderError(
                f"{share:.0%} of its nodes run there, at least {least:.0%} must; the CPU has "
                f"{stay[:300] or 'the rest'}"
            )

    def _kept(self, setting: Setting, folder: Path) -> Setting:
        """With the provider told to keep what it compiles in `folder`, or to find it there."""
        way = self._attachment.provider.cache
        options: dict[str, str] = {}
        if way == "load_config":
            config: dict[str, Any] = json.loads(self._attachment.options.get(way, "{}"))
            kind = self._attachment.kind
            config[kind] = {**config.get(kind, {}), "CACHE_DIR": str(folder)}
            options[way] = json.dumps(config)
        elif way is not None and way != "context":
            options[way] = str(folder)
            if way == "trt_engine_cache_path":
                options["trt_engine_cache_enable"] = "1"
        return setting._replace(options=options)

    def _facts(self, length: int) -> Mapping[str, object]:
        """Everything that what is compiled depends on."""
        attachment = self._attachment
        return {
            "graph": "+".join(entry.sha256 for entry in self._variant.all_files),
            "provider": attachment.provider.ep,
            "provider_version": attachment.version,
            "options": dict(sorted(attachment.options.items())),
            "device": attachment.device,
            "hardware": attachment.hardware(),
            "system": platform.platform(),
            "onnxruntime": str(onnxruntime().__version__),
            "length": length,
            "strict": self._terms.strict,
        }


def _context_entries(folder: Path) -> dict[str, str]:
    return {
        "ep.context_enable": "1",
        "ep.context_embed_mode": "1",  # one file
        "ep.context_file_path": str(folder / _CONTEXT),
    }


def _compiled(folder: Path, digests: Mapping[str, str]) -> Graph:
    """What a provider compiled, read once: what is opened is what has the digest that was found right."""
    path = folder / _CONTEXT
    try:
        content = path.read_bytes()
    except OSError as error:
        let_through(error)
        raise ProviderError(f"{path} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != digests.get(_CONTEXT):
        raise ProviderError(f"{path} is not what was compiled")
    return Graph(content, str(path), own=True)
