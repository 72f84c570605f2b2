"""Texts of any source through the encoder, with a bar, and with truncation named by source and line."""

from __future__ import annotations

import argparse
import contextlib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

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
    within: Within | None = None,
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
        within: Of what this is a part, which has the bar and tells of the texts that were cut.

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
    cut = Cut() if within is None else within.cut

    def handed() -> Iterator[str]:
        for text in texts:
            waiting.append(text)
            yield text.value

    drawn = progress_bar(total, bar) if within is None else contextlib.nullcontext(within.advance)
    with warnings.catch_warnings(record=True) as caught, drawn as advance:
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
    cut.limit = limit
    if within is None:
        cut.report()
    return done


class Within(NamedTuple):
    """What parts of one corpus share: the texts that were cut, and the bar."""

    cut: Cut
    advance: Callable[[int], object]


class Cut:
    """Which texts were cut, in all: one line for a whole corpus.

    Attributes:
        limit: Of the encoder, in words.
    """

    def __init__(self) -> None:
        self.limit = ""
        self._count = 0
        self._first: Text | None = None

    def see(self, count: int, first: Text) -> None:
        """So many more, the first of which is this one."""
        self._count += count
        self._first = self._first or first

    def report(self) -> None:
        """Say it, if there is something to say."""
        if self._first is None:
            return
        first = self._first.where
        what = f"{first} has" if self._count == 1 else f"{self._count} texts (the first is {first}) have"
        printing.warning(f"{what} {self.limit}; only the beginning was encoded")
