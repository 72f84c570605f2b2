"""Texts to token ids under the bundle's contract, with truncation that is never silent.

One wall stands around the tokenizers library: nothing that it raises gets out as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, NoReturn, get_args

from sestina._arguments import one_of, plain_str
from sestina._caller import warn_caller
from sestina._errors import (
    BundleFormatError,
    TextTypeError,
    TextValueError,
    TruncationError,
    TruncationWarning,
)
from sestina._quote import in_one_line, quote
from sestina._tokenizer_json import check_normalizer, check_parts, word_ends

OnTruncate = Literal["error", "warn", "ignore"]

_PREFIX_CHARACTERS_PER_TOKEN = 32  # several times what any language takes
_SAID = 300  # characters of what the library says


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
    plain = plain_str(text)  # a subclass may have another idea of equality
    if plain is None:
        raise TextTypeError(f"{_name(position)} is {type(text).__name__}; it must be str")
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        raise TextValueError(
            f"{_name(position)} has a lone surrogate U+{ord(plain[error.start]):04X} at character "
            f"{error.start}; decode its source with errors='replace'"
        ) from None
    return plain


class Tokenizer:
    """The bundle's tokenizer, cutting at the contract's limit and nowhere else.

    Padding and truncation that are baked into `tokenizer.json` are ignored. No result has more ids than the
    limit, and nothing that the library raises gets out as it is.

    Raises:
        BundleFormatError: Where it cannot be read, is refused, or leaves no room for a text.
    """

    def __init__(self, tokenizer_json: bytes, max_tokens: int) -> None:
        import tokenizers

        check_normalizer(tokenizer_json)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(tokenizer_json)
            self._tokenizer.no_padding()
            added = check_parts(self._tokenizer)
            # One more than the limit, so that a text that goes on is known by its length: what is cut off
            # would be copied to be counted, and some versions of the library do not even make it.
            self._tokenizer.enable_truncation(max_tokens + 1)
            self._spaces = word_ends(self._tokenizer)
            self._tokenizer.encode("")  # what fails on every text fails here
        except BundleFormatError:
            raise
        except BaseException as error:  # noqa: BLE001  see `_said`
            raise BundleFormatError(f"tokenizer.json cannot be read: {_said(error)}") from None
        if sum(added) >= max_tokens:
            raise BundleFormatError(
                f"the manifest has a max_tokens of {max_tokens}, and the tokenizer adds {sum(added)} special "
                "tokens to a text: there is no room for the text; export the bundle again"
            )
        self.max_tokens = max_tokens
        self._after = added.after
        self._prefix = _PREFIX_CHARACTERS_PER_TOKEN * max_tokens

    def ids(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """Token ids of each text, and the positions of the texts that were truncated.

        Raises:
            TextValueError: Where the tokenizer has no token for a text.
            BundleFormatError: Where it fails on one.
        """
        begun = [self._beginning(text) for text in texts]
        ids: list[list[int]] = []
        truncated: list[int] = []
        for at, encoding in enumerate(self._encode_all(begun)):
            row: list[int] = encoding.ids
            if len(row) <= self.max_tokens and len(begun[at]) < len(texts[at]):
                row = self._encode_all([texts[at]])[0].ids  # the limit lies further on after all
            if len(row) > self.max_tokens:
                row = self._cut(row)
                truncated.append(at)
            ids.append(row)
        return ids, truncated

    def tokens(self, text: str) -> Tokens:
        """Everything there is to see about the tokens of one text. Raises as `ids`."""
        beginning = self._beginning(text)
        encoding = self._encode(beginning)
        if len(encoding.ids) <= self.max_tokens and len(beginning) < len(text):
            encoding = self._encode(text)
        parts = [encoding.ids, encoding.tokens, encoding.offsets]
        truncated = len(parts[0]) > self.max_tokens
        ids, tokens, offsets = [self._cut(part) for part in parts] if truncated else parts
        return Tokens(tuple(ids), tuple(tokens), tuple(offsets), truncated, self.max_tokens)

    def _cut(self, row: list[Any]) -> list[Any]:
        """A row of one more than the limit without the last token of its text."""
        if len(row) != self.max_tokens + 1:
            raise BundleFormatError(
                f"the bundle's tokenizer gives {len(row)} tokens where {self.max_tokens + 1} were asked for: "
                "export the bundle again"
            )
        last = self.max_tokens - self._after
        return row[:last] + row[last + 1 :]

    def _encode_all(self, texts: list[str]) -> list[Any]:
        try:
            encodings: list[Any] = self._tokenizer.encode_batch_fast(texts)
        except BaseException as error:  # noqa: BLE001  see `_said`
            _said(error)
            for text in texts:  # which of them?
                self._encode(text)
            self._refuse(error, texts[0] if len(texts) == 1 else None)
        return encodings

    def _encode(self, text: str) -> Any:
        try:
            return self._tokenizer.encode(text)
        except BaseException as error:  # noqa: BLE001  see `_said`
            self._refuse(error, text)

    def _refuse(self, error: BaseException, text: str | None) -> NoReturn:
        said = _said(error)
        what = "a text" if text is None else f"the text {quote(text)}"
        if isinstance(error, Exception):
            raise TextValueError(
                f"the bundle's tokenizer has no tokens for {what} ({said}): leave it out, or export a "
                "tokenizer that has a token for what is unknown"
            ) from None
        raise BundleFormatError(
            f"the bundle's tokenizer fails on {what} ({said}): leave it out, or export another tokenizer"
        ) from None

    def _beginning(self, text: str) -> str:
        """Enough of a very long text: what follows a space cannot change the tokens before it.

        So that a text of a megabyte costs no more than its first tokens do. A text without a space there
        is left whole.
        """
        if not self._spaces or len(text) <= 2 * self._prefix:
            return text
        cut = max(text.rfind(space, 0, self._prefix) for space in self._spaces)
        return text[:cut].rstrip() if cut > 0 else text


def _said(error: BaseException) -> str:
    """What the library says where it fails.

    A panic in it is a BaseException of a type that nothing exports. Whatever else is no Exception is somebody
    else's (an interrupt, the end of the program), and so is a lack of memory: these are raised as they are.
    """
    if isinstance(error, MemoryError):
        raise error
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    return in_one_line(str(error), _SAID)


class TruncationWatch:
    """Says once per call, in one line, that texts were cut; or refuses the first one that would be.

    Raises:
        OptionError: Where the mode is not "error", "warn" or "ignore".
    """

    def __init__(self, mode: OnTruncate, max_tokens: int) -> None:
        self._mode = one_of("on_truncate", mode, get_args(OnTruncate))
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

    def report(self) -> None:
        """Warn the caller about what was seen, where the mode is "warn"."""
        if self._count and self._mode == "warn":
            first = _name(self._first)
            what = f"{first} has" if self._count == 1 else f"{self._count} texts (the first is {first}) have"
            warn_caller(
                TruncationWarning(
                    f"{what} more than {self._max_tokens} tokens; only the beginning was encoded",
                    count=self._count,
                    first=self._first,
                )
            )


def _name(position: int | None) -> str:
    return "the text" if position is None else f"text {position}"
