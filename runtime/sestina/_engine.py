"""Texts to vectors, one window at a time: tokenize, group by exact length, run, put back in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sestina._batching import exact_length_batches
from sestina._errors import ClosedError, ForkError
from sestina._session import Session
from sestina._text import Tokenizer, Tokens, TruncationWatch, check_text

Vectors = npt.NDArray[np.float32]

_WINDOW = 4096  # texts that are tokenized, sorted and encoded together
_WINDOW_CHARACTERS = 4 << 20  # or fewer, where texts are long


def windows(texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Consecutive runs of texts, bounded in number and in characters, each with its first position."""
    begin = 0
    window: list[str] = []
    characters = 0
    for text in texts:
        window.append(text)
        characters += len(text) if isinstance(text, str) else 0
        if len(window) == _WINDOW or characters >= _WINDOW_CHARACTERS:
            yield begin, window
            begin, window, characters = begin + len(window), [], 0
    if window:
        yield begin, window


class Engine:
    """The tokenizer and the session of one bundle, and the order in which work goes through them."""

    def __init__(self, tokenizer: Tokenizer, session: Session, batch_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._session: Session | None = session
        self._pid = os.getpid()
        self.batch_tokens = batch_tokens

    @property
    def session(self) -> Session:
        """The open session.

        Raises:
            ClosedError: After `close`.
            ForkError: In a process that was forked from the one that loaded the bundle.
        """
        if self._session is None:
            raise ClosedError("this encoder is closed: load the bundle again")
        if os.getpid() != self._pid:
            raise ForkError(
                "this encoder was loaded before a fork, and its threads exist only in the parent: load "
                "the bundle in each process (or use the 'spawn' start method)"
            )
        return self._session

    def close(self) -> None:
        """Let go of the session and its weights."""
        self._session = None

    def tokens(self, text: str) -> Tokens:
        """Everything there is to see about the tokens of one text."""
        return self._tokenizer.tokens(check_text(text))

    def ids(self, texts: Sequence[str], begin: int | None, watch: TruncationWatch) -> list[list[int]]:
        """Token ids of texts, in order.

        Args:
            texts: The texts.
            begin: The position of the first in the caller's input, for messages; None for one lone text.
            watch: Is told of every text that is over the limit.
        """
        for at, text in enumerate(texts):
            check_text(text, None if begin is None else begin + at)
        ids, truncated = self._tokenizer.ids(texts)
        watch.see(None if begin is None else begin + at for at in truncated)
        return ids

    def vectors(
        self,
        ids: Sequence[Sequence[int]],
        width: int,
        on_progress: Callable[[int], object] | None = None,
    ) -> Vectors:
        """Sentence vectors (n, width); a text without tokens has the zero vector.

        `on_progress` is told after each batch how many texts it held; the numbers add up to n.
        """
        session = self.session
        vectors = np.zeros((len(ids), width), dtype=np.float32)
        told = on_progress or (lambda _: None)
        left = len(ids)
        for positions, batch in exact_length_batches(ids, self.batch_tokens):
            vectors[positions] = session.run("sentence_embedding", batch)
            told(len(positions))
            left -= len(positions)
        told(left)  # those without tokens
        return vectors

    def hidden_states(self, ids: Sequence[Sequence[int]], width: int) -> list[Vectors]:
        """Hidden states of the last layer, (n_tokens, width) for each text."""
        session = self.session
        states = [np.zeros((0, width), dtype=np.float32) for _ in ids]
        for positions, batch in exact_length_batches(ids, self.batch_tokens):
            for position, rows in zip(positions, session.run("last_hidden_state", batch), strict=True):
                states[position] = rows
        return states
