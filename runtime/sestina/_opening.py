"""A chosen variant opened: its tokenizer, then its sessions.

What needs numpy, onnxruntime and tokenizers is imported with this module, so that `load` can have the files
hashed meanwhile. Side by side the two were no sooner done: one holds Python's lock, and both ask the system
for memory, where they wait for one another.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sestina._bundle.bundle import Bundle
from sestina._bundle.manifest import TOKENIZER
from sestina._encoder import Encoder
from sestina._loaded import Loaded
from sestina._process.native import opening
from sestina._providers.choice import Choice, choose
from sestina._schedule.budget import Budget
from sestina._schedule.engine import Engine
from sestina._session.buckets import open_on_cpu
from sestina._session.session import Session
from sestina._session.sessions import Sessions
from sestina._text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sestina._selection.selection import Accepted

__all__ = ["Encoder", "Loaded", "open_engine"]


def open_engine(
    process: object,
    bundle: Bundle,
    choice: Choice,
    accepted: Accepted | None,
    threads: int,
    budget: Budget,
    task: str,
) -> Engine:
    """Everything that encodes.

    Args:
        process: The one in which loading was begun (`this_process`).
        bundle: What is opened.
        choice: Its variant.
        accepted: The session of a provider that passed; None: the CPU.
        threads: That compute.
        budget: What runs at once.
        task: What it is loaded for.

    Raises:
        BundleError, ProviderError: As their names say.
    """
    contract = bundle.manifest.contract

    def inside(threads: int, names: Sequence[str]) -> Session:
        with opening:
            from sestina._session.introspection import (
                open_introspection,  # only here: not every start needs it
            )

        variant = choice.variant if choice.provider == "cpu" else choose(bundle, "cpu", "auto").variant
        return open_introspection(bundle, variant, threads, names)

    content, manifest = bundle.read(TOKENIZER), bundle.manifest
    limits = (contract.max_tokens, budget.tokenized_characters)
    make: Callable[..., Engine] = Engine
    tokenizer: Tokenizer
    if manifest.task == "rerank":
        with opening:
            from sestina._schedule.pair_engine import PairEngine
            from sestina._text.pairs import PairTokenizer

        make, tokenizer = PairEngine, PairTokenizer(content, *limits, types=manifest.token_types)
    else:
        tokenizer = Tokenizer(content, *limits)
        if manifest.task == "sparse":
            with opening:
                from sestina._schedule.sparse_engine import SparseEngine

            make = SparseEngine
        elif contract.results is not None:
            with opening:
                from sestina._schedule.several_engine import SeveralEngine, WeightsEngine

            make = partial(WeightsEngine if task == "sparse" else SeveralEngine, contract.results)
    if accepted is not None:
        run = accepted.run
        sessions = Sessions(lambda _: run, inside, 1)
    else:
        graph = bundle.graph(choice.variant.entry.file)
        open_whole = partial(open_on_cpu, graph, choice.variant)
        if graph.has_states_part and task == manifest.task:  # of others every call needs the whole
            sessions = Sessions(partial(open_whole, states=False), inside, threads, open_whole)
        else:
            sessions = Sessions(open_whole, inside, threads)
    return make(process, tokenizer, sessions, budget, contract.dimensions, manifest.result)
