"""SentencePiece's table of normalization, as tokenizer.json carries it, looked at before the library does."""

from __future__ import annotations

from binascii import a2b_base64

from sestina._errors import BundleFormatError
from sestina._handlers import let_through


def longest_replacement(charsmap: object) -> int:
    """The most characters that a table puts in the place of what it finds.

    It has the size of a trie, the trie, and replacements that a null byte ends each.

    Args:
        charsmap: The table, or its base64.

    Raises:
        BundleFormatError: Where it says that the trie is larger than all of it.
    """
    try:
        table = charsmap if isinstance(charsmap, bytes) else a2b_base64(str(charsmap))
    except ValueError as error:
        let_through(error)
        return 1  # the library cannot read it either
    size = int.from_bytes(table[:4], "little")
    if len(table) >= 4 and (size > len(table) - 4 or size % 4):
        # The library takes memory for what it says, and ends the process where there is not so much.
        raise BundleFormatError(
            f"tokenizer.json has a precompiled_charsmap of {len(table)} bytes, whose trie would have {size}: "
            "export the bundle again"
        )
    replacements = table[4 + size :]
    return max(len(part.decode(errors="replace")) for part in replacements.split(b"\0"))
