"""What is put before a text, and how much of that is pooled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sestina._arguments import plain_str
from sestina._errors import OptionError
from sestina._quote import quote

# As sentence-transformers looks for them, the first that a bundle has.
QUERY, DOCUMENT = ("query",), ("document", "passage", "corpus")


class Prompt(NamedTuple):
    """A prompt as it is used.

    Attributes:
        text: Put before every text as it is.
        pooled_from: The first token that is pooled: the text's, where a bundle leaves prompts out, else 0.
    """

    text: str = ""
    pooled_from: int = 0


NO_PROMPT = Prompt()


class Prompts:
    """The prompts of a bundle.

    Args:
        named: Their texts by their names.
        default: The name of the default one; None: there is none.
        count: Tells how many tokens before a text are a prompt's; None: those are pooled too.
    """

    def __init__(
        self, named: Mapping[str, str], default: str | None, count: Callable[[str], int] | None = None
    ) -> None:
        self._known = named
        self._default = default
        self._count = count

    def choose(self, name: str | None, text: str | None) -> Prompt:
        """The prompt that is asked for by name or as it is, or the default one.

        Raises:
            OptionError: Where both are given, or it is none.
        """
        if text is None:
            name = self._default if name is None else name
            return NO_PROMPT if name is None else self._named(name)
        if name is not None:
            raise OptionError("prompt and prompt_text exclude each other: pass one of them")
        return self._literal(text)

    def for_query(self, name: str | None, text: str | None) -> Prompt:
        """The same for a query; by default the prompt of that name, else none."""
        return self._of(QUERY, name, text)

    def for_document(self, name: str | None, text: str | None) -> Prompt:
        """The same for a text that is searched."""
        return self._of(DOCUMENT, name, text)

    def _of(self, names: tuple[str, ...], name: str | None, text: str | None) -> Prompt:
        if name is None and text is None:
            name = next((each for each in names if each in self._known), None)
            return NO_PROMPT if name is None else self._named(name)
        return self.choose(name, text)

    def _named(self, name: object) -> Prompt:
        plain, known = plain_str(name), self._known
        if plain is None or plain not in known:
            have = (
                f"it must be one of {', '.join(map(repr, known)):.500}"
                if known
                else "this bundle has no prompts"
            )
            raise OptionError(f"prompt is {quote(name)}; {have} (prompt_text, --prompt-text, takes any text)")
        return self._prompt(known[plain])

    def _literal(self, text: object) -> Prompt:
        plain = plain_str(text)
        if plain is None:
            raise OptionError(f"prompt_text is {quote(text)}; it must be a str, or None")
        try:
            plain.encode()
        except UnicodeEncodeError as error:
            raise OptionError(
                f"prompt_text has a lone surrogate U+{ord(plain[error.start]):04X} at character "
                f"{error.start}; it must be valid Unicode"
            ) from None
        return self._prompt(plain)

    def _prompt(self, text: str) -> Prompt:
        if not text:
            return NO_PROMPT
        return Prompt(text, 0 if self._count is None else self._count(text))
