"""What a graph is fed with where it is measured: ids of any kind, and what else it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sestina_export._graph.interface import ATTENDED, INPUT, MASK, POOLED_FROM, TYPES, attends_apart
from sestina_model.sentence import SentenceEncoder

__all__ = ["Types", "any_start", "any_types", "fed", "started", "takes", "unpadded"]

Types = dict[str, npt.NDArray[np.integer[Any]]]  # token types by the name of their input, or nothing


def unpadded(
    session: Any, ids: npt.NDArray[np.int64], start: int, types: Types
) -> dict[str, npt.NDArray[Any]]:
    """The inputs of a graph, with or without a mask, for rows of one length."""
    if MASK not in (tensor.name for tensor in session.get_inputs()):
        return {INPUT: ids, **types, **started(session, start, ids.shape[1])}
    mask = np.ones(ids.shape, dtype=np.int32)
    if takes(session, POOLED_FROM) is None and start:
        mask[:, start:] = 0  # what is not attended to
    small = {name: each.astype(np.int32) for name, each in {INPUT: ids, **types}.items()}
    return {**small, MASK: mask, **started(session, start, ids.shape[1])}


def started(session: Any, start: int, length: int) -> dict[str, npt.NDArray[Any]]:
    """The first token that is pooled, or how many are attended to (0: all), for a graph that takes it."""
    for name, value in ((POOLED_FROM, start), (ATTENDED, start or length)):
        if (kind := takes(session, name)) is not None:
            return {name: np.array([value], np.int64 if kind == "tensor(int64)" else np.int32)}
    return {}


def takes(session: Any, name: str) -> str | None:
    """The type of an input, where a graph has it."""
    return next((str(tensor.type) for tensor in session.get_inputs() if tensor.name == name), None)


def any_start(model: SentenceEncoder, generator: np.random.Generator, length: int) -> int:
    """A first token to pool, where the head leaves prompts out: any, or one beyond the last. Or how many
    tokens are attended to, where it fills texts up with others.
    """
    if attends_apart(model.head):
        config = model.encoder.config
        near = config.window if config.local_layers and config.window is not None else length
        return int(generator.integers(max(1, length - near), length + 1))  # each token has some to attend to
    return 0 if model.head.include_prompt else int(generator.integers(0, length + 2))


def any_types(
    model: SentenceEncoder, generator: np.random.Generator, ids: npt.NDArray[np.integer[Any]]
) -> Types:
    """Token types of any kind, by the name of the input, where an encoder is told such."""
    rows = model.encoder.config.n_token_types
    return {} if rows is None else {TYPES: generator.integers(0, rows, ids.shape).astype(ids.dtype)}


def fed(rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    """(1, S) ids, or (1, S, 2) with their types, as a graph without a mask takes them."""
    return {INPUT: rows} if rows.ndim == 2 else {INPUT: rows[..., 0].copy(), TYPES: rows[..., 1].copy()}
