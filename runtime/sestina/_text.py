"""Texts to token ids under the bundle's contract, with truncation that is never silent."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

from sestina._errors import (
    BundleFormatError,
    OptionError,
    TextTypeError,
    TextValueError,
    TruncationError,
    TruncationWarning,
)

OnTruncate = Literal["error", "warn", "ignore"]

_PREFIX_CHARACTERS_PER_TOKEN = 32  # several times what any language takes


class Tokens(NamedTuple):
    """What one text becomes before it is encoded.

    Attributes:
        ids: Token ids, special tokens included.
        tokens: The token of each id, as the vocabulary spells it.
        offsets: For each token, where it begins and ends in the text, in characters; (0, 0) for special
            tokens.
        truncated: Whether the text went on beyond the limit.
        max_tokens: The limit.
    """

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    truncated: bool
    max_tokens: int


def check_text(text: object, position: int | None = None) -> str:
    """Return `text` if it is a valid Unicode `str`.

    Raises:
        TextTypeError: Where it is not a `str`.
        TextValueError: Where it holds lone surrogates, which no encoding of Unicode can carry.
    """
    where = _name(position)
    if not isinstance(text, str):
        raise TextTypeError(f"{where} is {type(text).__name__}; it must be str")
    if type(text) is not str:
        text = str.__str__(text)  # a subclass may have another idea of equality
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextValueError(
            f"{where} has a lone surrogate U+{ord(text[error.start]):04X} at character {error.start}; "
            "decode its source with errors='replace'"
        ) from None
    return text


def check_sequence(texts: object) -> Sequence[str]:
    """Return `texts` if it is a sequence that can be one of texts; its members are checked when read.

    Raises:
        TextTypeError: Where it is not a sequence, or is one of bytes.
    """
    if isinstance(texts, bytes | bytearray) or not isinstance(texts, Sequence):
        raise TextTypeError(
            f"texts is {type(texts).__name__}; it must be a str or a sequence of str (use stream for any "
            "other iterable)"
        )
    return texts


def check_on_truncate(value: str) -> None:
    """Refuse an unknown truncation mode.

    Raises:
        OptionError: Where `value` is not "error", "warn" or "ignore".
    """
    if value not in get_args(OnTruncate):
        raise OptionError(f"on_truncate is {value!r}; it must be one of {', '.join(get_args(OnTruncate))}")


class Tokenizer:
    """The bundle's tokenizer, cutting at the contract's limit and nowhere else.

    Padding and truncation that are baked into `tokenizer.json` are ignored.
    """

    def __init__(self, tokenizer_json: bytes, max_tokens: int) -> None:
        import tokenizers

        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(tokenizer_json)
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(max_tokens)
        except Exception as error:  # noqa: BLE001  the library raises bare Exception
            raise BundleFormatError(f"tokenizer.json cannot be read: {error}") from None
        self.max_tokens = max_tokens
        self._spaces = _word_ends(self._tokenizer)
        self._prefix = _PREFIX_CHARACTERS_PER_TOKEN * max_tokens

    def ids(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """Token ids of each text, and the positions of the texts that were truncated."""
        begun = [self._beginning(text) for text in texts]
        ids: list[list[int]] = []
        truncated: list[int] = []
        for at, encoding in enumerate(self._tokenizer.encode_batch_fast(begun)):
            cut = bool(encoding.overflowing)
            if not cut and len(begun[at]) < len(texts[at]):  # the limit lies further on after all
                encoding = self._tokenizer.encode_batch_fast([texts[at]])[0]
                cut = bool(encoding.overflowing)
            ids.append(encoding.ids)
            if cut:
                truncated.append(at)
        return ids, truncated

    def tokens(self, text: str) -> Tokens:
        """Everything there is to see about the tokens of one text."""
        beginning = self._beginning(text)
        encoding = self._tokenizer.encode(beginning)
        if not encoding.overflowing and len(beginning) < len(text):
            encoding = self._tokenizer.encode(text)
        return Tokens(
            ids=tuple(encoding.ids),
            tokens=tuple(encoding.tokens),
            offsets=tuple(encoding.offsets),
            truncated=bool(encoding.overflowing),
            max_tokens=self.max_tokens,
        )

    def _beginning(self, text: str) -> str:
        """Enough of a very long text: what follows a space cannot change the tokens before it.

        So that a text of a megabyte costs no more than its first tokens do. A text without a space there
        is left whole.
        """
        if not self._spaces or len(text) <= 2 * self._prefix:
            return text
        cut = max(text.rfind(space, 0, self._prefix) for space in self._spaces)
        return text[:cut].rstrip() if cut > 0 else text


def _word_ends(tokenizer: Any) -> str:
    """The characters that end a word for a tokenizer that forms its tokens word by word; "" for others.

    Added tokens that swallow the space beside them, or hold one, can reach over the end of a word.
    """
    for token in tokenizer.get_added_tokens_decoder().values():
        if token.lstrip or token.rstrip or any(character.isspace() for character in token.content):
            return ""
    if tokenizer.pre_tokenizer is None:
        return ""
    state = json.loads(tokenizer.pre_tokenizer.__getstate__())  # its part of tokenizer.json
    steps = state.get("pretokenizers", [state])
    kinds = {step.get("type") for step in steps}
    if kinds & {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}:
        return " \n\t"
    if any(step.get("type") == "ByteLevel" and step.get("use_regex", True) for step in steps):
        return " \n\t"
    return " " if any(step.get("type") == "Metaspace" and step.get("split", True) for step in steps) else ""


class TruncationWatch:
    """Says once per call, in one line, that texts were cut; or refuses the first one that would be."""

    def __init__(self, mode: OnTruncate, max_tokens: int) -> None:
        check_on_truncate(mode)
        self._mode = mode
        self._max_tokens = max_tokens
        self._first: int | None = None
        self._count = 0

    def see(self, positions: Iterable[int | None]) -> None:
        """Note texts that are over the limit, by their position in the caller's input (None: the text).

        Raises:
            TruncationError: At once, where the mode is "error".
        """
        for position in positions:
            if self._mode == "error":
                raise TruncationError(
                    f"{_name(position)} has more than {self._max_tokens} tokens: shorten it, or pass "
                    "on_truncate='warn' or 'ignore' to encode its beginning",
                    position=position,
                )
            self._first = self._first if self._count else position
            self._count += 1

    def report(self, stacklevel: int) -> None:
        """Warn about what was seen, where the mode is "warn"."""
        if self._count and self._mode == "warn":
            first = _name(self._first)
            what = f"{first} has" if self._count == 1 else f"{self._count} texts (the first is {first}) have"
            warnings.warn(
                TruncationWarning(
                    f"{what} more than {self._max_tokens} tokens; only the beginning was encoded",
                    count=self._count,
                    first=self._first,
                ),
                stacklevel=stacklevel + 1,
            )


def _name(position: int | None) -> str:
    return "the text" if position is None else f"text {position}"
