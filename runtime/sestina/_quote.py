"""What a message quotes, on one line and of bounded length, whatever it is.

`quote` is for a value that a message names. `in_one_line` is for what somebody else wrote, and is the last
wall: every error and warning of ours puts its message through it. Nothing but what is built into Python is
imported for it.
"""

from __future__ import annotations

from sestina._handlers import let_through

_QUOTED = 80  # characters of one value
LONGEST = 2000  # characters of a message; the reasons of a dozen providers stay under it


def quote(value: object, most: int = _QUOTED) -> str:
    """A value as Python would write it, or as much of that as a message has room for.

    Args:
        value: Anything; its `repr` may raise, be endless lines, or lie.
        most: Characters that are shown of it.
    """
    try:
        if isinstance(value, str):
            size = str.__len__(value)
            begun = repr(str.__str__(value)[:most])  # a megabyte is not copied, and a subclass is not asked
            return begun if size <= most else f"{begun[:-1]}...{begun[-1]} ({size} characters)"
        if isinstance(value, int) and int.bit_length(value) > 4 * most:  # Python refuses to write the longest
            return f"a number of {int.bit_length(value)} bits"
        shown = str.__str__(repr(value))
    except Exception as error:  # noqa: BLE001  whatever its `repr` raises
        let_through(error)
        return f"an object of type {type(value).__name__[:most]}"
    return in_one_line(shown, most)


def in_one_line(text: str, most: int = LONGEST) -> str:
    """Text as one line of at most so many characters: its middle gives way where it is longer.

    Line breaks and the indentation after them become a space. What else is not printable is escaped: control
    characters, marks that turn the direction of writing and lone surrogates could forge a line of a log or
    disturb a terminal.
    """
    if len(text) > most:
        tail = most // 3
        text = f"{text[: most - tail - 5]} ... {text[-tail:]}"
    if text.isprintable():
        return text
    text = "".join(_visible(character) for character in " ".join(text.split()))
    return text if len(text) <= most else in_one_line(text, most)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
