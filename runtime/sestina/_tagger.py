"""Texts to spans: a `Tagger` labels every token, and says which stretches of a text are what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

from sestina._arguments import one_of, plain_str, text_sequence, truth
from sestina._loaded import Reloading
from sestina._logits import activated
from sestina._progress import progress_bar
from sestina._spans import AGGREGATIONS, spans
from sestina._text.checked import check_text
from sestina._text.truncation import OnTruncate, TruncationWatch
from sestina._text.words import Words

if TYPE_CHECKING:
    from sestina._arrays import Column, Vectors
    from sestina._text.tokenizer import Tokenizer, Tokens

Aggregation = Literal["simple", "first", "max", "average"]

_WINDOW = 256  # texts that are sorted by length and run together


class Span(NamedTuple):
    """A stretch of a text.

    Attributes:
        label: What it is, without "B-" or "I-".
        score: The mean probability of its tokens or words.
        start, end: Where it is in the text, in characters.
        text: What stands there.
    """

    label: str
    score: float
    start: int
    end: int
    text: str


class Tagger(Reloading):
    """Texts to spans. Made by `load_tagger`; a context manager; safe to use from many threads.

    Spans do not depend on what is tagged beside a text, on its position or on the batch size. It can be
    pickled, copied and used after a fork as an `Encoder` can.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """All that a token may be, as the bundle names them."""
        return self._contract.labels

    @overload
    def tag(  # type: ignore[overload-overlap]
        self,
        texts: str,
        *,
        aggregation: Aggregation = "simple",
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> list[Span]: ...
    @overload
    def tag(
        self,
        texts: Sequence[str] | Column,
        *,
        aggregation: Aggregation = "simple",
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> list[list[Span]]: ...
    def tag(
        self,
        texts: str | Sequence[str] | Column,
        *,
        aggregation: Aggregation = "simple",
        on_truncate: OnTruncate = "warn",
        progress: bool = False,
    ) -> list[Span] | list[list[Span]]:
        """The spans of a text in their order; of a sequence those of each text.

        What is outside of all ("O") is left out. Spans are those of transformers' pipeline.

        Args:
            texts: A text, a sequence of texts, or a column of them.
            aggregation: How tokens become spans. "simple": each token has a label of its own. Else each word
                has one: that of its "first" token, of the token that is the surest ("max"), or of the
                "average" of its tokens.
            on_truncate: What to do where a text is over the limit: "error", "warn" (once per call) or
                "ignore".
            progress: Show a progress bar (needs tqdm).

        Raises:
            TextTypeError, TextValueError: Where a text is not a valid Unicode str, or has no tokens.
            TruncationError: Where a text is over the limit and `on_truncate` is "error".
            OptionError, ClosedError, ForkError, ProviderError: As their names say.
        """
        how = one_of("aggregation", aggregation, AGGREGATIONS)
        watch = TruncationWatch(on_truncate, self.max_tokens)
        show, engine = truth("progress", progress), self._engine
        engine.sessions()  # a closed one refuses an empty sequence too
        text = plain_str(texts)
        listed = text_sequence(texts) if text is None else [text]
        checked = [check_text(each, None if text is not None else at) for at, each in enumerate(listed)]
        words, found = self._words(engine.tokenizer), list[list[Span]]()
        with progress_bar(len(checked), show) as advance:
            for begin in range(0, len(checked), _WINDOW):
                some = checked[begin : begin + _WINDOW]
                tokens = [engine.tokens(each) for each in some]
                cut = (at for at, each in enumerate(tokens) if each.truncated)
                watch.see(None if text is not None else begin + at for at in cut)
                logits = engine.hidden_states([each.ids for each in tokens], len(self.labels), "token_logits")
                for each, own, rows in zip(some, tokens, logits, strict=True):
                    found.append(self._spans(each, own, rows, words, how))
                advance(len(some))
        watch.report()
        return found if text is None else found[0]

    def _words(self, tokenizer: Tokenizer) -> Words:
        """Of the tokenizer of this process, made once."""
        kept: tuple[Tokenizer, Words] | None = self.__dict__.get("_kept_words")
        if kept is None or kept[0] is not tokenizer:
            kept = self._kept_words = (tokenizer, Words(tokenizer))
        return kept[1]

    def _spans(self, text: str, tokens: Tokens, logits: Vectors, words: Words, how: str) -> list[Span]:
        rows = activated(logits, self._contract.activation)
        found = spans(words.pieces(text, tokens), rows, self.labels, how)
        return [Span(*each, text[each.start : each.end]) for each in found]
