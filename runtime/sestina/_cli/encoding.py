"""Texts of any source through the encoder, with a bar, and with truncation named by source and line."""

from __future__ import annotations

import argparse
import contextlib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

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
    asked: Mapping[str, Any] | None = None,
    prompt_text: str | None = None,
    total: int | None = None,
    bar: bool = False,
    within: Within | None = None,
) -> int:
    """Give every text and its vector to `take`, in order and in bounded memory.

    Args:
        encoder: Encodes; a `SparseEncoder` too.
        texts: What to encode.
        take: Is called with each text and its vector, (d,) float32 or what `output_dtype` makes of it.
        args: `dimensions`, `on_truncate`, `on_empty` and the prompt of the command line; `on_null` and
            `output_dtype` of commands that have them.
        asked: Of `stream`, what the vectors are to be; None: `dimensions` and `output_dtype`.
        prompt_text: A prompt in place of that.
        total: How many texts there are, for the bar; None where that is not known.
        bar: Whether to draw a progress bar.
        within: Of what this is a part, which has the bar and tells of texts that were cut or are empty.

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
    if asked is None:
        asked = {"dimensions": args.dimensions, "output": getattr(args, "output_dtype", "float32")}
    limit = limit_in_words(encoder.max_tokens, prompted=bool(prompt))
    notices = Notices() if within is None else within.notices

    def handed() -> Iterator[str | None]:
        for text in texts:
            waiting.append(text)
            yield None if text.null else text.value

    drawn = progress_bar(total, bar) if within is None else contextlib.nullcontext(within.advance)
    with warnings.catch_warnings(record=True) as caught, drawn as advance:
        for kind in (TruncationWarning, EmptyTextWarning):
            warnings.simplefilter("always", kind)
        stream = encoder.stream(
            handed(),
            prompt_text=prompt,
            on_truncate=args.on_truncate,
            on_empty=args.on_empty,
            on_null=getattr(args, "on_null", "error"),
            on_progress=advance,
            **asked,
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
                    notices.see(type(warned), warned.count, waiting[(warned.first or 0) - done])
                else:
                    printing.warning(str(warned))
            take(waiting.popleft(), vector)
            done += 1
    notices.limit = limit
    if within is None:
        notices.report()
    return done


class Within(NamedTuple):
    """What parts of one corpus share: what is said of its texts, and the bar."""

    notices: Notices
    advance: Callable[[int], object]


class Notices:
    """Which texts were cut, and which are empty, in all: one line of each for a whole corpus.

    Attributes:
        limit: Of the encoder, in words.
    """

    def __init__(self) -> None:
        self.limit = ""
        self._seen: dict[type[Warning], tuple[int, Text]] = {}

    def see(self, kind: type[Warning], count: int, first: Text) -> None:
        """So many more of a kind, the first of which is this one."""
        before, earlier = self._seen.get(kind, (0, first))
        self._seen[kind] = (before + count, earlier)

    def report(self) -> None:
        """Say it, if there is something to say."""
        for kind, one, several, result in (
            (TruncationWarning, f"has {self.limit}", f"have {self.limit}", "only the beginning was encoded"),
            (EmptyTextWarning, "is empty", "are empty", "a zero vector says nothing"),
        ):
            if kind not in self._seen:
                continue
            count, text = self._seen[kind]
            first = text.where
            what = f"{first} {one}" if count == 1 else f"{count} texts (the first is {first}) {several}"
            printing.warning(f"{what}; {result}")
