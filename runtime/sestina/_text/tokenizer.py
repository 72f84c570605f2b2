"""Texts to token ids under the bundle's contract.

One wall stands around the tokenizers library: nothing that it raises gets out as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from sestina._errors import BundleFormatError, TextValueError
from sestina._handlers import let_through
from sestina._process.native import opening
from sestina._quote import in_one_line, quote
from sestina._text.panics import panics
from sestina._text.tokenizer_json import Added, check_normalizer, check_parts, word_ends

# Of a long text so much is tokenized at first, twice what most languages take; where that was not enough, so
# many times as much, again and again.
PREFIX_CHARACTERS_PER_TOKEN = 8
_FURTHER = 8
_BEST_CHARACTERS = 1 << 20  # tokenized together
_CHARACTERS_PER_TEXT = 3  # what a text costs besides, as the library sees it
_SAID = 300  # characters of what the library says
_NO_THREADS = "global thread pool"  # of the library


class Tokens(NamedTuple):
    """What one text becomes before it is encoded.

    Attributes:
        ids: Token ids, special tokens included.
        tokens: The token of each id, as the vocabulary spells it.
        offsets: For each token, where it begins and ends in the text, in characters; (0, 0) for special
            tokens.
        truncated: Whether the text went on beyond the limit.
        max_tokens: The limit.
        prompt: What stands before the text, and is counted by offsets too.
    """

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    truncated: bool
    max_tokens: int
    prompt: str = ""


class Tokenizer:
    """The bundle's tokenizer, cutting at the contract's limit and nowhere else.

    Padding and truncation that are baked into `tokenizer.json` are ignored. No result has more ids than the
    limit, and nothing that the library raises gets out as it is.

    Args:
        tokenizer_json: The file's content.
        max_tokens: The limit, special tokens included.
        characters: Of several texts, those that are tokenized at once; a longer text is tokenized by itself.

    Raises:
        BundleFormatError: Where it cannot be read, is refused, or leaves no room for a text.
    """

    added: Added
    _special = True  # whether what is tokenized together has special tokens around each text

    def __init__(self, tokenizer_json: bytes, max_tokens: int, characters: int = _BEST_CHARACTERS) -> None:
        with opening:
            import tokenizers

        check_normalizer(tokenizer_json)
        try:
            with panics:
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
        self.added = added
        self._characters = characters
        self._prefix = PREFIX_CHARACTERS_PER_TOKEN * max_tokens

    def ids(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """Token ids of each text, and the positions of the texts that were truncated.

        Raises:
            TextValueError: Where the tokenizer has no token for a text.
            BundleFormatError: Where it fails on one.
        """
        ids: list[list[int]] = []
        truncated: list[int] = []
        for begun in self._pieces(texts):
            for beginning, encoding in zip(begun, self._encode_all(begun), strict=True):
                text, row = texts[len(ids)], encoding.ids
                if len(row) <= self.max_tokens and len(beginning) < len(text):
                    row = self._further(text, self._encode_one).ids
                if len(row) > self.max_tokens:
                    truncated.append(len(ids))
                    row = self._cut(row)
                ids.append(row)
        return ids, truncated

    def tokens(self, text: str) -> Tokens:
        """Everything there is to see about the tokens of one text. Raises as `ids`."""
        beginning = self._beginning(text, self._prefix)
        encoding = self._encode(beginning)
        if len(encoding.ids) <= self.max_tokens and len(beginning) < len(text):
            encoding = self._further(text, self._encode)
        parts = [encoding.ids, encoding.tokens, encoding.offsets]
        truncated = len(parts[0]) > self.max_tokens
        ids, tokens, offsets = [self._cut(part) for part in parts] if truncated else parts
        return Tokens(tuple(ids), tuple(tokens), tuple(offsets), truncated, self.max_tokens)

    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens before a text are a prompt's, as sentence-transformers counts them: those it has
        alone, but for a special one at its end. Raises as `ids`.
        """
        (row,), _ = self.ids([prompt])
        added = self._tokenizer.get_added_tokens_decoder()
        return len(row) - (bool(row) and row[-1] in added and bool(added[row[-1]].special))

    def token(self, id_: int) -> str | None:
        """The token of an id, as the vocabulary spells it; None where there is none."""
        found: str | None = self._tokenizer.id_to_token(id_)
        return found

    def empty(self, texts: Sequence[str], ids: Sequence[Sequence[int]], prompt: str) -> list[int]:
        """Positions of texts that say nothing: without a token of their own, or of white space alone,
        whatever the tokenizer makes of that.

        Args:
            texts: The texts.
            ids: Of each, with the prompt.
            prompt: What stands before each. A text may add no token to it and yet have one of its own.
        """
        least = len(self.ids([prompt])[0][0]) if prompt else sum(self.added)
        found = [at for at, text in enumerate(texts) if not text or text.isspace()]
        blank = set(found)
        doubtful = [at for at, row in enumerate(ids) if len(row) <= least and at not in blank]
        if doubtful:
            alone = self.ids([texts[at] for at in doubtful])[0] if prompt else [ids[at] for at in doubtful]
            found += [at for at, row in zip(doubtful, alone, strict=True) if len(row) <= sum(self.added)]
        return sorted(found)

    def _pieces(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """The beginnings of texts, as many at a time as may be tokenized together."""
        begun: list[str] = []
        size = 0
        for text in texts:
            beginning = self._beginning(text, self._prefix)
            size += len(beginning) + _CHARACTERS_PER_TEXT
            if size > self._characters and begun:
                yield begun
                begun, size = [], len(beginning) + _CHARACTERS_PER_TEXT
            begun.append(beginning)
        yield begun

    def _further(self, text: str, encode: Callable[[str], Any]) -> Any:
        """What `encode` gives of as much of a text as reaches the limit, the first beginning not having."""
        prefix = self._prefix
        while True:
            prefix *= _FURTHER
            beginning = self._beginning(text, prefix)
            encoding = encode(beginning)
            if len(encoding.ids) > self.max_tokens or len(beginning) == len(text):
                return encoding

    def _cut(self, row: list[Any]) -> list[Any]:
        """A row of one more than the limit without the last token of its text."""
        if len(row) != self.max_tokens + 1:
            raise BundleFormatError(
                f"the bundle's tokenizer gives {len(row)} tokens where {self.max_tokens + 1} were asked for: "
                "export the bundle again"
            )
        last = self.max_tokens - self.added.after
        return row[:last] + row[last + 1 :]

    def _encode_all(self, texts: list[str]) -> list[Any]:
        try:
            with panics:
                encodings: list[Any] = self._tokenizer.encode_batch_fast(
                    texts, add_special_tokens=self._special
                )
        except BaseException as error:  # noqa: BLE001  see `_said`
            said = _said(error)
            alone = [self._encode(text) for text in texts]  # which of them?
            if _NO_THREADS in said:  # that it cannot start: none of the texts is to blame
                return alone
            self._refuse(error, texts[0] if len(texts) == 1 else None)
        return encodings

    def _encode_one(self, text: str) -> Any:
        return self._encode_all([text])[0]

    def _encode(self, text: str) -> Any:
        try:
            with panics:
                return self._tokenizer.encode(text, add_special_tokens=self._special)
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

    def _beginning(self, text: str, prefix: int) -> str:
        """Enough of a very long text: what follows a space cannot change the tokens before it.

        So that a text of a megabyte costs no more than its first tokens do. A text without a space there
        is left whole.
        """
        if not self._spaces or len(text) <= 2 * prefix:
            return text
        cut = max(text.rfind(space, 0, prefix) for space in self._spaces)
        return text[:cut].rstrip() if cut > 0 else text


def _said(error: BaseException) -> str:
    """What the library says where it fails.

    A panic in it is a BaseException of a type that nothing exports. Whatever else is no Exception is somebody
    else's (an interrupt, the end of the program), and so is a lack of memory: these are raised as they are.
    """
    let_through(error)
    if isinstance(error, MemoryError):
        raise error
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error
    return in_one_line(str(error), _SAID)
