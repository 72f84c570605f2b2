"""Tokens for people: the vocabulary's spelling turned back into text, without marks of word boundaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_SENTENCEPIECE_MARK = "\u2581"


def readable(tokens: Sequence[str], tokenizer: Mapping[str, Any]) -> list[str]:
    """Each token as text.

    Args:
        tokens: As the vocabulary spells them.
        tokenizer: The document of tokenizer.json, which says how it spells.
    """
    kinds = set(_kinds(tokenizer))
    added = {
        item["content"]
        for item in tokenizer.get("added_tokens") or ()
        if isinstance(item, Mapping) and isinstance(item.get("content"), str)
    }
    shown = []
    for token in tokens:
        if token in added:
            shown.append(_printable(token))
        elif "ByteLevel" in kinds:
            shown.append(_from_bytes(token))
        elif "Metaspace" in kinds:
            shown.append(_printable(token.removeprefix(_SENTENCEPIECE_MARK)))
        else:
            shown.append(_printable(token))
    return shown


def _kinds(tokenizer: Mapping[str, Any]) -> Iterable[str]:
    """The types of every step before and after the model, those in sequences included."""
    waiting = [tokenizer.get("pre_tokenizer"), tokenizer.get("decoder")]
    while waiting:
        step = waiting.pop()
        if isinstance(step, Mapping):
            yield str(step.get("type"))
            waiting += [*(step.get("pretokenizers") or ()), *(step.get("decoders") or ())]


def _byte_of() -> dict[str, int]:
    """Byte-level BPE's alphabet: printable Latin-1 stands for itself, every other byte for U+0100 and up."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in plain}
    others = (byte for byte in range(256) if byte not in set(plain))
    alphabet.update({chr(0x100 + at): byte for at, byte in enumerate(others)})
    return alphabet


_BYTE_OF = _byte_of()


def _from_bytes(token: str) -> str:
    if any(character not in _BYTE_OF for character in token):
        return _printable(token)  # added to the vocabulary as it is
    content = bytes(_BYTE_OF[character] for character in token)
    # Bytes that only make a character together with the next token's are shown as \xf0.
    return _printable(content.removeprefix(b" ").decode(errors="backslashreplace"))


def _printable(text: str) -> str:
    """The text with what cannot be seen escaped; nothing at all, or only spaces, shown as open boxes."""
    if not text.strip(" "):
        return "\u2423" * max(1, len(text))
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
