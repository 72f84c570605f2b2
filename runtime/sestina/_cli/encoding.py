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
from sestina._errors import EmptyTextError, EmptyTextWarning, TruncationError, TruncationWarning
from sestina._progress import progress_bar
from sestina._text.truncation import limit_in_words

if TYPE_CHECKING:
    from sestina._arrays import Embeddings


def encode_each(
    encoder: Encoder,
    texts: Iterable[Text],
    take: Callable[[Text, Embeddings], object],
    args: argparse.Namespace,
    *,
    prompt_text: str | None = None,
    total: int | None = None,
    bar: bool = False,
) -> int:
    """Give every text and its vector to `take`, in order and in bounded memory.

    Args:
        encoder: Encodes.
        texts: What to encode.
        take: Is called with each text and its vector, (d,) float32 or what `output_dtype` makes of it.
        args: `dimensions`, `on_truncate`, `on_empty` and the prompt of the command line; `on_null` and
            `output_dtype` of commands that have them.
        prompt_text: A prompt in place of that.
        total: How many texts there are, for the bar; None where that is not known.
        bar: Whether to draw a progress bar.

    Returns: how many texts there were.

    Raises:
        EmptyTextError, TruncationError: Naming the text by its source.
    """
    waiting: deque[Text] = deque()  # handed to the encoder, vector not yet seen
    done = 0
    # By its text from here on: what its name stands for is known, or refused, before anything is read.
    prompt = (
        encoder._prompts.choose(args.prompt, args.prompt_text).text if prompt_text is None else prompt_text
    )
    limit = limit_in_words(encoder.max_tokens, prompted=bool(prompt))
    cut = _Seen(f"have {limit}", f"has {limit}", "only the beginning was encoded")
    empty = _Seen("are empty", "is empty", "a zero vector says nothing")
    seen: dict[type[Warning], _Seen] = {TruncationWarning: cut, EmptyTextWarning: empty}

    def handed() -> Iterator[str | None]:
        for text in texts:
            waiting.append(text)
            yield None if text.null else text.value

    with warnings.catch_warnings(record=True) as caught, progress_bar(total, bar) as advance:
        for kind in seen:
            warnings.simplefilter("always", kind)
        stream = encoder.stream(
            handed(),
            prompt_text=prompt,
            dimensions=args.dimensions,
            on_truncate=args.on_truncate,
            on_empty=args.on_empty,
            on_null=getattr(args, "on_null", "error"),
            output=getattr(args, "output_dtype", "float32"),
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
            except EmptyTextError as error:
                where = waiting[(error.position or 0) - done].where
                raise EmptyTextError(
                    f"{where} is empty: leave it out, or pass --on-empty zero (or warn) for a zero vector"
                ) from None
            while caught:
                warned = caught.pop().message
                if isinstance(warned, TruncationWarning | EmptyTextWarning):
                    seen[type(warned)].see(warned.count, waiting[(warned.first or 0) - done])
                else:
                    printing.warning(str(warned))
            take(waiting.popleft(), vector)
            done += 1
    cut.report()
    empty.report()
    return done


class _Seen:
    """Which texts were cut, or are empty, in all: one line for a whole corpus.

    Args:
        several: What is said of more than one.
        one: The same of one.
        result: What came of it.
    """

    def __init__(self, several: str, one: str, result: str) -> None:
        self._several, self._one, self._result = several, one, result
        self._count = 0
        self._first: Text | None = None

    def see(self, count: int, first: Text) -> None:
        self._count += count
        self._first = self._first or first

    def report(self) -> None:
        if self._first is None:
            return
        first = self._first.where
        several = f"{self._count} texts (the first is {first}) {self._several}"
        printing.warning(f"{f'{first} {self._one}' if self._count == 1 else several}; {self._result}")
