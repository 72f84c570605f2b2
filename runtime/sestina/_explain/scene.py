"""What is looked at: one text, what was found in it, and by which graph."""

from __future__ import annotations

from dataclasses import dataclass

from sestina._explain.explanation import Explanation


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One explanation with what a reader needs beside it.

    Attributes:
        text: The text.
        words: Its tokens, each as people read it.
        found: What was found.
        name, space: Of the bundle.
        variant, precision: Of the graph.
    """

    text: str
    words: list[str]
    found: Explanation
    name: str
    space: str
    variant: str
    precision: str

    @property
    def n_layers(self) -> int:
        """Layers of the encoder."""
        return len(self.found.attention)

    @property
    def n_heads(self) -> int:
        """Heads of a layer."""
        return len(self.found.attention[0])

    @property
    def count(self) -> str:
        """How many tokens there are, in words, and whether they are all."""
        count, limit = len(self.words), self.found.tokens.max_tokens
        number = f"{count} token{'' if count == 1 else 's'}"
        return f"{number}, the limit" if self.found.tokens.truncated else f"{number} of at most {limit}"

    @property
    def whole(self) -> str:
        """What was read: the prompt, and the text."""
        return self.found.tokens.prompt + self.text

    def piece(self, at: int) -> str:
        """What token `at` stands for in the text; "" for one that the tokenizer added."""
        begin, end = self.found.tokens.offsets[at]
        return self.whole[begin:end]
