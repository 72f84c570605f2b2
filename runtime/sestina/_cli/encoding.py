"""Texts of any source through the encoder, with a bar, and with truncation named by source and line."""

from __future__ import annotations

import argparse
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from sestina._cli import printing
from sestina._cli.texts import Text
from sestina._encoder import Encoder
from sestina._errors import TruncationError, TruncationWarning
from sestina._progress import progress_bar
from sestina._text.truncation import limit_in_words

if TYPE_CHECKING:
    from sestina._arrays import Vectors


def encode_each(
    encoder: Encoder,
    texts: Iterable[Text],
    take: Callable[[Text, Vectors], object],
    args: argparse.Namespace,
    *,
    prompt_text: str | None = None,
    total: int | None = None,
    bar: bool = False,
) -> int:
    """Give every text and its (d,) vector to `take`, in order and in bounded memory.

    Args:
        encoder: Encodes.
        texts: What to encode.
        take: Is called with each text and its vector.
        args: `dimensions`, `on_truncate` and the prompt of the command line.
        prompt_text: A prompt in place of that.
        total: How many texts there are, for the bar; None where that is not known.
        bar: Whether to draw a progress bar.

    Returns: how many texts there were.

    Raises:
        TruncationError: Naming the text by its source.
    """
    waiting: deque[Text] = deque()  # handed to the encoder, vector not yet seen
    done = 0
    # By its text from here on: what its name stands for is known, or refused, before anything is read.
    prompt = (
        encoder._prompts.choose(args.prompt, args.prompt_text).text if prompt_text is None else prompt_text
    )
    limit = limit_in_words(encoder.max_tokens, prompted=bool(prompt))
    cut = Cut(limit)

    def handed() -> Iterator[str]:
        for text in texts:
            waiting.append(text)
            yield text.value

    with warnings.catch_warnings(record=True) as caught, progress_bar(total, bar) as advance:
        warnings.simplefilter("always", TruncationWarning)
        stream = encoder.stream(
            handed(),
            prompt_text=prompt,
            dimensions=args.dimensions,
            on_truncate=args.on_truncate,
            on_progress=advance,
        )
        while True:
            try:
                vector = next(stream)
            except StopIteration:
                break
            except TruncationError as error:
                where = waiting[(error.position or 0) - done].where
                raise TruncationError(
                    f"{where} has {limit}: shorten it, or pass --on-truncate "
                    "warn (or ignore) to encode its beginning"
                ) from None
            while caught:
                warned = caught.pop().message
                if isinstance(warned, TruncationWarning):
                    cut.see(warned.count, waiting[(warned.first or 0) - done])
                else:
                    printing.warning(str(warned))
            take(waiting.popleft(), vector)
            done += 1
    cut.report()
    return done


class Cut:
    """Which texts were cut, in all: one line for a whole corpus."""

    def __init__(self, limit: str) -> None:
        self._limit = limit
        self._count = 0
        self._first: Text | None = None

    def see(self, count: int, first: Text) -> None:
        """Note so many more, and the first of them."""
        self._count += count
        self._first = self._first or first

    def report(self) -> None:
        """Warn of them, where there were any."""
        if self._first is None:
            return
        first = self._first.where
        what = f"{first} has" if self._count == 1 else f"{self._count} texts (the first is {first}) have"
        printing.warning(f"{what} {self._limit}; only the beginning was encoded")
